"""Ledger file -> totals, spreads and latest rows, read-only.

Knows the tables and their SQL; what the figures mean is for `router.insight` to say. Every reading opens
its own short-lived connection, so it neither holds the writer up nor keeps its log from being folded in.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from router.base import Outcome

_PAGE = 500  # requests held in memory at once by an export
_STEPS = 100_000  # virtual machine steps between two looks at the clock, about a millisecond


class LedgerUnreadable(Exception):
    """The ledger could not be read; the message says why and names no path."""


class Source(StrEnum):
    """Where an answer came from."""

    LARGE = "large"
    MINI = "mini"
    CACHE = "cache"


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of wall time cut into equal buckets.

    Attributes:
        start: seconds since 1970, where the first bucket begins.
        width: seconds in a bucket.
        buckets: how many.
        now: seconds since 1970, inside the last bucket.
    """

    start: float
    width: float
    buckets: int
    now: float

    @property
    def length(self) -> float:
        """Seconds from the first bucket's start to the last one's end."""
        return self.width * self.buckets


@dataclass(frozen=True, slots=True)
class Total:
    """Requests of one bucket that came from one source and ended in one way.

    Attributes:
        bucket: 0 for the window's first.
        source: who answered; where nobody did, the tier that was decided on.
        outcome: None while they are open.
        requests: how many.
        moved: how many of them tried a second tier.
        cost: nano-USD of those whose cost is known.
        unpriced: how many lack their cost or their baseline.
        priced_cost: nano-USD of those that have both.
        baseline: nano-USD that the same ones would have cost on Large.
        learning: nano-USD of their shadow calls, which are no part of `cost`; those of unknown cost are left out.
    """

    bucket: int
    source: Source
    outcome: Outcome | None
    requests: int
    moved: int
    cost: int
    unpriced: int
    priced_cost: int
    baseline: int
    learning: int = 0


@dataclass(frozen=True, slots=True)
class Spread:
    """First-token times of streamed answers, seconds, by nearest rank.

    Attributes:
        bucket: None for the whole window.
        source: None for all of them together.
        answers: how many the percentiles rest on.
    """

    bucket: int | None
    source: Source | None
    answers: int
    p50: float
    p95: float


@dataclass(frozen=True, slots=True)
class Line:
    """One request as a list shows it; fields as in `router.base`, `source` as in `Total`."""

    id: str
    tenant: str
    model: str
    stream: bool
    started: float
    source: Source
    decided: str
    reason: str
    score: float | None
    threshold: float | None
    scorer: str | None
    policy: str
    moved: bool
    outcome: Outcome | None
    status: int | None
    first_byte: float | None
    duration: float | None
    cost: int | None
    error: str
    verify: float | None = None
    p_wrong: float | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What one look into the ledger shows, all of it from the same moment.

    Attributes:
        begun: when the oldest request came, seconds since 1970; None while there is none.
        totals: of the window.
        earlier: the same for as long a time just before it, each in bucket 0.
        spreads: by bucket and source, by bucket, by source, and of all.
        earlier_spread: of all, for the time before; None where nothing was streamed.
        latest: newest first.
    """

    begun: float | None
    totals: tuple[Total, ...]
    earlier: tuple[Total, ...]
    spreads: tuple[Spread, ...]
    earlier_spread: Spread | None
    latest: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class CallerCost:
    """Money of the requests that share one caller's id, nano-USD; None where any of them is unknown."""

    requests: int
    cost: int | None
    baseline: int | None


# A view of this connection alone: each request with who answered it. One that changed tiers was answered by the
# last attempt that went well, not by the tier that was decided on; a shadow call and what only judged or was thrown
# away answered nobody. Vectors come of no tier, and say nothing of routing.
_SEEN = """
CREATE TEMP VIEW seen AS SELECT r.*,
    CASE WHEN r.outcome = 'kept' THEN 'cache' ELSE coalesce(
        (SELECT a.tier FROM attempts a WHERE a.request_id = r.id AND a.error = '' AND a.kind IN ('primary', 'failover')
            ORDER BY a.position DESC LIMIT 1),
        r.tier) END AS source,
    (SELECT sum(a.cost) FROM attempts a WHERE a.request_id = r.id AND a.kind = 'shadow') AS learning,
    EXISTS (SELECT 1 FROM attempts a WHERE a.request_id = r.id AND a.kind = 'failover') AS moved
FROM requests r WHERE r.tier IN ('large', 'mini')
"""

# Only what may have run up a cost can lack its price: what failed or was rejected is left aside.
_TOTALS = """
SELECT CAST((started - :start) / :width AS INTEGER) AS bucket, source, outcome, count(*), sum(moved),
    coalesce(sum(cost), 0),
    coalesce(sum((cost IS NULL OR baseline IS NULL) AND outcome NOT IN ('failed', 'rejected')), 0),
    coalesce(sum(CASE WHEN baseline IS NOT NULL THEN cost END), 0),
    coalesce(sum(CASE WHEN cost IS NOT NULL THEN baseline END), 0), coalesce(sum(learning), 0)
FROM seen WHERE started >= :start AND started < :end
GROUP BY bucket, source, outcome ORDER BY bucket, source, outcome
"""

# The first byte of an answer that is not streamed is its last as well: it says nothing of a first token.
# Nearest rank: of n in order, number n/2 and number 0.95 n, both rounded up.
_SPREADS = """
WITH streamed AS (
    SELECT iif(:by_bucket, CAST((started - :start) / :width AS INTEGER), -1) AS bucket,
        iif(:by_source, source, '') AS source, first_byte
    FROM seen WHERE started >= :start AND started < :end
        AND outcome IN ('answered', 'kept') AND stream AND first_byte IS NOT NULL
), ranked AS (
    SELECT *, row_number() OVER (PARTITION BY bucket, source ORDER BY first_byte) AS place,
        count(*) OVER (PARTITION BY bucket, source) AS n
    FROM streamed
)
SELECT bucket, source, n, min(first_byte), max(first_byte) FROM ranked
WHERE place IN ((n + 1) / 2, (n * 95 + 99) / 100) GROUP BY bucket, source, n ORDER BY bucket, source
"""

_LATEST = """
SELECT id, tenant, model, stream, started, source, tier AS decided, reason, score, threshold, scorer, policy, moved,
    outcome, status, first_byte, duration, cost, error, verify, p_wrong
FROM seen ORDER BY started DESC, id DESC LIMIT ?
"""


def read_window(path: Path, window: Window, *, latest: int, timeout: float = 5.0) -> Reading:
    """Return what the ledger says of a window, all from one snapshot.

    Args:
        path: the database file.
        window: which time, in which buckets.
        latest: how many of the newest requests to list, whether inside the window or not.
        timeout: seconds after which the reading is given up.

    Raises:
        LedgerUnreadable: no such file, not a ledger, or too much to be read in time.
    """
    end, before = window.start + window.length, window.start - window.length
    now_before = window.now - window.length
    try:
        with closing(_open(path, timeout=timeout)) as connection:
            connection.execute(_SEEN)
            connection.execute("BEGIN")
            (begun,) = connection.execute("SELECT min(started) FROM requests").fetchone()
            return Reading(
                begun=begun,
                totals=_totals(connection, start=window.start, end=end, width=window.width),
                earlier=_totals(connection, start=before, end=now_before, width=window.length),
                spreads=tuple(
                    spread
                    for by_bucket, by_source in ((True, True), (True, False), (False, True), (False, False))
                    for spread in _spreads(
                        connection,
                        start=window.start,
                        end=end,
                        width=window.width,
                        by_bucket=by_bucket,
                        by_source=by_source,
                    )
                ),
                earlier_spread=next(
                    _spreads(
                        connection,
                        start=before,
                        end=now_before,
                        width=window.length,
                        by_bucket=False,
                        by_source=False,
                    ),
                    None,
                ),
                latest=tuple(map(_line, connection.execute(_LATEST, (latest,)))),
            )
    except sqlite3.Error as error:
        raise _unreadable(error, timeout=timeout) from error


def iter_requests(path: Path) -> Iterator[dict[str, Any]]:
    """Yield each request with every column and its attempts as a list, oldest id first.

    Money stays in whole nano-USD. Each page of requests is a snapshot of its own, so that a long export does
    not hold the writer's log; a request that ends meanwhile is told as it stood when its page was read.

    Raises:
        LedgerUnreadable: no such file, or not a ledger.
    """
    last = ""
    while page := _page_after(path, last):
        yield from page
        last = page[-1]["id"]


def costs_by_caller_id(path: Path) -> dict[str, CallerCost]:
    """Return the money of the requests under each caller's own id; those that sent none are left out.

    Raises:
        LedgerUnreadable: no such file, or not a ledger.
    """
    # count(x) skips unknowns, so a sum is whole only where it counted all of them.
    statement = (
        "SELECT caller_id, count(*), iif(count(cost) = count(*), sum(cost), NULL),"
        " iif(count(baseline) = count(*), sum(baseline), NULL)"
        " FROM requests WHERE caller_id <> '' GROUP BY caller_id"
    )
    try:
        with closing(_open(path, timeout=None)) as connection:
            return {caller_id: CallerCost(*rest) for caller_id, *rest in connection.execute(statement)}
    except sqlite3.Error as error:
        raise _unreadable(error, timeout=None) from error


def _open(path: Path, *, timeout: float | None) -> sqlite3.Connection:
    """Connect for reading alone; whoever calls closes. `timeout` in seconds, None for an export."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=1.0, isolation_level=None)
    connection.row_factory = sqlite3.Row
    if timeout is not None:
        until = time.monotonic() + timeout
        connection.set_progress_handler(lambda: time.monotonic() > until, _STEPS)
    return connection


def _unreadable(error: sqlite3.Error, *, timeout: float | None) -> LedgerUnreadable:
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
        return LedgerUnreadable(f"the reading took longer than {timeout:g} s; choose a shorter span")
    return LedgerUnreadable(f"the ledger cannot be read: {error}")


def _totals(connection: sqlite3.Connection, *, start: float, end: float, width: float) -> tuple[Total, ...]:
    return tuple(
        Total(bucket, Source(source), Outcome(outcome) if outcome else None, *rest)
        for bucket, source, outcome, *rest in connection.execute(_TOTALS, {"start": start, "end": end, "width": width})
    )


def _spreads(
    connection: sqlite3.Connection, *, start: float, end: float, width: float, by_bucket: bool, by_source: bool
) -> Iterator[Spread]:
    bound = {"start": start, "end": end, "width": width, "by_bucket": by_bucket, "by_source": by_source}
    for bucket, source, answers, p50, p95 in connection.execute(_SPREADS, bound):
        yield Spread(
            bucket=bucket if by_bucket else None,
            source=Source(source) if by_source else None,
            answers=answers,
            p50=p50,
            p95=p95,
        )


def _line(row: sqlite3.Row) -> Line:
    fields = dict(row)
    return Line(
        **fields
        | {
            "stream": bool(row["stream"]),
            "moved": bool(row["moved"]),
            "source": Source(row["source"]),
            "outcome": Outcome(row["outcome"]) if row["outcome"] else None,
        }
    )


def _page_after(path: Path, last: str) -> list[dict[str, Any]]:
    """Return the next requests by id, each with its attempts; empty at the end."""
    try:
        with closing(_open(path, timeout=None)) as connection:
            connection.execute("BEGIN")
            rows = connection.execute("SELECT * FROM requests WHERE id > ? ORDER BY id LIMIT ?", (last, _PAGE))
            page = {row["id"]: {**row, "stream": bool(row["stream"]), "attempts": []} for row in map(dict, rows)}
            if page:
                attempts = connection.execute(
                    "SELECT * FROM attempts WHERE request_id BETWEEN ? AND ? ORDER BY request_id, position",
                    (next(iter(page)), next(reversed(page))),
                )
                for attempt in map(dict, attempts):
                    page[attempt.pop("request_id")]["attempts"].append(attempt)
            return list(page.values())
    except sqlite3.Error as error:
        raise _unreadable(error, timeout=None) from error
