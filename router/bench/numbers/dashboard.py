"""A million requests of thirty days -> how long the dashboard reads for each of its spans, on either engine.

The ledger is filled by the code that the gateway writes with, in larger batches, and with no more than it would have
kept: sums of minutes for two days. Each reading opens a connection of its own, as the page does. What a page is made
of otherwise is not timed, nor is the estimate by shadow calls, which is worked out apart and shown for a minute.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from router.bench.goals import Goal, at_most, stated
from router.bench.private_postgres import running_postgres, why_not
from router.insight.overview import SPANS, overview
from router.ledger import cubes
from router.ledger.cubes import Deltas, Ended, Facts, Signs
from router.ledger.engines.base import Row, Shape
from router.ledger.engines.opening import engine_of
from router.ledger.holding import hold
from router.ledger.ids import first_id
from router.ledger.place import LedgerPlace, PostgresPlace, SqlitePlace
from router.ledger.reading import read_window
from router.ledger.retention import MINUTES_KEPT

REQUESTS: Final = 1_000_000
DAYS: Final = 30
WITHIN: Final = 0.05  # seconds
READINGS: Final = 7

_NOW: Final = 1_795_178_096.0  # 2026-11-20, 12:34:56 UTC
_DAY: Final = 86_400
_LATEST: Final = 8  # requests in the page's list
_BATCH: Final = 50_000
_TENANTS, _USERS = 20, 2_000
_SOURCES: Final = (("large", "big", 0.30), ("mini", "small", 0.55), ("cache", "", 0.15))
_OUTCOMES: Final = (("answered", 0.97), ("hung_up", 0.01), ("rejected", 0.01), ("failed", 0.005), ("broken", 0.005))
_STREAMED: Final = 0.8
_ASSESSED: Final = 20  # one in so many requests
_FIRST_TOKEN: Final = ((-0.3, 0.6), (-1.5, 0.5), (-4.6, 0.4))  # of each source: mean and deviation of the logarithm

_REQUEST: Final = Shape(
    "requests",
    tuple(
        "id caller_id tenant model stream started tier reason score threshold scorer policy arm propensity outcome"
        " status first_byte duration cost baseline unit source served moved minute hour day".split()
    ),
)
_ASSESSMENT: Final = Shape(
    "assessments",
    tuple("request_id made tier finish tokens is_repetitive checks failed_checks agreement".split()),
)


def goals(*, seed: int, quick: bool) -> list[Goal]:
    """Return how long each span takes to read, in seconds: the median of some readings."""
    requests = REQUESTS // 10 if quick else REQUESTS
    found: list[Goal] = []
    with tempfile.TemporaryDirectory(prefix="tandem-bench-") as folder:
        place = SqlitePlace(Path(folder) / "ledger.db")
        hold(place).close()
        found += _goals("sqlite", place, requests=requests, seed=seed)
    if not why_not():
        with running_postgres() as server:
            database = server.create()
            hold(database).close()
            measured = _goals("postgres", database, requests=requests, seed=seed)
            found += [stated(goal.name, goal.value) for goal in measured]
    return found


def _goals(engine: str, place: LedgerPlace, *, requests: int, seed: int) -> Iterator[Goal]:
    began = time.perf_counter()
    sums = fill(place, requests=requests, seed=seed)
    yield stated(f"dashboard_{engine}_seconds_to_fill", time.perf_counter() - began)
    yield stated(f"dashboard_{engine}_rows_of_sums", sums)
    for name, span in SPANS.items():
        window, took, shown = span.window(_NOW), list[float](), list[float]()
        for _ in range(READINGS):
            began = time.perf_counter()
            reading = read_window(place, window, latest=_LATEST)
            took.append(time.perf_counter() - began)
            overview(reading, window)
            shown.append(time.perf_counter() - began)
        yield at_most(f"dashboard_{engine}_{name}_seconds", median(took), WITHIN)
        yield stated(f"dashboard_{engine}_{name}_worst_seconds", max(took))
        yield stated(f"dashboard_{engine}_{name}_seconds_with_arithmetic", median(shown))


def fill(place: LedgerPlace, *, requests: int, seed: int) -> int:
    """Write requests with their sums into an empty ledger; returns how many rows of sums that were."""
    chance = np.random.default_rng(seed)
    started = np.sort(_NOW - chance.random(requests) * DAYS * _DAY)
    engine, sums = engine_of(place), 0
    try:
        for first in range(0, requests, _BATCH):
            batch, deltas = _drawn(chance, started[first : first + _BATCH], first), Deltas()
            with engine.transaction():
                engine.insert(_REQUEST, [_settled(each, deltas) for each in batch])
                engine.insert(_ASSESSMENT, [_assessed(each, deltas) for each in batch[::_ASSESSED]])
                for shape, rows in deltas.rows():
                    kept = [row for row in rows if _is_kept(shape, row)]
                    sums += len(kept)
                    engine.insert(shape, kept)
        if isinstance(place, PostgresPlace):
            engine.run("ANALYZE", {})
    finally:
        engine.close()
    return sums


def _drawn(chance: np.random.Generator, started: NDArray[np.float64], first: int) -> list[dict[str, Any]]:
    """Return requests, each with what was drawn of it."""
    count = len(started)
    source = chance.choice(len(_SOURCES), count, p=[share for *_, share in _SOURCES])
    outcome = chance.choice(len(_OUTCOMES), count, p=[share for _, share in _OUTCOMES])
    mean, deviation = np.array(_FIRST_TOKEN)[source].T
    columns: dict[str, Any] = {
        "number": range(first, first + count),
        "started": started.tolist(),
        "source": source.tolist(),
        "outcome": outcome.tolist(),
        "tenant": chance.integers(_TENANTS, size=count).tolist(),
        "user": chance.zipf(1.3, size=count).tolist(),
        "is_streamed": (chance.random(count) < _STREAMED).tolist(),
        "first_byte": np.exp(chance.normal(mean, deviation)).tolist(),
        "overhead": np.exp(chance.normal(-8.0, 0.4, count)).tolist(),
        "cost": np.exp(chance.normal(13.0, 1.0, count)).astype(int).tolist(),
        "score": chance.beta(2, 5, count).tolist(),
    }
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _told(drawn: dict[str, Any]) -> tuple[Facts, Ended]:
    """Return what sums need of a request."""
    source, model, _ = _SOURCES[drawn["source"]]
    outcome = "kept" if source == "cache" else _OUTCOMES[drawn["outcome"]][0]
    tier = "large" if source == "large" else "mini"
    tenant, unit = f"tenant-{drawn['tenant']:02d}", f"{drawn['user'] % _USERS:016x}"
    cost = 0 if source == "cache" else drawn["cost"]
    baseline = None if outcome in ("failed", "rejected") else drawn["cost"] * (1 if source == "large" else 10)
    facts = Facts(tenant, tier, "", "", int(drawn["started"] // 60), unit, drawn["score"], drawn["is_streamed"], 0)
    cache = "exact" if source == "cache" else ""
    times = drawn["first_byte"], drawn["overhead"]
    return facts, Ended(outcome, cost, baseline, cache, source, model, 0, *times, answer_cost=cost)


def _settled(drawn: dict[str, Any], deltas: Deltas) -> Row:
    """Return a request's row, and add it to the sums."""
    facts, ended = _told(drawn)
    deltas.settle(facts, ended)
    return (
        f"{first_id(drawn['started'])}{drawn['number']:016x}",
        "",
        facts.tenant,
        "auto",
        int(facts.stream),
        drawn["started"],
        facts.tier,
        "score",
        drawn["score"],
        0.42,
        "linear@1",
        "threshold@1",
        "",
        1.0,
        ended.outcome,
        200,
        drawn["first_byte"],
        drawn["first_byte"] * 4,
        ended.cost,
        ended.baseline,
        facts.unit,
        ended.source,
        ended.served,
        0,
        facts.minute,
        facts.minute // 60,
        facts.minute // 1_440,
    )


def _assessed(drawn: dict[str, Any], deltas: Deltas) -> Row:
    """Return the row of how a request's reply looked, and add it to the sums."""
    name = f"{first_id(drawn['started'])}{drawn['number']:016x}"
    is_bad = int(drawn["number"] % 50 == 0)
    deltas.assess(*_told(drawn), Signs(is_bad, 0, 0, 0))
    return (name, drawn["started"], "mini", "stop", 200, is_bad, 1, is_bad, drawn["score"])


def _is_kept(shape: Shape, row: Row) -> bool:
    """Tell whether retention would have left a sum."""
    return shape is cubes.UNITS or row[0] != cubes.MINUTE or int(str(row[1])) * cubes.MINUTE >= _NOW - MINUTES_KEPT
