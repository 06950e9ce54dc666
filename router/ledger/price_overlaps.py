"""Rows whose names are expressions -> those of which one name matches two, on a day on which both hold.

Names are tried: those that are known, and those that one expression makes where its gaps are filled with what the other
is made of. What is found is certain, since there is the name. What is not found may be there nevertheless.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from importlib import import_module
from itertools import chain, combinations
from typing import Any, Final

from router.ledger.price_rows import Row

MOST: Final = 48  # names that one expression makes for another
LONGEST: Final = 120  # characters of one

_FILLINGS: Final = 4  # of the other's names, that gaps are filled with
_ANYTHING: Final = ("a", "0", "-")  # where any character may stand
_CATEGORIES: Final = {"CATEGORY_DIGIT": "0", "CATEGORY_WORD": "a", "CATEGORY_SPACE": " "}
_ALL_BUT: Final = frozenset({"ANY", "NOT_LITERAL", "NEGATE"})
_REPEATS: Final = frozenset({"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"})


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two rows that one name matches.

    Attributes:
        day: the first on which both hold.
    """

    first: Row
    second: Row
    name: str
    day: date


def overlaps_between(rows: Sequence[Row], *, names: Iterable[str] = ()) -> Iterator[Overlap]:
    """Yield one overlap for each two expressions of which one was found.

    Args:
        names: that are known, beside those of the rows.
    """
    by_expression: dict[str, list[Row]] = {}
    by_name: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: row.valid_from):
        (by_name if row.pattern is None else by_expression).setdefault(row.name, []).append(row)
    known = tuple(dict.fromkeys([*names, *by_name]))
    made = {expression: _made(expression, ()) for expression in by_expression}
    for one, other in combinations(by_expression, 2):
        there = by_expression[one], by_expression[other]
        fillings = made[one][:_FILLINGS], made[other][:_FILLINGS]
        tried = chain(known, made[one], made[other], _made(one, fillings[1]), _made(other, fillings[0]))
        both = (name for name in tried if there[0][0].covers(name) and there[1][0].covers(name))
        found = (_first_day(*there, by_name.get(name, ()), name) for name in both)
        overlap = next(filter(None, found), None)
        if overlap is not None:
            yield overlap


def holding(rows: Sequence[Row], day: date) -> list[Row]:
    """Return the last of each kind that has begun, where it has not ended; rows come by the day of their beginning."""
    latest = {row.kind: row for row in rows if row.valid_from <= day}
    return [row for row in latest.values() if row.valid_to is None or day < row.valid_to]


def _first_day(one: Sequence[Row], other: Sequence[Row], own: Sequence[Row], name: str) -> Overlap | None:
    """Return what a name meets; None where it has a row of its own, or is matched by one at a time."""
    begins = {row.valid_from for row in chain(one, other)} | {row.valid_to for row in own if row.valid_to is not None}
    for day in sorted(begins):
        pair = holding(one, day), holding(other, day)
        if all(pair) and not holding(own, day):
            first, second = sorted((pair[0][0], pair[1][0]), key=lambda row: row.line)
            return Overlap(first, second, name, day)
    return None


def _made(expression: str, fillings: Sequence[str]) -> tuple[str, ...]:
    """Return names that an expression might match; none of one that nests too deep to be walked."""
    parsed = import_module("re._parser").parse(expression)  # private, and the only one that reads them as `re` does
    try:
        return tuple(dict.fromkeys(_texts(parsed, fillings)))
    except RecursionError:
        return ()


def _texts(parsed: Iterable[tuple[Any, Any]], fillings: Sequence[str]) -> list[str]:
    texts = [""]
    for kind, said in parsed:
        longer = [text + piece for text in texts for piece in _pieces(str(kind), said, fillings)]
        texts = [text for text in longer[:: -(-len(longer) // MOST) or 1] if len(text) <= LONGEST]
    return texts


def _pieces(kind: str, said: Any, fillings: Sequence[str]) -> Sequence[str]:  # noqa: ANN401 - of a parser without types
    """Return what may stand for one part; that which does not match after all is tried in vain."""
    if kind == "IN":
        return list(dict.fromkeys(chain.from_iterable(_characters(str(each), value) for each, value in said)))
    if kind in _REPEATS:
        least, most, part = said
        repeated = [text * min(max(least, 1), LONGEST) for text in _texts(part, fillings)]
        return [*([""] if least == 0 else []), *(fillings if most > 1 else ()), *repeated]
    if kind == "BRANCH":
        return list(chain.from_iterable(_texts(branch, fillings) for branch in said[1]))
    if kind in {"SUBPATTERN", "ATOMIC_GROUP"}:
        return _texts(said[-1] if kind == "SUBPATTERN" else said, fillings)
    return _characters(kind, said)


def _characters(kind: str, said: Any) -> Sequence[str]:  # noqa: ANN401 - as above
    if kind == "LITERAL":
        return (chr(said),)
    if kind == "RANGE":
        return chr(said[0]), chr(said[1])
    if kind == "CATEGORY":
        return (_CATEGORIES.get(str(said), "-"),)
    return _ANYTHING if kind in _ALL_BUT else ("",)  # what takes no character, or is beyond this
