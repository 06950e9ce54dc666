"""A ledger's age -> what of it is erased, a little at a time.

    requests, attempts, assessments, signals    after `raw`
    sums of minutes                             after two days
    sums of hours and quarters, and of units    after `hours`
    sums of days, labels, ratings               never; text of the latter two is erased elsewhere

What is erased ends at the beginning of a day, and the ledger keeps in mind where that was: before it, sums are all
that is left, and nobody may compare them with rows. Blocking; belongs to the thread that writes.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from router.ledger.cubes import DAY, HOUR, MINUTE, QUARTER
from router.ledger.engines.base import Engine

MINUTES_KEPT: Final = 2.0 * DAY  # seconds
AT_ONCE: Final = 500  # requests in one step
_AT_ONCE: Final = {MINUTE: 60, HOUR: 24, QUARTER: 4, DAY: 1}  # sums of so many buckets
EVERY: Final = 600.0  # seconds from one look to the next

RAW: Final = "raw_from"
"""The mark of the time, seconds since 1970, from which on no row is missing; likewise for sums of one width:"""
FROM: Final = {MINUTE: "minutes_from", HOUR: "hours_from", QUARTER: "quarters_from"}
UNITS_FROM: Final = "units_from"

_MARK: Final = """
INSERT INTO marks (name, value) VALUES (:name, :value) ON CONFLICT (name) DO UPDATE SET value = excluded.value
"""
_MARKED: Final = "SELECT value FROM marks WHERE name = :name"
_OLD: Final = """
SELECT id FROM requests WHERE started < :before AND outcome IS NOT NULL ORDER BY started LIMIT :most
"""
_ERASE: Final = (
    "DELETE FROM attempts WHERE request_id {among}",
    "DELETE FROM assessments WHERE request_id {among}",
    "DELETE FROM signals WHERE request_id {among}",
    "DELETE FROM requests WHERE id {among}",
)


@dataclass(frozen=True, slots=True)
class Retention:
    """For how long what is kept, in seconds; None: for good."""

    raw: float | None = None
    hours: float | None = None


class Eraser:
    """Erases what is due, step by step.

    Args:
        clock: wall time, seconds since 1970. One that has jumped ahead would have everything erased, so that time is
            told from it once, and from then on by `ticks`.
        ticks: seconds of a clock that does not jump.
    """

    def __init__(
        self,
        engine: Engine,
        retention: Retention,
        *,
        clock: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine, self._retention, self._ticks = engine, retention, ticks
        self._offset = clock() - ticks()
        self._due = float("-inf")
        self._steps: Iterator[int] = iter(())

    @property
    def waits(self) -> float:
        """Return seconds until there is something to do."""
        return max(0.0, self._due - self._ticks())

    def step(self) -> int:
        """Erase some of what is due, in one transaction; returns how many rows, 0 where nothing is left for now.

        Raises:
            Exception: one of the engine's errors; it is tried again at the next look.
        """
        if self.waits:
            return 0
        try:
            for erased in self._steps:
                return erased
            self._steps = self._erase(self._ticks() + self._offset)
            for erased in self._steps:
                return erased
        except self._engine.errors:
            self._due = self._ticks() + EVERY
            raise
        self._due = self._ticks() + EVERY
        return 0

    def _erase(self, now: float) -> Iterator[int]:
        """Erase all that is due, step by step, each of which erases something."""
        raw, hours = self._retention.raw, self._retention.hours
        for table, column, width, kept, mark in (
            ("totals", "bucket", MINUTE, MINUTES_KEPT, FROM[MINUTE]),
            ("spreads", "bucket", MINUTE, MINUTES_KEPT, FROM[MINUTE]),
            ("totals", "bucket", HOUR, hours, FROM[HOUR]),
            ("spreads", "bucket", HOUR, hours, FROM[HOUR]),
            ("totals", "bucket", QUARTER, hours, FROM[QUARTER]),
            ("spreads", "bucket", QUARTER, hours, FROM[QUARTER]),
            ("units", "day", DAY, hours, UNITS_FROM),
        ):
            if kept is not None:
                yield from self._erase_sums(table, column, width, before=_day_of(now - kept), mark=mark)
        while raw is not None and (erased := self._erase_rows(_day_of(now - raw))):
            yield erased

    def _erase_rows(self, before: float) -> int:
        engine = self._engine
        with engine.transaction():
            old = [str(identifier) for (identifier,) in engine.run(_OLD, {"before": before, "most": AT_ONCE})[0]]
            if old:
                _advance(engine, RAW, before)
                for statement in _ERASE:
                    engine.among(statement, old)
        return len(old)

    def _erase_sums(self, table: str, column: str, width: int, *, before: float, mark: str) -> Iterator[int]:
        """Erase sums of one width, an hour of minutes, a day of hours or a day at a time."""
        of_width = "" if table == "units" else f"width = {width} AND "
        oldest = f"SELECT min({column}) FROM {table} WHERE {of_width}{column} < :before"  # noqa: S608 - names of ours
        erase = f"DELETE FROM {table} WHERE {of_width}{column} < :until"  # noqa: S608 - likewise
        last = int(before // width)
        while True:
            with self._engine.transaction():
                ((first,), *_), _ = self._engine.run(oldest, {"before": last})
                if first is None:
                    return
                _advance(self._engine, mark, before)
                erased = self._engine.run(erase, {"until": min(last, first + _AT_ONCE[width])})[1]
            yield erased


def _advance(engine: Engine, name: str, value: float) -> None:
    """Move a mark, never back."""
    found, _ = engine.run(_MARKED, {"name": name})
    if not found or float(str(found[0][0])) < value:
        engine.run(_MARK, {"name": name, "value": repr(value)})


def _day_of(moment: float) -> float:
    return float(moment // DAY * DAY)
