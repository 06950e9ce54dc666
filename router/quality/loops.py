"""Tokens -> the stretches that are one period again and again.

Finds loops of any period, at the end or not, and those whose repeats are counted: in "Step 7: check it. Step 8: check
it." the numbers move on by one and nothing else does. Numbers that go otherwise say something, as in a table.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import eq
from typing import Final

GRAM: Final = 4  # tokens, by whose last place a period is guessed
CANDIDATES: Final = 5  # periods that are tried
FEWEST_LAGS: Final = 8  # grams that came back after as many tokens
COUNTED: Final = 0.8  # of the numbers in a counted loop that move, that go one way by one; the rest may be slips
FEWEST_NUMBERS: Final = 3  # in a text, of which one could be a counter
BROKEN: Final = "\ufffd"  # half a character

_RUN: Final = re.compile(rb"\x01+")
_DIGITS: Final = re.compile(r"\d+")
_NUMBER_WORDS: Final = {
    word: number
    for words in (
        "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen",
        "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth",
    )
    for number, word in enumerate(words.split(), 1)
}
_CHINESE_DIGITS: Final = {"零": 0, "〇": 0, "一": 1, "二": 2, "两": 2} | {
    digit: value for value, digit in enumerate("三四五六七八九", 3)
}
_CHINESE_UNITS: Final = {"十": 10, "百": 100}
_NUMERALS: Final = frozenset((*_NUMBER_WORDS, *_CHINESE_DIGITS, *_CHINESE_UNITS))


@dataclass(frozen=True, slots=True)
class Loop:
    """A stretch of tokens, each of which stood `period` tokens before, but for the first period.

    Attributes:
        start, length, period: tokens.
        is_last: nothing follows it but a word that was cut.
    """

    start: int
    length: int
    period: int
    is_last: bool

    @property
    def repeats(self) -> float:
        """Return how often the period stands there; the last may be cut short."""
        return self.length / self.period


def loops_in(tokens: Sequence[str]) -> Iterator[Loop]:
    """Yield loops of three repeats or more, those of the likeliest periods."""
    for period in _periods(tokens):
        same = bytes(map(eq, tokens, islice(tokens, period, None)))
        for run in _RUN.finditer(same):
            length = run.end() - run.start() + period
            if length >= 3 * period:
                end = run.start() + length
                yield Loop(run.start(), length, period, is_last=_is_last(tokens, end, period))


def counted_loops_in(tokens: Sequence[str]) -> Iterator[Loop]:
    """Yield loops of which nothing changes but numbers that count up or down, at least three words in each repeat."""
    numbers = sum(1 for token in tokens if token in _NUMERALS or token[0].isdigit() or token[-1].isdigit())
    if numbers < FEWEST_NUMBERS:
        return
    masked, values = masked_numbers(tokens)
    for loop in loops_in(masked):
        period = range(loop.start, loop.start + loop.period)
        words = sum(1.0 if masked[at].isascii() else 0.5 for at in period if masked[at].isalpha())
        if words >= 3 and _is_counted(values, loop):  # noqa: PLR2004 - said above
            yield loop


def masked_numbers(tokens: Sequence[str]) -> tuple[list[str], list[int | None]]:
    """Return the tokens with each number as "#", and what the numbers are; None for what is none.

    A Chinese numeral of several characters becomes one token.
    """
    masked, values = list[str](), list[int | None]()
    at = 0
    while at < len(tokens):
        token = tokens[at]
        end = at + 1
        if token in _CHINESE_DIGITS or token in _CHINESE_UNITS:
            while end < len(tokens) and (tokens[end] in _CHINESE_DIGITS or tokens[end] in _CHINESE_UNITS):
                end += 1
            masked.append("#")
            values.append(_from_chinese(tokens[at:end]))
        elif token in _NUMBER_WORDS:
            masked.append("#")
            values.append(_NUMBER_WORDS[token])
        else:
            number = _DIGITS.search(token)
            masked.append(token if number is None else _DIGITS.sub("#", token))
            values.append(None if number is None else int(number[0][:18]))
        at = end
    return masked, values


def _periods(tokens: Sequence[str]) -> list[int]:
    """Return after how many tokens grams come back most often."""
    last: dict[tuple[str, ...], int] = {}
    lags: Counter[int] = Counter()
    for at, gram in enumerate(zip(*(islice(tokens, start, None) for start in range(GRAM)), strict=False)):
        before = last.get(gram)
        if before is not None:
            lags[at - before] += 1
        last[gram] = at
    return [lag for lag, times in lags.most_common(CANDIDATES) if times >= FEWEST_LAGS]


def _is_last(tokens: Sequence[str], end: int, period: int) -> bool:
    """Tell whether a loop that ends before `end` is all that comes, but for a word that was cut."""
    if end == len(tokens):
        return True
    if end != len(tokens) - 1:
        return False
    return tokens[end] == BROKEN or (tokens[end].isalnum() and tokens[end - period].startswith(tokens[end]))


def _is_counted(values: Sequence[int | None], loop: Loop) -> bool:
    moves: Counter[int] = Counter()
    for at in range(loop.start + loop.period, loop.start + loop.length):
        value, before = values[at], values[at - loop.period]
        if value is not None and before is not None and value != before:
            moves[value - before] += 1
    one_way = max(moves[1], moves[-1])
    return one_way >= COUNTED * moves.total() and one_way > 0


def _from_chinese(digits: Sequence[str]) -> int:
    """Return the value of 二十一, or of digits that stand side by side as in 二〇二六."""
    total = run = 0
    for digit in digits:
        unit = _CHINESE_UNITS.get(digit)
        if unit is None:
            run = run * 10 + _CHINESE_DIGITS[digit]
        else:
            total, run = total + (run or 1) * unit, 0
    return total + run
