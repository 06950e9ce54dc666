"""A ledger's age -> what of it is erased, a little at a time.

    requests, attempts, assessments, signals    after `raw`
    sums of minutes                             after two days
    sums of hours and quarters, and of units    after `hours`
    sums of days, labels, ratings               never; text of the latter two is erased elsewhere

What is erased ends at the beginning of a day, and the ledger keeps in mind where that was: before it, sums are all
that is left, and nobody may compare them with rows. A clock that is ahead would have everything erased, and requests
come by that clock, too: so it is believed only if it is near to what it said when it was last believed, or has said
so for days. Blocking; belongs to the thread that writes.
"""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from router.ledger.cubes import DAY, HOUR, MINUTE, QUARTER
from router.ledger.engines.base import Engine
from router.ledger.place import Reading

MINUTES_KEPT: Final = 2.0 * DAY  # seconds
AT_ONCE: Final = 500  # requests in one step
_AT_ONCE: Final = {MINUTE: 60, HOUR: 24, QUARTER: 4, DAY: 1}  # sums of so many buckets
EVERY: Final = 600.0  # seconds from one look to the next

RAW: Final = "raw_from"
"""The mark of the time, seconds since 1970, from which on no row is missing; likewise for sums of one width:"""
FROM: Final = {MINUTE: "minutes_from", HOUR: "hours_from", QUARTER: "quarters_from"}
UNITS_FROM: Final = "units_from"

CLOCK: Final = ("clock_believed", "clock_doubted")
"""Marks of the time at which the clock was last believed, and of that from which on it is not; as above."""
NEAR: Final = 7.0 * DAY  # seconds without a look after which a clock is not believed at once
DOUBTED: Final = 3.0 * DAY  # seconds by it for which it is not; long enough for somebody to set it

_MARK: Final = """
INSERT INTO marks (name, value) VALUES (:name, :value) ON CONFLICT (name) DO UPDATE SET value = excluded.value
"""
_MARKED: Final = "SELECT value FROM marks WHERE name = :name"
_UNMARK: Final = "DELETE FROM marks WHERE name = :name"
_NEWEST: Final = "SELECT max(started) FROM requests"
_OLD: Final = """
SELECT id FROM requests WHERE started < :before AND outcome IS NOT NULL ORDER BY started LIMIT :most
"""
_ERASE: Final = (
    "DELETE FROM attempts WHERE request_id {among}",
    "DELETE FROM assessments WHERE request_id {among}",
    "DELETE FROM signals WHERE request_id {among}",
    "DELETE FROM requests WHERE id {among}",
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Retention:
    """For how long what is kept, in seconds; None: for good."""

    raw: float | None = None
    hours: float | None = None


class Eraser:
    """Erases what is due, step by step.

    Args:
        trusts: the clock is believed, since somebody asks for it now.
        clock: wall time, seconds since 1970. Where it jumps ahead, `ticks` tell what it would be; where it goes back,
            it was ahead before.
        ticks: seconds of a clock that does not jump.
    """

    def __init__(
        self,
        engine: Engine,
        retention: Retention,
        *,
        trusts: bool = False,
        clock: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine, self._retention, self._trusts = engine, retention, trusts
        self._clock, self._ticks = clock, ticks
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
            now = min(self._ticks() + self._offset, self._clock())
            if self._trusts or _is_believed(self._engine, now):
                self._steps = self._erase(now)
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


def doubt_in(opened: Reading) -> str:
    """Return why nothing is erased of a ledger; "" where it is."""
    marks = {
        row["name"]: float(row["value"]) for row in opened.rows("SELECT name, value FROM marks") if row["name"] in CLOCK
    }
    believed, doubted = (marks.get(name) for name in CLOCK)
    return "" if believed is None or doubted is None else _doubt(believed, doubted)


def _is_believed(engine: Engine, now: float) -> bool:
    """Tell whether the clock may be right, and remember what it said."""
    with engine.transaction():
        believed, doubted = (_mark_of(engine, name) for name in CLOCK)
        if believed is None:  # a ledger that was never looked at
            ((newest,),), _ = engine.run(_NEWEST, {})
            believed = now if newest is None else float(newest)
        if now - believed <= NEAR or (doubted is not None and now - doubted >= DOUBTED):
            engine.run(_MARK, {"name": CLOCK[0], "value": repr(now)})
            engine.run(_UNMARK, {"name": CLOCK[1]})
            return True
        if doubted is None or now < doubted:
            engine.run(_MARK, {"name": CLOCK[0], "value": repr(believed)})
            engine.run(_MARK, {"name": CLOCK[1], "value": repr(now)})
            _log.warning("%s", _doubt(believed, now))
    return False


def _doubt(believed: float, doubted: float) -> str:
    said, before, until = map(_in_words, (doubted, believed, doubted + DOUBTED))
    return f"nothing is erased: the clock says {said}, and was last believed at {before}; from {until} on it is again"


def _in_words(moment: float) -> str:
    try:
        return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%MZ")
    except (OverflowError, ValueError, OSError):
        return f"{moment:.0f} s after 1970"


def _mark_of(engine: Engine, name: str) -> float | None:
    found, _ = engine.run(_MARKED, {"name": name})
    return float(str(found[0][0])) if found else None


def _advance(engine: Engine, name: str, value: float) -> None:
    """Move a mark, never back."""
    found = _mark_of(engine, name)
    if found is None or found < value:
        engine.run(_MARK, {"name": name, "value": repr(value)})


def _day_of(moment: float) -> float:
    return float(moment // DAY * DAY)
