"""Price book (YAML) -> the price of a model on a day.

Rows are only ever appended. A row holds from its day (UTC) until a later row of the same model begins, and
its version is a digest of what it says, so that a record names the very price it was charged at. A model
that stands in no row has no price: it is counted as unpriced, never as free.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import yaml

from router.base import Price
from router.ledger.money import pico_per_token

SHIPPED = Path(__file__).with_name("prices.yaml")
BOOK_VERSION = "1"

_DAYS = ("valid_from", "captured_at")
_PRICES = ("fresh_input", "cached_input", "output")
_FIELDS = ("model", *_DAYS, *_PRICES, "source")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


class PriceBookError(Exception):
    """The price book cannot be used; one line of the message for each fault, with file and line."""


@dataclass(frozen=True, slots=True)
class Row:
    """One price of one model, from a day on."""

    valid_from: date
    price: Price


class PriceBook:
    """Prices by the model's name."""

    def __init__(self, rows: tuple[Row, ...], *, today: Callable[[], date]) -> None:
        """Take the rows, and what tells the day."""
        self._today = today
        self._latest_first: dict[str, list[Row]] = {}
        for row in sorted(rows, key=lambda row: row.valid_from, reverse=True):
            self._latest_first.setdefault(row.price.model, []).append(row)

    def price_of(self, name: str) -> Price | None:
        """Return today's price, or None where the book has none."""
        rows = self._latest_first.get(name)
        if rows is None:
            return None
        today = self._today()
        return next((row.price for row in rows if row.valid_from <= today), None)


def utc_today() -> date:
    """Return the day by which prices change."""
    return datetime.now(UTC).date()


def load(path: Path | None, *, today: Callable[[], date] = utc_today) -> PriceBook:
    """Return the book in a file; None means the shipped one.

    Raises:
        PriceBookError: the file cannot be read, or rows are wrong; names all of them.
    """
    file = path or SHIPPED
    try:
        # Nodes, not values: a price that passed through a float would no longer be the one written.
        root = yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    except (OSError, UnicodeDecodeError, RecursionError) as error:
        raise PriceBookError(f"{file}: cannot be read: {type(error).__name__}") from error
    except yaml.YAMLError as error:
        raise PriceBookError(f"{file}: not YAML: {error}") from error
    reader = _Reader()
    rows = reader.book(root)
    if reader.faults:
        raise PriceBookError("\n".join(f"{file}:{line}: {fault}" for line, fault in sorted(reader.faults)))
    return PriceBook(rows, today=today)


class _Reader:
    """Nodes -> rows; gathers what is wrong by line."""

    def __init__(self) -> None:
        self.faults: list[tuple[int, str]] = []

    def book(self, root: yaml.Node | None) -> tuple[Row, ...]:
        """Return the rows; the ones at fault are left out."""
        fields = self._fields(root, known=("version", "prices"))
        version, prices = fields.get("version"), fields.get("prices")
        if version is None or version.value != BOOK_VERSION:
            self._fault(
                version or root, f'version is not {BOOK_VERSION}; begin the book with "version: {BOOK_VERSION}"'
            )
        if not isinstance(prices, yaml.SequenceNode):
            self._fault(prices or root, "prices is not a list; give one row for each price")
            return ()
        rows: list[Row] = []
        lines: dict[tuple[str, date], int] = {}
        for node in prices.value:
            row = self._row(node)
            if row is None:
                continue
            key = row.price.model, row.valid_from
            if key in lines:
                self._fault(node, f"{key[0]} has a price from {key[1]} already, in line {lines[key]}; remove one")
            lines.setdefault(key, _line(node))
            rows.append(row)
        return tuple(rows)

    def _row(self, node: yaml.Node) -> Row | None:
        before = len(self.faults)
        fields = self._fields(node, known=_FIELDS)
        for name in _FIELDS:
            if name not in fields and name != "cached_input" and isinstance(node, yaml.MappingNode):
                self._fault(node, f"{name} is missing")
        texts = {name: self._text(name, field) for name, field in fields.items()}
        days = {name: self._day(name, fields[name], texts[name]) for name in _DAYS if texts.get(name)}
        pico = {name: self._pico(name, fields[name], texts[name]) for name in _PRICES if texts.get(name)}
        if len(self.faults) > before:
            return None
        said = "\n".join(f"{name}={texts[name]}" for name in sorted(texts))
        price = Price(
            model=texts["model"],
            version=hashlib.sha256(said.encode()).hexdigest()[:12],
            fresh_input=pico["fresh_input"],
            cached_input=pico.get("cached_input", pico["fresh_input"]),
            output=pico["output"],
        )
        return Row(days["valid_from"], price)

    def _fields(self, node: yaml.Node | None, *, known: tuple[str, ...]) -> dict[str, yaml.Node]:
        if not isinstance(node, yaml.MappingNode):
            self._fault(node, f"not a mapping; give it {', '.join(known)}")
            return {}
        fields: dict[str, yaml.Node] = {}
        for key, value in node.value:
            if key.value not in known:
                self._fault(key, f"unknown field; known are {', '.join(known)}")
            elif key.value in fields:
                self._fault(key, f"{key.value} is given twice; remove one")
            else:
                fields[key.value] = value
        return fields

    def _text(self, name: str, node: yaml.Node) -> str:
        if isinstance(node, yaml.ScalarNode) and node.value.strip():
            return str(node.value)
        self._fault(node, f"{name} is empty or not a single value")
        return ""

    def _day(self, name: str, node: yaml.Node, text: str) -> date:
        try:
            if _DAY.fullmatch(text):
                return date.fromisoformat(text)
        except ValueError:  # such as the 30th of February
            pass
        self._fault(node, f"{name} is no day; write it as 2026-01-31")
        return date.min

    def _pico(self, name: str, node: yaml.Node, text: str) -> int:
        try:
            return pico_per_token(text)
        except ValueError as error:
            self._fault(node, f"{name} {error}")
            return 0

    def _fault(self, node: yaml.Node | None, message: str) -> None:
        self.faults.append((_line(node), message))


def _line(node: yaml.Node | None) -> int:
    return 1 if node is None else int(node.start_mark.line) + 1
