"""Text -> how repetitive it is, and whether its model was caught in a loop.

A loop says nothing new, however long it goes on; a refrain, a clause of a contract or a list in one pattern repeats
words, too, but goes on to say something else. So what counts is not how much comes again but that nothing else comes:
a period that stands there three times, a period in which only a counter moves on, or a long stretch of old words
without new ones. Code, tables and JSON repeat themselves by nature: of them only what was cut in the middle of a loop
counts. English and Chinese; looks at the end of long texts, where loops are.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from router.quality.loops import Loop, counted_loops_in, loops_in
from router.quality.prose import parts_of
from router.quality.text_metrics import SHORTEST_LOOP, comp_ratio, rep_n, tail_loop
from router.quality.tokens import clauses_in, tokens_of, words_in

LONGEST: Final = 32_768  # characters at the end of a text that are looked at
FEWEST_TOKENS: Final = 64  # of a text without a loop that may count as repetitive
OVER: Final = 0.5  # rep-4, by the usual flag
PACKED: Final = 2.4  # compression, likewise, together with
PACKED_OVER: Final = 0.2  # rep-4
STALE: Final = 0.5  # rep-4 of a text, above which it may be
STALE_TAIL: Final = 0.6  # rep-4 of its last tokens, likewise
TAILS: Final = (96, 192, 384)  # tokens
NEW: Final = 0.08  # of the later half's runs of four tokens, that are new: with more of them something is still told
CLAUSE: Final = 2.0  # words, below which clauses are the entries of a list, such as an answer key
MIDDLE: Final = (4.0, 64)  # repeats and tokens of a loop that ended
STUTTER: Final = (16.0, 32)  # of one that is short, and went on and on
COUNTED: Final = (6.0, 40)  # of a loop with a counter
DATA: Final = (8.0, 64)  # of a loop in data that was cut
COUNTED_DATA: Final = (16.0, 160)
NUMBERS: Final = 256  # tokens of a loop in data that has no word: matrices have long ones
ROWS: Final = 16.0  # repeats of one that has frames of cells, which matrices have not
DRAWN: Final = frozenset("|-=_*#~+.:·•—–─━═│─ \t")
"""Marks that are drawn, as rules and frames."""
LONGEST_RULE: Final = 128  # of them, side by side

# Of a few characters again and again, without a blank, a tokeniser of words sees one word.
_LONG_WORD: Final = 48  # characters
_RUN: Final = re.compile(r"(\D{1,12}?)\1{15,}|(\d{1,6}?)\2{127,}")
_LONGEST_BLANK: Final = 200  # characters of nothing at the end

_LEADING_NUMBER: Final = re.compile(
    r"(?:^|(?<=[\s。！？；]))(?:\(?\d{1,4}[.)、:：）]|第[零〇一二三四五六七八九十百]+[，,：:、])\s*", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Repetition:
    """How repetitive a text is.

    Attributes:
        tokens: of all of it.
        rep_4: share of runs of four tokens that came before, of all of it.
        compression: bytes by those that zlib makes of them.
        by_thresholds: the usual flag, of its prose; see `repetitive_by_thresholds`.
        found: "tail_loop", "loop", "counted", "stale", "characters" or, in data, "cut"; "" where there is no loop.
    """

    tokens: int
    rep_4: float
    compression: float
    by_thresholds: bool
    found: str

    @property
    def flag(self) -> bool:
        """Tell whether its model was caught in a loop."""
        return bool(self.found)


def repetition_of(text: str) -> Repetition:
    """Return how repetitive a text is; of one longer than `LONGEST` characters, its end."""
    text = text[-LONGEST:]
    tokens = tokens_of(text)
    prose = parts_of(text).prose
    of_prose = tokens if prose == text else tokens_of(prose)
    repeated, compression = rep_n(tokens), comp_ratio(text)
    if prose == text:
        by_thresholds = _is_over(tokens, repeated, compression)
    else:
        by_thresholds = _is_over(of_prose, rep_n(of_prose), comp_ratio(prose))
    return Repetition(len(tokens), repeated, compression, by_thresholds, _found(text, tokens))


def repetition_flag(text: str) -> bool:
    """Tell whether the model that wrote a text was caught in a loop."""
    text = text[-LONGEST:]
    return bool(_found(text, tokens_of(text)))


def repetitive_by_thresholds(text: str) -> bool:
    """Tell what the usual flag does: rep-4 and compression of prose are over a threshold, or it ends in a loop.

    It flags refrains, contracts and lists in one pattern, too, and misses loops with a counter.

    Source: Welleck et al. 2020 and Radford et al. 2023, as in `text_metrics.py`.
    """
    prose = parts_of(text[-LONGEST:]).prose
    tokens = tokens_of(prose)
    return _is_over(tokens, rep_n(tokens), comp_ratio(prose))


def _is_over(tokens: Sequence[str], repeated: float, compression: float) -> bool:
    is_much = repeated > OVER or (compression > PACKED and repeated > PACKED_OVER)
    return (len(tokens) >= FEWEST_TOKENS and is_much) or tail_loop(tokens) > 0


def _found(text: str, tokens: Sequence[str]) -> str:
    if _has_run(text, tokens):
        return "characters"
    if len(tokens) < SHORTEST_LOOP:
        return ""
    parts = parts_of(text)
    prose, is_whole = (text, True) if not parts.data.strip() else (parts.prose, False)
    found = _in_prose(prose, tokens if is_whole else tokens_of(prose), is_last=is_whole or not parts.is_cut)
    if found or not parts.is_cut:
        return found
    return "cut" if _is_cut_in_a_loop(tokens_of(parts.data)) else ""


def _in_prose(text: str, tokens: Sequence[str], *, is_last: bool) -> str:
    """Return which loop prose was caught in; `is_last` where the text ends with it."""
    for loop in loops_in(tokens):
        if _is_drawn(tokens, loop):
            continue
        if is_last and loop.is_last and loop.length >= SHORTEST_LOOP:
            return "tail_loop"
        if any(loop.repeats >= repeats and loop.length >= length for repeats, length in (MIDDLE, STUTTER)):
            return "loop"
    for loop in counted_loops_in(tokens):
        if loop.repeats >= COUNTED[0] and loop.length >= COUNTED[1]:
            return "counted"
    return "stale" if len(tokens) >= FEWEST_TOKENS and _is_stale(text, tokens) else ""


def _is_stale(text: str, tokens: Sequence[str]) -> bool:
    """Tell whether most of a text, or of its end, was said before and nothing new comes any more."""
    if rep_n(tokens) <= STALE / 2 and rep_n(tokens[-TAILS[0] :]) <= STALE:
        return False  # by far the most texts
    unnumbered = _LEADING_NUMBER.sub("", text)
    tokens = tokens_of(unnumbered) if unnumbered != text else tokens
    seen, is_new = set[tuple[str, ...]](), list[bool]()
    for gram in zip(tokens, tokens[1:], tokens[2:], tokens[3:], strict=False):
        is_new.append(gram not in seen)
        seen.add(gram)
    for size, limit in ((len(tokens), STALE), *((tail, STALE_TAIL) for tail in TAILS if tail < len(tokens))):
        later = is_new[-(size // 2) :]
        if sum(later) <= NEW * len(later) and rep_n(tokens[-size:]) > limit:
            return words_in(unnumbered) >= CLAUSE * clauses_in(unnumbered)
    return False


def _is_cut_in_a_loop(tokens: Sequence[str]) -> bool:
    """Tell whether data ends in a loop that nothing but its end cuts."""
    for loop in loops_in(tokens):
        period = tokens[loop.start : loop.start + loop.period]
        is_of_numbers = any(map(str.isdigit, period)) and not any(map(str.isalpha, period))
        is_framed = "|" in period and loop.repeats >= ROWS
        is_long = loop.repeats >= DATA[0] and loop.length >= (NUMBERS if is_of_numbers and not is_framed else DATA[1])
        if loop.is_last and is_long and not _is_drawn(tokens, loop):
            return True
    return any(
        loop.is_last and loop.repeats >= COUNTED_DATA[0] and loop.length >= COUNTED_DATA[1]
        for loop in counted_loops_in(tokens)
    )


def _is_drawn(tokens: Sequence[str], loop: Loop) -> bool:
    """Tell a rule, a frame or dots that lead the eye, from marks that a model could not stop writing."""
    return loop.length <= LONGEST_RULE and DRAWN.issuperset(tokens[loop.start : loop.start + loop.period])


def _has_run(text: str, tokens: Sequence[str]) -> bool:
    """Tell whether a few characters stand there again and again, without a blank between them."""
    if len(text) - len(text.rstrip()) >= _LONGEST_BLANK:
        return True
    runs = (_RUN.search(token) for token in tokens if len(token) >= _LONG_WORD)
    return any(run is not None and run[0].strip("_") and run.end() - run.start() >= _LONG_WORD for run in runs)
