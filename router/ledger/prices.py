"""Price book (YAML) -> the price of a model on a day.

Rows are only ever appended. A row holds from its day (UTC) until its end or until a later row of the same kind begins,
and its version is a digest of what it says, so that a record names the very price it was charged at. A model that
stands in no row has no price: it is counted as unpriced, never as free. A clock that goes back finds older prices.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from time import time
from typing import Final

import yaml

from classifier.regular_files import read_regular
from router.base import Price
from router.ledger.hosting import Hosting, Standing
from router.ledger.price_order import Finding, findings_between
from router.ledger.price_overlaps import holding
from router.ledger.price_rows import BOOK_VERSION, Row, mapping_of, place_of, read_row

SHIPPED = Path(__file__).with_name("prices.yaml")
_SECONDS_A_DAY: Final = 86_400
_REMEMBERED: Final = 1_024  # names whose price of today is kept at hand


class PriceBookError(Exception):
    """The price book cannot be used; one line of the message for each fault, with file, line and column."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A price book that was read, and what is to be said of it.

    Attributes:
        findings: by line and column.
        rows: those that are right by themselves.
    """

    file: Path
    findings: tuple[Finding, ...]
    rows: tuple[Row, ...]

    @property
    def faults(self) -> tuple[str, ...]:
        """Return why it cannot be used, as "file:line:column: message"."""
        return tuple(
            f"{self.file}:{each.line}:{each.column}: {each.message}" for each in self.findings if each.is_fault
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return what is odd, as "file:line:column: message"."""
        return tuple(
            f"{self.file}:{each.line}:{each.column}: {each.message}" for each in self.findings if not each.is_fault
        )


class PriceBook:
    """Prices by the model's name.

    Attributes:
        rows: all of them, as they stand there.
    """

    def __init__(self, rows: Sequence[Row], *, today: Callable[[], date]) -> None:
        """Take the rows, and what tells the day."""
        self.rows = tuple(rows)
        self._today = today
        self._by_name: dict[str, list[Row]] = {}
        self._patterns: list[Row] = []
        for row in sorted(rows, key=lambda row: row.valid_from):
            if row.pattern is None:
                self._by_name.setdefault(row.name, []).append(row)
            else:
                self._patterns.append(row)
        self._day: date | None = None
        self._known: dict[str, Price | None] = {}

    def price_of(self, name: str) -> Price | None:
        """Return today's price with its variants, or None where the book has none, or two that contradict."""
        today = self._today()
        if today != self._day:
            self._day, self._known = today, {}
        if name in self._known:
            return self._known[name]
        price = self.price_on(name, today)
        if len(self._known) < _REMEMBERED:
            self._known[name] = price
        return price

    def price_on(self, name: str, day: date) -> Price | None:
        """Return the price of another day; see `price_of`."""
        rows = self.rows_of(name, day)
        usual = next((row.price for row in rows if not row.price.service_tier and not row.price.above_input), None)
        if usual is None:
            return None
        others = [replace(row.price, model=name) for row in rows if row.price is not usual]
        return replace(usual, model=name, variants=tuple(others))

    def rows_of(self, name: str, day: date) -> list[Row]:
        """Return the rows that hold on a day: those of the name itself, else those of the one expression it matches."""
        found = self.matching(name, day)
        return found if len({row.name for row in found}) <= 1 else []

    def matching(self, name: str, day: date) -> list[Row]:
        """Return the rows that hold on a day, also where the name matches two expressions and so has no price."""
        found = holding(self._by_name.get(name, ()), day)
        return found or holding([row for row in self._patterns if row.covers(name)], day)

    def hosting_of(self, name: str, day: date) -> Hosting | None:
        """Return what a model's price of a day was computed from; None where it is a list price, or unknown."""
        return next((row.hosting for row in self.rows_of(name, day) if row.hosting is not None), None)

    def loaded(self, name: str, since: float, until: float) -> int | None:
        """Return nano-USD that a model's GPUs cost, asked or idle; None where it has none of ours in that time.

        Args:
            since, until: wall time, seconds since 1970.
        """
        total, has_any = Fraction(0), False
        start, end = Fraction(since), Fraction(until)
        while start < end:
            midnight = Fraction((start // _SECONDS_A_DAY + 1) * _SECONDS_A_DAY)
            hosting = self.hosting_of(name, datetime.fromtimestamp(float(start), UTC).date())
            if hosting is not None:
                has_any = True
                total += hosting.loaded(min(midnight, end) - start)
            start = midnight
        return round(total) if has_any else None

    def standings(self, allocated: Mapping[str, int], *, since: float, until: float) -> tuple[Standing, ...]:
        """Return what the GPUs of each model cost, of those that are ours.

        Args:
            allocated: nano-USD that each model's tokens cost in that time; 0 for one that nobody asked.
            since, until: wall time, seconds since 1970.
        """
        loaded = {name: self.loaded(name, since, until) for name in allocated}
        return tuple(Standing(name, allocated[name], cost) for name, cost in loaded.items() if cost is not None)


def utc_today() -> date:
    """Return the day by which prices change."""
    return _date_of(int(time() // _SECONDS_A_DAY))


@lru_cache(2)  # asked of each request
def _date_of(days: int) -> date:
    """Return a day by its number since 1970."""
    return date(1970, 1, 1) + timedelta(days)


def load(path: Path | None, *, today: Callable[[], date] = utc_today) -> PriceBook:
    """Return the book in a file; None means the shipped one.

    Raises:
        PriceBookError: the file cannot be read, or rows are wrong; names all of them.
    """
    checked = check_book(path)
    if checked.faults:
        raise PriceBookError("\n".join(checked.faults))
    return PriceBook(checked.rows, today=today)


def check_book(path: Path | None, *, names: Iterable[str] | None = None) -> Checked:
    """Return what a file says, and what is wrong with it; None means the shipped one.

    Args:
        names: of models that are known, beside those of the book: none may match two expressions. None does not look
            for such names, since trying takes its time, and a gateway does with the book: it leaves them unpriced.

    Raises:
        PriceBookError: the file cannot be read.
    """
    file = path or SHIPPED
    try:
        root = yaml.compose(read_regular(file).decode(), Loader=yaml.BaseLoader)
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise PriceBookError(f"{file}: cannot be read: {reason}; name another price book") from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise PriceBookError(f"{file}: cannot be read: {type(error).__name__}") from error
    except yaml.YAMLError as error:
        raise PriceBookError(f"{file}: not YAML: {error}") from error
    found: list[Finding] = []

    def fault(node: yaml.Node | None, message: str) -> None:
        found.append(Finding(*place_of(node), message, is_fault=True))

    rows = _rows(root, fault)
    found += findings_between(rows, names=names)
    return Checked(file, tuple(sorted(found, key=lambda each: (each.line, each.column, each.message))), tuple(rows))


def _rows(root: yaml.Node | None, fault: Callable[[yaml.Node | None, str], None]) -> list[Row]:
    fields = mapping_of(root, known=("version", "prices"), fault=fault)
    version, prices = fields.get("version"), fields.get("prices")
    if version is None or version.value != BOOK_VERSION:
        fault(version or root, f'version is not {BOOK_VERSION}; begin the book with "version: {BOOK_VERSION}"')
    if not isinstance(prices, yaml.SequenceNode):
        fault(prices or root, "prices is not a list; give one row for each price")
        return []
    return [row for node in prices.value if (row := read_row(node, fault)) is not None]
