"""Seed -> pairs of questions, and whether one answer fits both.

Those of a different pair sound alike: one differs from the other in a single word, in not, in a number, a name, a
date, a unit, who does what to whom, what is compared, or what is asked for. Two halves, which share no wordings and
hardly a word: one to choose a threshold on, one to measure it. Knows nothing of vectors or guards.
"""

import random
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from classifier.meaning import stock_chinese, stock_english
from classifier.meaning.stock import Lines, Stock

STOCKS: Final = {
    "choosing": {"en": stock_english.FIRST, "zh": stock_chinese.FIRST},
    "measuring": {"en": stock_english.SECOND, "zh": stock_chinese.SECOND},
}
_SORT: Final = re.compile(r"\{([^{}]+)\}")
_DIGITS: Final = re.compile(r"\d")
_PLACES: Final = ("{a}", "{b}")
_TRIES: Final = 40  # to find one more pair of a way that has not been drawn before


@dataclass(frozen=True, slots=True)
class QuestionPair:
    """Two questions.

    Attributes:
        same: one answer fits both.
        way: how they differ; "wording" where they ask the same.
    """

    one: str
    other: str
    same: bool
    way: str
    language: str


Two = tuple[str, str]


def pairs(half: str, *, different: int, same: int, seed: int) -> tuple[QuestionPair, ...]:
    """Return distinct pairs, languages in equal and ways in even shares as far as the stock goes.

    Args:
        half: "choosing" or "measuring".
        different, same: how many of each at most.
    """
    found: list[QuestionPair] = []
    for language, stock in STOCKS[half].items():
        rng = random.Random(f"{seed}/{half}/{language}")
        for one, other, way in _drawn(stock, rng, WAYS, different // len(STOCKS[half])):
            found.append(QuestionPair(one, other, same=False, way=way, language=language))
        for one, other, way in _drawn(stock, rng, {"wording": _wording}, same // len(STOCKS[half])):
            found.append(QuestionPair(one, other, same=True, way=way, language=language))
    return tuple(found)


def _drawn(
    stock: Stock, rng: random.Random, ways: Mapping[str, Callable[[Stock, random.Random], Two]], count: int
) -> Iterator[tuple[str, str, str]]:
    """Yield distinct pairs, the ways in turn; a way that has run out is left out."""
    seen, left = set[Two](), dict(ways)
    while left:
        for way, draw in tuple(left.items()):
            if len(seen) == 2 * count:
                return
            new = next((two for two in (draw(stock, rng) for _ in range(_TRIES)) if two not in seen), None)
            if new is None:
                del left[way]
                continue
            seen |= {new, new[::-1]}
            yield *new, way


def _filled(wording: str, values: Mapping[str, str]) -> str:
    text = _SORT.sub(lambda match: values[match[1]], wording)
    return text[0].upper() + text[1:] if wording[0] == "{" and text[0].isascii() else text


def _values(stock: Stock, rng: random.Random) -> dict[str, str]:
    return {sort: rng.choice(listed) for sort, listed in stock.sorts.items()}


def _wording(stock: Stock, rng: random.Random) -> Two:
    values = _values(stock, rng)
    one, other = rng.sample(rng.choice(stock.asks), 2)
    return _filled(one, values), _filled(other, values)


def _word(stock: Stock, rng: random.Random) -> Two:
    """Return two questions in which one word is another of its sort, in the same wording or in two."""
    wordings = rng.choice([each for each in stock.asks if _SORT.search(each[0])])
    sort = rng.choice(
        [name for name in dict.fromkeys(_SORT.findall(wordings[0])) if all(name in each for each in wordings)]
    )
    values = _values(stock, rng)
    changed = values | {sort: rng.choice([word for word in stock.sorts[sort] if word != values[sort]])}
    one, other = rng.choices(wordings, k=2)
    return _filled(one, values), _filled(other, changed)


def _digit(stock: Stock, rng: random.Random) -> Two:
    """Return a question with a number, and the same with one digit changed."""
    listed = [wording for line in (*stock.asks, *stock.measured, *stock.dated) for wording in line]
    while True:
        text = _filled(rng.choice(listed), _values(stock, rng))
        places = [match.start() for match in _DIGITS.finditer(text)]
        if places:
            at = rng.choice(places)
            digit = rng.choice([each for each in "123456789" if each != text[at]])
            return text, f"{text[:at]}{digit}{text[at + 1 :]}"


def _opposite(stock: Stock, rng: random.Random) -> Two:
    around = rng.choice(stock.opposed)
    one, other = rng.sample(rng.choice(stock.opposites), 2)
    return around.format(one), around.format(other)


def _kin(stock: Stock, rng: random.Random) -> Two:
    """Return two questions about things of one sort."""
    around = rng.choice(stock.about)
    one, other = rng.sample(rng.choice(stock.kin), 2)
    return around.format(one), around.format(other)


def _roles(stock: Stock, rng: random.Random) -> Two:
    """Return two questions in which two have changed places."""
    wording, (a, b) = rng.choice(stock.roles)[0], rng.sample(rng.choice(stock.role_sorts), 2)
    begin, end = _PLACES
    return (
        wording.replace(begin, a).replace(end, b),
        wording.replace(begin, b).replace(end, a),
    )


def _date(stock: Stock, rng: random.Random) -> Two:
    wording = rng.choice(stock.dated)[0]
    values = _values(stock, rng)
    sort = rng.choice(_SORT.findall(wording))
    changed = values | {sort: rng.choice([word for word in stock.sorts[sort] if word != values[sort]])}
    return _filled(wording, values), _filled(wording, changed)


def _added(stock: Stock, rng: random.Random) -> Two:
    """Return a question, and one that asks for something narrower."""
    text = _filled(rng.choice(stock.asks)[0], _values(stock, rng))
    more = rng.choice(stock.added)
    body = text.rstrip("?？. ")
    mark = text[len(body) :]
    return text, f"{body}，{more}{mark}" if "？" in text or not body.isascii() else f"{body} {more}{mark}"


def _of(lines_of: Callable[[Stock], Lines]) -> Callable[[Stock, random.Random], Two]:
    """Return what draws two wordings of one line that ask for different things."""

    def draw(stock: Stock, rng: random.Random) -> Two:
        values = _values(stock, rng)
        one, other = rng.sample(rng.choice(lines_of(stock)), 2)
        return _filled(one, values), _filled(other, values)

    return draw


WAYS: Final[Mapping[str, Callable[[Stock, random.Random], Two]]] = {
    "word": _word,
    "kin": _kin,
    "number": _digit,
    "opposite": _opposite,
    "roles": _roles,
    "kind": _of(lambda stock: stock.kinds),
    "negation": _of(lambda stock: stock.negated),
    "date": _date,
    "unit": _of(lambda stock: stock.measured),
    "comparison": _of(lambda stock: stock.compared),
    "addition": _added,
}
"""How two questions can differ."""
