"""Ledger -> what a window of time shows, read-only, on either engine.

Sums come out of the cubes that the writer keeps beside the rows; only what is still open and the latest requests are
looked up among the rows themselves, by index. Knows the tables; what the figures mean is for `router.insight` to say.
Every reading opens a short-lived connection of its own, so it neither holds the writer up nor keeps its log from being
folded in.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

import numpy as np

from router.base import Outcome
from router.ledger import place
from router.ledger.assessed import read_assessed
from router.ledger.cubes import TIERS
from router.ledger.journal import journalled, unsettled
from router.ledger.percentiles import Binned, Counts, Histogram
from router.ledger.place import LedgerPlace, LedgerUnreadable, PostgresPlace, reading
from router.ledger.retention import FROM
from router.ledger.rows import open_row
from router.ledger.stretches import Run, cover, finest, whole
from router.ledger.views import Line, Reading, Source, Spread, Total, Window

_PAGE: Final = 500  # requests held in memory at once by an export
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_LONG: Final = 2 * _DAY  # windows from here on are compared to the hour: minutes are not kept for so long
_SOURCES: Final = tuple(Source)

# Vectors come of no tier, and say nothing of routing: what was decided on is neither large nor mini there.
_TOTALS: Final = """
SELECT bucket, source, outcome, model, CAST(sum(requests) AS BIGINT) AS requests, CAST(sum(moved) AS BIGINT) AS moved,
    CAST(sum(cost) AS BIGINT) AS cost, CAST(sum(unpriced) AS BIGINT) AS unpriced,
    CAST(sum(priced_cost) AS BIGINT) AS priced_cost, CAST(sum(baseline) AS BIGINT) AS baseline,
    CAST(sum(learning) AS BIGINT) AS learning, CAST(sum(overhead_cost) AS BIGINT) AS overhead,
    CAST(sum(prefix_saved) AS BIGINT) AS prefix_saved, CAST(sum(cache_avoided) AS BIGINT) AS cache_avoided,
    CAST(sum(estimated_usage) AS BIGINT) AS estimated, CAST(sum(contradictory) AS BIGINT) AS contradictory,
    sum(assessed) AS assessed, sum(repetitive) AS repetitive, sum(refused) AS refused, sum(empty) AS empty,
    sum(truncated) AS truncated
FROM totals WHERE width = :width AND bucket >= :first AND bucket < :after AND decided IN ('large', 'mini')
GROUP BY bucket, source, outcome, model
"""
_FIELDS: Final = tuple(field.name for field in fields(Total))[3:]  # as the sums are called, in their order

# A bucket has hundreds of bins: one row for all of them costs a tenth of what as many rows cost.
_BINS_IN_SQLITE: Final = """
SELECT bucket, source, group_concat(bin) AS bins, group_concat(n) AS counts FROM spreads
WHERE width = :width AND bucket >= :first AND bucket < :after AND kind = 'first_token' GROUP BY bucket, source
"""
_BINS_IN_POSTGRES: Final = """
SELECT bucket, source, string_agg(CAST(bin AS TEXT), ',') AS bins, string_agg(CAST(n AS TEXT), ',') AS counts
FROM spreads
WHERE width = :width AND bucket >= :first AND bucket < :after AND kind = 'first_token' GROUP BY bucket, source
"""
_WHOLE_BINS: Final = """
SELECT bin, CAST(sum(n) AS BIGINT) AS n FROM spreads
WHERE width = :width AND bucket >= :first AND bucket < :after AND kind = 'first_token' GROUP BY bin
"""

_MARKS: Final = "SELECT name, value FROM marks"
_BEGUN: Final = """
SELECT (SELECT min(started) FROM requests) AS first, (SELECT min(bucket) FROM totals WHERE width = 86400) AS day
"""
_OPEN: Final = """
SELECT minute, tier, count(*) AS requests FROM requests
WHERE outcome IS NULL AND tier IN ('large', 'mini') GROUP BY minute, tier
"""
_LATEST: Final = """
SELECT id, tenant, model, stream, started, CASE WHEN source = '' THEN tier ELSE source END AS source, tier AS decided,
    reason, score, threshold, scorer, policy, moved, outcome, status, first_byte, duration, cost, error, verify, p_wrong
FROM requests WHERE tier IN ('large', 'mini') ORDER BY started DESC, id DESC LIMIT :latest
"""

# count(x) skips unknowns, so a sum is whole only where it counted all of them.
_BY_CALLER: Final = """
SELECT caller_id, count(*) AS requests, CAST(CASE WHEN count(cost) = count(*) THEN sum(cost) END AS BIGINT) AS cost,
    CAST(CASE WHEN count(baseline) = count(*) THEN sum(baseline) END AS BIGINT) AS baseline
FROM requests WHERE caller_id <> '' GROUP BY caller_id
"""
_REQUESTS: Final = """
SELECT * FROM requests WHERE id > :last AND started >= :since AND started < :until ORDER BY id LIMIT :page
"""
_ATTEMPTS: Final = """
SELECT * FROM attempts WHERE request_id >= :first AND request_id <= :last ORDER BY request_id, position
"""


@dataclass(frozen=True, slots=True)
class CallerCost:
    """Money of the requests that share one caller's id, nano-USD; None where any of them is unknown."""

    requests: int
    cost: int | None
    baseline: int | None


def read_window(ledger: LedgerPlace | Path, window: Window, *, latest: int, timeout: float = 5.0) -> Reading:
    """Return what the ledger says of a window, all from one snapshot.

    Args:
        ledger: where it is; a path is that of an SQLite file.
        window: which time, in which buckets.
        latest: how many of the newest requests to list, whether inside the window or not.
        timeout: seconds after which the reading is given up.

    Raises:
        LedgerUnreadable: there is none, it is no ledger, sums of the window have been erased, or it cannot be read in
            time.
    """
    runs, before = cover(*_reach(window), (finest(window.width),)), cover(*_reach_before(window))
    noted = journalled(ledger)
    with reading(ledger, within=timeout) as opened:
        still_open = [row for row in map(open_row, unsettled(noted, opened)) if row["tier"] in TIERS]
        bins = _BINS_IN_POSTGRES if isinstance(ledger, PostgresPlace) else _BINS_IN_SQLITE
        kept_from = {row["name"]: float(row["value"]) for row in opened.rows(_MARKS) if row["name"] in FROM.values()}
        if not _are_kept(runs, kept_from):
            raise LedgerUnreadable("some of this span has been erased; choose another span")
        sums, can_compare = list(_sums(opened, runs)), _are_kept(before, kept_from)
        return Reading(
            begun=_begun(opened),
            totals=(*_totals(sums, window), *_open(opened, still_open, window)),
            earlier=tuple(_totals(_sums(opened, before), None)) if can_compare else None,
            spreads=tuple(_spreads(_binned(opened, bins, runs, window), window)),
            earlier_spread=_earlier_spread(opened, before) if can_compare else None,
            latest=_latest([*opened.rows(_LATEST, latest=latest), *map(_as_latest, still_open)], latest),
            costs=_costs(sums),
            assessed=read_assessed(opened, sums, start=window.start, end=window.start + window.length),
        )


def iter_requests(
    ledger: LedgerPlace | Path, *, since: float = float("-inf"), until: float = float("inf")
) -> Iterator[dict[str, Any]]:
    """Yield each request with every column and its attempts as a list, oldest id first, and last what has no row yet.

    Money stays in whole nano-USD. Each page of requests is a snapshot of its own, so that a long export does
    not hold the writer's log; a request that ends meanwhile is told as it stood when its page was read.

    Args:
        ledger: where it is.
        since, until: when the requests came, seconds since 1970; the latter is exclusive.

    Raises:
        LedgerUnreadable: there is none, or it is no ledger.
    """
    noted, last = {intent.id: intent for intent in journalled(ledger) if since <= intent.started < until}, ""
    while page := _page_after(ledger, last, since=since, until=until):
        for row in page:
            noted.pop(row["id"], None)
        yield from page
        last = page[-1]["id"]
    for _, intent in sorted(noted.items()):
        yield {**open_row(intent), "stream": intent.stream, "attempts": []}


def costs_by_caller_id(ledger: LedgerPlace | Path) -> dict[str, CallerCost]:
    """Return the money of the requests under each caller's own id; those that sent none are left out.

    Raises:
        LedgerUnreadable: there is none, or it is no ledger.
    """
    with reading(ledger) as opened:
        return {row.pop("caller_id"): CallerCost(**row) for row in opened.rows(_BY_CALLER)}


def _reach(window: Window) -> tuple[int, int]:
    return int(window.start), int(window.start + window.length)


def _reach_before(window: Window) -> tuple[int, int]:
    """Return the time before, which ends as far into its last bucket as now is in the window's."""
    width = _HOUR if window.length >= _LONG else _MINUTE
    return int(window.start - window.length), whole(window.now - window.length, width)


def _are_kept(runs: tuple[Run, ...], kept_from: dict[str, float]) -> bool:
    """Tell whether no sum of these has been erased."""
    marks = {width: kept_from.get(name, float("-inf")) for width, name in FROM.items()}
    return all(run.first * run.width >= marks.get(run.width, float("-inf")) for run in runs)


def _begun(opened: place.Reading) -> float | None:
    """Return when the oldest request came; of one whose row is erased the day is still known."""
    row = opened.one(_BEGUN) or {}
    first, day = row["first"], row["day"]
    if day is None or (first is not None and first < (day + 1) * _DAY):
        return None if first is None else float(first)
    return float(day * _DAY)


def _sums(opened: place.Reading, runs: tuple[Run, ...]) -> Iterator[dict[str, Any]]:
    """Yield rows of sums, each with the time at which it begins."""
    for run in runs:
        for row in opened.rows(_TOTALS, **run._asdict()):
            yield {**row, "begins": row["bucket"] * run.width}


def _totals(sums: Iterable[dict[str, Any]], window: Window | None) -> Iterator[Total]:
    """Yield totals by the window's buckets, each of which may hold several cubes; all in one where there is none."""
    found: dict[tuple[int, str, str], list[int]] = {}
    for row in sums:
        bucket = 0 if window is None else _bucket(row["begins"], window)
        key, values = (bucket, row["source"], row["outcome"]), [row[name] for name in _FIELDS]
        known = found.get(key)
        found[key] = values if known is None else [a + b for a, b in zip(known, values, strict=True)]
    for (bucket, source, outcome), values in sorted(found.items()):
        yield Total(bucket, Source(source), Outcome(outcome), *values)


def _bucket(moment: float, window: Window) -> int:
    return int((moment - window.start) // window.width)


def _open(opened: place.Reading, noted: Sequence[dict[str, Any]], window: Window) -> Iterator[Total]:
    """Yield what has not ended; all of it is few, and is looked up by an index that holds nothing else.

    Args:
        noted: what would be rows, of requests that have none yet.
    """
    found: dict[tuple[int, str], int] = {}
    for row in (*opened.rows(_OPEN), *({**row, "requests": 1} for row in noted)):
        bucket = _bucket(row["minute"] * _MINUTE, window)
        if 0 <= bucket < window.buckets:
            key = bucket, row["tier"]
            found[key] = found.get(key, 0) + row["requests"]
    for (bucket, tier), requests in sorted(found.items()):
        yield Total(bucket, Source(tier), None, requests, moved=0, cost=0, unpriced=0, priced_cost=0, baseline=0)


def _binned(opened: place.Reading, statement: str, runs: tuple[Run, ...], window: Window) -> Histogram:
    return Histogram(
        (
            Binned(
                bucket=_bucket(row["bucket"] * run.width, window),
                source=_SOURCES.index(Source(row["source"])),
                bins=_numbers(row["bins"]),
                counts=_numbers(row["counts"]),
            )
            for run in runs
            for row in opened.rows(statement, **run._asdict())
        ),
        buckets=window.buckets,
        sources=len(_SOURCES),
    )


def _numbers(text: str) -> Counts:
    return np.fromstring(text, dtype=np.int64, sep=",")


def _spreads(binned: Histogram, window: Window) -> Iterator[Spread]:
    for bucket in (*range(window.buckets), None):
        for number, source in (*enumerate(_SOURCES), (None, None)):
            found = binned.of(bucket=bucket, source=number)
            if found is not None:
                yield Spread(bucket, source, found.answers, p50=found.p50, p95=found.p95)


def _earlier_spread(opened: place.Reading, before: tuple[Run, ...]) -> Spread | None:
    bins: dict[int, int] = {}
    for run in before:
        for row in opened.rows(_WHOLE_BINS, **run._asdict()):
            bins[row["bin"]] = bins.get(row["bin"], 0) + row["n"]
    if not bins:
        return None
    found = Histogram([Binned(0, 0, np.array(list(bins)), np.array(list(bins.values())))], buckets=1, sources=1).of()
    return None if found is None else Spread(None, None, found.answers, p50=found.p50, p95=found.p95)


def _costs(sums: Iterable[dict[str, Any]]) -> dict[str, int]:
    costs: dict[str, int] = {}
    for row in sums:
        if row["model"]:
            costs[row["model"]] = costs.get(row["model"], 0) + row["cost"]
    return costs


def _as_latest(row: dict[str, Any]) -> dict[str, Any]:
    """Return what `_LATEST` would give of a row."""
    named = {**row, "decided": row["tier"]}
    return {field.name: named[field.name] for field in fields(Line)}


def _latest(rows: list[dict[str, Any]], most: int) -> tuple[Line, ...]:
    return tuple(map(_line, sorted(rows, key=lambda row: (row["started"], row["id"]), reverse=True)[:most]))


def _line(row: dict[str, Any]) -> Line:
    return Line(
        **row
        | {
            "stream": bool(row["stream"]),
            "moved": bool(row["moved"]),
            "source": Source(row["source"]),
            "outcome": Outcome(row["outcome"]) if row["outcome"] else None,
        }
    )


def _page_after(ledger: LedgerPlace | Path, last: str, *, since: float, until: float) -> list[dict[str, Any]]:
    """Return the next requests by id, each with its attempts; empty at the end."""
    with reading(ledger) as opened:
        rows = opened.rows(_REQUESTS, last=last, since=since, until=until, page=_PAGE)
        page = {row["id"]: {**row, "stream": bool(row["stream"]), "attempts": []} for row in rows}
        if page:
            for attempt in opened.rows(_ATTEMPTS, first=next(iter(page)), last=next(reversed(page))):
                owner = page.get(attempt.pop("request_id"))
                if owner is not None:
                    owner["attempts"].append(attempt)
        return list(page.values())
