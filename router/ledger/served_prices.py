"""Price book and ledger -> the rows that a gateway has served with, kept in the ledger, and those that say it no more.

A book is only appended to: what was charged by a row can be worked out again as long as the row is there. So each row
that may charge is kept among the ledger's marks, by its version, and a book in which it is gone or says another price
is told of. Nothing is refused for that: the money is counted, and the price that it was counted by is kept here.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import date
from typing import Final

from router.ledger.engines.base import Shape
from router.ledger.engines.opening import engine_of, unavailable
from router.ledger.money import BUCKETS, PICO_PER_PRICE_UNIT, usd
from router.ledger.place import LedgerPlace, Reading, in_words, reading
from router.ledger.price_rows import Row

_NAME: Final = "price "  # of a mark, before the version
_KEPT: Final = "SELECT name, value FROM marks WHERE name >= 'price ' AND name < 'price!' ORDER BY name"
_CHARGED: Final = "SELECT 1 AS found FROM attempts WHERE price_version = :version LIMIT 1"
_MARK: Final = Shape("marks", ("name", "value"), 1, "replace")


@dataclass(frozen=True, slots=True)
class Served:
    """A row as a gateway served with it.

    Attributes:
        whose: price it is, in words, with its service tier and the length of prompts that it begins at.
        kind: as `router.ledger.price_rows.Row.kind`.
        valid_from, seen: days; the latter is that of the latest start of a gateway with it.
        valid_to: as the book said it, then; None where it said nothing, and in ledgers that did not keep it yet.
        line: in the book, then.
        rates: pico-USD a token, by bucket.
        per_request: nano-USD.
    """

    version: str
    whose: str
    kind: tuple[str, bool, str, int]
    valid_from: str
    seen: str
    line: int
    rates: Mapping[str, int]
    per_request: int
    valid_to: str | None = None

    @property
    def place(self) -> tuple[object, ...]:
        """Return what only one row of a book may have."""
        return *self.kind, self.valid_from


@dataclass(frozen=True, slots=True)
class Change:
    """A row that was served with, and that the book does not have any more.

    Attributes:
        line: of what stands in its place; 1 where nothing does.
        words: what is wrong, and what to do.
    """

    line: int
    words: str


def kept_prices(ledger: Reading) -> list[Served]:
    """Return the rows that gateways of this ledger have served with; of each version the latest."""
    found = ((row["name"].removeprefix(_NAME), json.loads(row["value"])) for row in ledger.rows(_KEPT))
    return [Served(version, **{**told, "kind": tuple(told["kind"])}) for version, told in found]


def changes_in(rows: Sequence[Row], ledger: Reading) -> list[Change]:
    """Return what a book has lost of what was served with, by line."""
    return _changes_since(kept_prices(ledger), rows, ledger)


def keep_prices(place: LedgerPlace, rows: Sequence[Row], *, names: Iterable[str], today: date) -> list[Change]:
    """Keep the rows that may charge for models of these names; returns what the book has lost since.

    Raises:
        LedgerUnreadable: the ledger cannot be read.
        Unavailable: it cannot be written.
    """
    wanted = tuple(names)
    told = [_told(row, today) for row in rows if any(row.covers(name) for name in wanted)]
    with reading(place) as opened:
        kept = kept_prices(opened)
        changes = _changes_since(kept, rows, opened)
    fresh = [(f"{_NAME}{each.version}", _written(each)) for each in told if each not in kept]
    if fresh:
        with closing(engine_of(place)) as engine:
            try:
                with engine.transaction():
                    engine.insert(_MARK, fresh)
            except engine.errors as error:
                raise unavailable(place, "written", in_words(error)) from error
    return changes


def usd_per_million(rate: int) -> str:
    """Return a price in USD per million tokens, exactly, of pico-USD a token."""
    return usd(rate * 10**9 // PICO_PER_PRICE_UNIT)


def _changes_since(kept: Sequence[Served], rows: Sequence[Row], ledger: Reading) -> list[Change]:
    def was_charged(version: str) -> bool:
        return ledger.one(_CHARGED, version=version) is not None

    return sorted(_changes(kept, rows, was_charged), key=lambda change: (change.line, change.words))


def _changes(kept: Sequence[Served], rows: Sequence[Row], was_charged: Callable[[str], bool]) -> Iterator[Change]:
    now = {_told(row, row.valid_from).place: row for row in rows}
    versions = {row.price.version for row in rows}
    known = {each.place for each in kept if each.version in versions}
    for each in kept:
        if each.version in versions:
            continue
        there = now.get(each.place)
        differs = "" if there is None else _difference(each, there)
        if there is not None and not differs:  # other words for the same price
            continue
        # Of one that never came into force, and of one whose place another has taken since, only its charges matter.
        was_used = each.valid_from <= each.seen and each.place not in known
        if was_used or was_charged(each.version):
            yield Change(1 if there is None else there.line, _words(each, differs))


def _words(served: Served, differs: str) -> str:
    was = f"{served.whose} from {served.valid_from} on was served with as version {served.version}, then in line"
    if differs:
        return f"{was} {served.line}, and says another price now: {differs}; put it back, and append a later row"
    return f"{was} {served.line}, and is gone; put it back, and end it with valid_to or with a later row"


def _difference(served: Served, row: Row) -> str:
    now = _told(row, row.valid_from)
    found = [
        f"{name} was {usd_per_million(served.rates[name])}, is {usd_per_million(rate)}"
        for name, rate in now.rates.items()
        if rate != served.rates.get(name, rate)
    ]
    if now.per_request != served.per_request:
        found.append(f"per_request was {usd(served.per_request)}, is {usd(now.per_request)}")
    return ", ".join(found)


def _told(row: Row, today: date) -> Served:
    price = row.price
    rates = {name: price.rate(name) for name in BUCKETS}
    first, day = row.valid_from.isoformat(), today.isoformat()
    end = None if row.valid_to is None else row.valid_to.isoformat()
    return Served(price.version, row.describe(), row.kind, first, day, row.line, rates, price.per_request, end)


def _written(served: Served) -> str:
    said = asdict(served)
    del said["version"]
    return json.dumps(said, ensure_ascii=False)
