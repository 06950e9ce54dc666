"""Rows of a price book -> what is wrong between them, and what is odd.

Wrong is what would leave two prices for one token. Odd is what a slip of the pen looks like, and what a true price
might be nevertheless: it is said by `prices lint`, and stops nothing.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Final

from router.ledger.price_overlaps import overlaps_between
from router.ledger.price_rows import Row

_DEARER: Final = (
    ("fresh_input", "cached_input", "cached input costs more than fresh input"),
    ("output", "fresh_input", "output costs less than input"),
    ("cache_write", "fresh_input", "what is written into a cache costs less than what is not"),
    ("cache_write_1h", "cache_write", "to keep a cache for an hour costs less than for minutes"),
)
"""Bucket, one that is no dearer, and what is said where it is."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about a book.

    Attributes:
        line, column: from 1.
        is_fault: the book cannot be used so; else it is only odd.
    """

    line: int
    column: int
    message: str
    is_fault: bool


def findings_between(rows: Sequence[Row], *, names: Iterable[str] | None = None) -> list[Finding]:
    """Return what is wrong and odd about rows that are right one by one, in no order.

    Args:
        names: of models that are known, which are tried on expressions, as these are on each other; None tries nothing.
    """
    kinds: dict[tuple[str, bool, str, int], list[Row]] = {}
    for row in rows:
        kinds.setdefault(row.kind, []).append(row)
    found = [each for same in kinds.values() for each in _of_one_kind(sorted(same, key=lambda row: row.valid_from))]
    found += _without_base(rows)
    found += () if names is None else _of_two_expressions(rows, names)
    return found + [Finding(row.line, row.column, message, is_fault=False) for row in rows for message in _odd(row)]


def _of_one_kind(rows: Sequence[Row]) -> Iterator[Finding]:
    """Yield overlaps and gaps; a row without an end holds until the next begins."""
    for row, later in pairwise(rows):
        if row.valid_from == later.valid_from:
            first, second = sorted((row, later), key=lambda each: each.line)
            words = f"{row.describe()} has a price from {row.valid_from} already, in line {first.line}; remove one"
            yield Finding(second.line, second.column, words, is_fault=True)
        elif row.valid_to is not None and row.valid_to > later.valid_from:
            words = f"{row.describe()} holds until {row.valid_to}, and another price begins on {later.valid_from}, in line {later.line}"  # noqa: E501  (one sentence)
            yield Finding(row.line, row.column, words, is_fault=True)
        elif row.valid_to is not None and row.valid_to < later.valid_from:
            words = f"{later.describe()} has no price from {row.valid_to} until {later.valid_from}"
            yield Finding(later.line, later.column, words, is_fault=False)


def _of_two_expressions(rows: Sequence[Row], names: Iterable[str]) -> Iterator[Finding]:
    """Yield expressions that one name matches: it would have two prices, and so has none."""
    for each in overlaps_between(rows, names=names):
        words = (
            f"{each.second.describe()} matches {each.name!r}, as {each.first.describe()} does in line"
            f" {each.first.line}, from {each.day} on; narrow one of them, or give the name a row of its own"
        )
        yield Finding(each.second.line, each.second.column, words, is_fault=True)


def _without_base(rows: Sequence[Row]) -> Iterator[Finding]:
    """Yield the first rows for long prompts and for service tiers that have no row to vary."""
    begins: dict[tuple[str, bool, str, int], date] = {}
    for row in rows:
        begins[row.kind] = min(begins.get(row.kind, date.max), row.valid_from)
    for row in rows:
        name, is_pattern, tier, above = row.kind
        if above and begins.get((name, is_pattern, tier, 0), date.max) > row.valid_from:
            words = f"{row.describe()} has no price for shorter prompts on {row.valid_from}; add a row without above_input_tokens"  # noqa: E501  (one sentence)
            yield Finding(row.line, row.column, words, is_fault=True)
        elif tier and begins.get((name, is_pattern, "", 0), date.max) > row.valid_from:
            words = f"{row.describe()} has no price without a service tier on {row.valid_from}; add a row for it"
            yield Finding(row.line, row.column, words, is_fault=True)


def _odd(row: Row) -> Iterator[str]:
    price = row.price
    for dear, cheap, words in _DEARER:
        if price.rate(dear) < price.rate(cheap) and (price.output or dear != "output"):  # embeddings have no output
            yield f"{row.describe()}: {words}"
