"""Ledger -> the prices that its rows were charged at, older rows of the book too, and how many rows each.

A row names the version of its price, and the ledger keeps what a gateway has served with: so this needs no price book.
Rows without a cost were charged at nothing, and are left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from router.ledger.cubes import DAY
from router.ledger.ids import first_id
from router.ledger.money import usd
from router.ledger.place import LedgerPlace, Reading, reading
from router.ledger.retention import RAW
from router.ledger.served_prices import Served, kept_prices, usd_per_million

_SHOWN: Final = ("fresh_input", "cached_input", "output")

# By the version alone, which sorts a million rows in half the time that it takes with the model.
_CHARGED: Final = """
SELECT price_version AS version, count(cost) AS calls FROM attempts
WHERE request_id >= :first AND request_id < :after AND price_version <> '' GROUP BY price_version
"""
_BEFORE_ALL, _AFTER_ALL = "", "~"  # ids are letters, digits and "_"


@dataclass(frozen=True, slots=True)
class Charged:
    """A price of a model, in one service tier, beyond one length of a prompt.

    Attributes:
        version: of the row in the book.
        served: that row, as a gateway served with it; None where this ledger has not kept it.
        valid_to: the first day on which it holds no more, by what was served with since; None where it still holds.
        is_replaced: a gateway has started since with another row in its place.
        rows: answers, retries, shadow calls and so on that it was the price of.
    """

    version: str
    served: Served | None
    valid_to: str | None
    is_replaced: bool
    rows: int

    def __str__(self) -> str:
        if self.served is None:
            return f"version {self.version}, which this ledger has not kept: {self.rows:,} rows"
        each = self.served
        until = "on" if self.valid_to is None else f"until {self.valid_to}"
        until += f", replaced after {each.seen}" if self.is_replaced else ""
        rates = ", ".join(f"{name} {usd_per_million(each.rates[name])}" for name in _SHOWN)
        rates += f", {usd(each.per_request)} USD a request" if each.per_request else ""
        return f"{each.whose} from {each.valid_from} {until}, version {self.version}: {self.rows:,} rows ({rates})"

    def as_json(self) -> dict[str, object]:
        """Return what `--json` prints; money in USD, as text that is exact."""
        each, said = self.served, {"version": self.version, "rows": self.rows}
        if each is None:
            return {**said, "model": None}
        model, is_expression, service_tier, above = each.kind
        return {
            **said,
            "model": model,
            "is_expression": is_expression,
            "service_tier": service_tier,
            "above_input_tokens": above,
            "valid_from": each.valid_from,
            "valid_to": self.valid_to,
            "is_replaced": self.is_replaced,
            "last_served": each.seen,
            "usd_per_million_tokens": {name: usd_per_million(rate) for name, rate in each.rates.items()},
            "usd_per_request": usd(each.per_request),
        }


def charged_prices(
    ledger: LedgerPlace | Path, *, since: float = float("-inf"), until: float = float("inf")
) -> list[Charged]:
    """Return the prices that the rows of the days were charged at which a span touches, by model and day.

    Args:
        since, until: seconds since 1970. Days are in UTC; those whose rows have been erased are left out.

    Raises:
        LedgerUnreadable: it cannot be read.
    """
    with reading(ledger) as opened:
        kept = kept_prices(opened)
        begin = max(since, _first_raw(opened))
        first = _BEFORE_ALL if begin == float("-inf") else first_id(begin // DAY * DAY)
        after = _AFTER_ALL if until == float("inf") else first_id(-(-until // DAY) * DAY)
        rows = list(opened.rows(_CHARGED, first=first, after=after))
    served = {each.version: each for each in kept}
    found = [_charged(row["version"], int(row["calls"]), served, kept) for row in rows if row["calls"]]
    return sorted(found, key=_place)


def words_of(charged: Sequence[Charged]) -> list[str]:
    """Return them in lines to be read; none where nothing was charged."""
    if not charged:
        return []
    return ["prices that rows were charged at, in USD per million tokens:", *(f"  {each}" for each in charged)]


def _first_raw(opened: Reading) -> float:
    row = opened.one("SELECT value FROM marks WHERE name = :name", name=RAW)
    return float("-inf") if row is None else float(row["value"])


def _charged(version: str, rows: int, served: dict[str, Served], kept: Sequence[Served]) -> Charged:
    each = served.get(version)
    if each is None:
        return Charged(version, None, None, is_replaced=False, rows=rows)
    is_replaced = any(other.place == each.place and other.seen > each.seen for other in kept)
    return Charged(version, each, _end(each, kept), is_replaced=is_replaced, rows=rows)


def _end(served: Served, kept: Sequence[Served]) -> str | None:
    """Return its own last day, or the first one of what followed it in the same book or in a later one."""
    later = [
        each.valid_from
        for each in kept
        if each.kind == served.kind and each.valid_from > served.valid_from and each.seen >= served.seen
    ]
    return min([*later, *([served.valid_to] if served.valid_to else [])], default=None)


def _place(charged: Charged) -> tuple[object, ...]:
    each = charged.served
    return (each is None, () if each is None else (*each.kind, each.valid_from, each.seen), charged.version)
