"""router/ledger/rollup.py, cubes.py, bins.py, tables.py: sums are those of their rows, to the nano-USD.

router/ledger/rollup.py, router/ledger/cubes.py, router/ledger/bins.py, router/ledger/tables.py
"""

import asyncio
from contextlib import closing
from itertools import count
from typing import Any

import pytest

from backends.base import Usage
from classifier.base import Score
from router.base import Assessment, Attempt, Decision, Intent, Outcome, Record, Tier
from router.ledger.bins import GROWTH, LEAST, bin_of, seconds_of
from router.ledger.engines.opening import engine_of
from router.ledger.holding import hold, interrupt
from router.ledger.migrations.versions.step_7_looked_at import SIGNS
from router.ledger.place import LedgerPlace, SqlitePlace, reading
from router.ledger.reading import read_window
from router.ledger.rollup import verify
from router.ledger.views import Window
from router.ledger.writer import LedgerWriter

STARTED = 1_795_178_096.0  # Friday 2026-11-20, 12:34:56 UTC
MAKER = "d" * 10


def intent(number: int, tier: Tier = Tier.MINI, **fields: Any) -> Intent:
    name = f"req_{int(STARTED * 1_000) + number:012x}{MAKER}{number:06x}"
    decision = Decision(tier, "score", Score(0.25, "linear@1"), 0.5, "p@1", arm="b", experiment="e")
    usual = {"stream": True, "started": STARTED + 50.0 * number, "decision": decision, **fields}
    return Intent(name, "", "acme", "auto", **usual)


def attempt(kind: str = "primary", tier: Tier = Tier.MINI, *, cost: int | None = 10, **fields: Any) -> Attempt:
    return Attempt(kind, tier, f"model-{tier}", "h:1", Usage(100, 20, 7, reasoning=3), cost, "v", **fields)


def record(asked: Intent, *attempts: Attempt, outcome: Outcome = Outcome.ANSWERED, **fields: Any) -> Record:
    usual = {"first_byte": 0.25, "duration": 1.0, "baseline": 1_000, "overhead": 0.0003, **fields}
    return Record(asked.id, outcome, 200, attempts, **usual)


def assessment(asked: Intent, *, repetitive: bool = False, empty: bool = False) -> Assessment:
    flags = (repetitive, empty, False, False)
    return Assessment(asked.id, STARTED, Tier.MINI, "stop", 5, 0.1, 1.2, *flags)


async def write_a_day(place: LedgerPlace) -> None:
    """Write requests that end in every way, with what is said of them before and after."""
    ledger = LedgerWriter(place, loop=asyncio.get_running_loop())
    numbers = count()
    large, mini = Tier.LARGE, Tier.MINI
    ends: list[tuple[Intent, Record]] = []
    for tier, attempts, fields in (
        (mini, [attempt()], {}),
        (mini, [attempt(error="TimedOut", cost=3), attempt("failover", large, cost=90)], {}),
        (mini, [attempt("escalation", cost=11), attempt("judge", cost=12), attempt("primary", large, cost=80)], {}),
        (large, [attempt("hedge_loser", large, cost=40), attempt("primary", large, cost=50)], {"overhead": None}),
        (mini, [], {"outcome": Outcome.KEPT, "cache": "exact"}),
        (mini, [attempt(cost=None)], {"first_byte": None}),
        (
            mini,
            [attempt(usage_source="tokenizer"), attempt("retried", usage_source="contradictory")],
            {"baseline": None},
        ),
        (mini, [attempt(error="ConnectFailed", cost=0)], {"outcome": Outcome.FAILED}),
        (mini, [], {"outcome": Outcome.REJECTED}),
    ):
        asked = intent(next(numbers), tier, reserved=500)
        ends.append((asked, record(asked, *attempts, **fields)))
    vectors = intent(next(numbers), stream=False, user="f" * 16)
    await asyncio.gather(*(ledger.open(asked) for asked, _ in ends), ledger.open(vectors))
    early, first = ends[0][0], ends[1][0]
    ledger.shadow(early.id, attempt("shadow", large, cost=None, error="Interrupted"))
    ledger.assess(assessment(early, repetitive=True))
    await asyncio.sleep(0.04)
    for _, settled in ends:
        ledger.settle(settled)
        ledger.settle(settled)  # a second time
    ledger.shadow(early.id, attempt("shadow", large, cost=70, usage_source="tokenizer"))
    ledger.assess(assessment(early, empty=True))
    ledger.shadow(first.id, attempt("shadow", large, cost=71))
    ledger.assess(assessment(first, repetitive=True))
    await asyncio.sleep(0.04)
    ledger.shadow(first.id, attempt("shadow", large, cost=75))
    ledger.assess(assessment(first, repetitive=True, empty=True))
    ledger.assess(assessment(intent(99)))  # of nobody
    left = intent(next(numbers))
    await ledger.open(left)
    ledger.shadow(left.id, attempt("shadow", large, cost=9))
    ledger.assess(assessment(left))
    await ledger.aclose()


def figures(place: LedgerPlace, statement: str) -> dict[str, Any]:
    with reading(place) as ledger:
        return ledger.one(statement) or {}


async def test_every_sum_is_that_of_its_rows(place: LedgerPlace) -> None:
    await write_a_day(place)
    assert verify(place) == []
    assert interrupt(place, MAKER, since=STARTED - 60) == 2
    assert verify(place) == []
    for width in (60, 3_600, 86_400):
        assert figures(
            place,
            "SELECT sum(requests) AS requests, sum(moved) AS moved, sum(cost) AS cost, sum(unpriced) AS unpriced,"  # noqa: S608 - a number of ours
            " sum(learning) AS learning, sum(overhead_cost) AS overhead, sum(cache_avoided) AS avoided,"
            " sum(estimated_usage) AS estimated, sum(contradictory) AS contradictory, sum(held) AS held,"
            " sum(assessed) AS assessed, sum(repetitive) AS repetitive, sum(empty) AS empty"
            f" FROM totals WHERE width = {width}",
        ) == {
            "requests": 11,
            "moved": 1,
            "cost": 10 + 93 + 103 + 90 + 0 + 20 + 0 + 0,
            "unpriced": 4,
            "learning": 70 + 75 + 9,
            "overhead": 23 + 40 + 10,
            "avoided": 1_000,
            "estimated": 2,
            "contradictory": 1,
            "held": 500,
            "assessed": 3,
            "repetitive": 1,
            "empty": 2,
        }
    unit = figures(place, "SELECT * FROM units WHERE unit = 'ffffffffffffffff'")
    assert (unit["requests"], unit["experiment"], unit["arm"]) == (1, "e", "b")
    assert figures(
        place,
        "SELECT sum(large_n) AS n, sum(large_cost) AS large, sum(rest_n) AS rest, sum(rest_known) AS known,"
        " sum(rest_input) AS input, sum(rest_output) AS output, sum(assessed) AS assessed,"
        " sum(repetitive) AS repetitive, sum(empty) AS empty, sum(overhead_n) AS overheads FROM units",
    ) == {
        "n": 3,
        "large": 90 + 80 + 50,
        "rest": 4,
        "known": 3,
        "input": 360,
        "output": 30,
        "assessed": 3,
        "repetitive": 1,
        "empty": 2,
        "overheads": 8,
    }


async def test_how_replies_looked_is_read_for_the_very_span_that_is_shown(place: LedgerPlace) -> None:
    await write_a_day(place)
    interrupt(place, MAKER, since=STARTED - 60)
    found = {
        seconds: read_window(place, Window(STARTED // 60 * 60, 60, seconds // 60, STARTED + 600), latest=0).assessed
        for seconds in (60, 600)
    }
    assert [(each.replies, each.repetitive, each.empty) for each in found.values()] == [(1, 0, 1), (3, 1, 2)]


async def test_an_older_ledger_is_told_how_its_replies_looked(place: LedgerPlace) -> None:
    await write_a_day(place)
    interrupt(place, MAKER, since=STARTED - 60)
    with closing(engine_of(place)) as engine, engine.transaction():
        for name in SIGNS:
            engine.run(f"ALTER TABLE totals DROP COLUMN {name}", {})
        engine.run("ALTER TABLE assessments DROP COLUMN repetition_written", {})
        engine.run("UPDATE alembic_version SET version_num = '0006'", {})
        if isinstance(place, SqlitePlace):
            engine.run("PRAGMA user_version=6", {})
    hold(place).close()
    assert verify(place) == []
    assert figures(place, "SELECT sum(assessed) AS assessed, sum(empty) AS empty FROM totals WHERE width = 21600") == {
        "assessed": 3,
        "empty": 2,
    }


async def test_a_sum_that_is_off_is_named(place: LedgerPlace) -> None:
    await write_a_day(place)
    with closing(engine_of(place)) as engine, engine.transaction():
        engine.run("UPDATE totals SET cost = cost + 1 WHERE width = 60 AND source = 'cache'", {})
        engine.run("DELETE FROM spreads WHERE width = 3600 AND source = 'cache' AND kind = 'overhead'", {})
        engine.run("UPDATE units SET rest_score = rest_score + 0.1 WHERE unit = 'ffffffffffffffff'", {})
        engine.run("UPDATE requests SET cost = 94, served = 'nobody' WHERE moved = 1", {})
    found = [str(each) for each in verify(place)]
    assert [text for text in found if "source=cache" in text and "cost is 1, and rows add up to 0" in text]
    assert [text for text in found if text.startswith("spreads width=3600") and "n is None" in text]
    assert [text for text in found if text.startswith("requests req_") and "cost is 94, and rows add up to 93" in text]
    assert [text for text in found if text.startswith("requests req_") and "served is nobody" in text]
    assert [text for text in found if text.startswith("totals") and "model=model-large: cost is" in text]


@pytest.mark.parametrize("seconds", [LEAST, 0.0003, 0.25, 1.0, 61.0])
def test_a_bin_is_one_per_cent_wide_and_holds_its_times(seconds: float) -> None:
    bin_ = bin_of(seconds)
    assert GROWTH**bin_ <= seconds * (1 + 1e-9) < GROWTH ** (bin_ + 1) * (1 + 2e-9)
    assert seconds_of(bin_) == pytest.approx(seconds, rel=0.0051)
    assert bin_of(0.0) == bin_of(-1.0) == bin_of(LEAST)
