"""Ledger and price book -> what GPUs of our own cost, beside what the tokens cost that they made.

What is spent counts tokens alone. Hours cost too, asked or idle: the difference is told, and is part of no saving.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from router.ledger.cubes import DAY
from router.ledger.hosting import Standing, together
from router.ledger.money import usd
from router.ledger.place import LedgerPlace, reading
from router.ledger.prices import PriceBook

_COSTS: Final = f"""
SELECT model, min(bucket) AS first, sum(cost) AS cost FROM totals
WHERE width = {DAY} AND bucket >= :first AND bucket < :after GROUP BY model
"""  # noqa: S608 - a number of ours


@dataclass(frozen=True, slots=True)
class Hosted:
    """GPUs of our own in a span of time.

    Attributes:
        since, until: seconds since 1970.
        standings: by model; one at least.
    """

    since: float
    until: float
    standings: tuple[Standing, ...]

    def words(self) -> list[str]:
        """Return it in lines to be read."""
        first, last = (
            datetime.fromtimestamp(each, UTC).strftime("%Y-%m-%dT%H:%MZ") for each in (self.since, self.until)
        )
        said = [f"GPUs of our own, {first} to {last}; idle hours are no part of what was spent:"]
        whole = [together(self.standings)] if len(self.standings) > 1 else []
        said += [
            f"  {each.model or 'together'}: tokens {usd(each.allocated)} USD (allocated), hours {usd(each.loaded)} USD"
            f" (fully loaded), idle {usd(each.idle)} USD, {each.idle_share:.1%} of the hours"
            for each in (*self.standings, *whole)
        ]
        return said

    def as_json(self) -> dict[str, object]:
        """Return what `--json` prints; money in nano-USD."""
        models = {each.model: _as_json(each) for each in self.standings}
        return {"since": self.since, "until": self.until, **_as_json(together(self.standings)), "models": models}


def hosted(
    ledger: LedgerPlace | Path,
    book: PriceBook,
    names: Mapping[str, str],
    *,
    since: float,
    until: float,
    now: float | None = None,
) -> Hosted | None:
    """Return what GPUs of our own cost from the first day of a span on that has a request; None where there are none.

    Args:
        names: of each model's price in the book.
        since, until: seconds since 1970; the former's whole day counts.
        now: wall time, seconds since 1970; None asks the clock.

    Raises:
        LedgerUnreadable: it cannot be read.
    """
    end = min(until, time.time() if now is None else now)
    span = {"first": int(max(since, 0.0) // DAY), "after": int(-(-end // DAY))}
    with reading(ledger) as opened:
        rows = list(opened.rows(_COSTS, **span))
    if not rows:
        return None
    costs = dict.fromkeys(names.values(), 0)
    for row in rows:
        name = names.get(row["model"], row["model"])
        costs[name] = costs.get(name, 0) + int(row["cost"])
    begin = float(min(row["first"] for row in rows) * DAY)
    standings = book.standings(costs, since=begin, until=end)
    return Hosted(begin, end, standings) if standings else None


def _as_json(standing: Standing) -> dict[str, object]:
    return {
        "allocated": standing.allocated,
        "fully_loaded": standing.loaded,
        "idle": standing.idle,
        "idle_share": standing.idle_share,
    }
