"""router/ledger/cubes.py by hand: what one request adds to each sum, which nobody can read off sums of sums."""

from typing import Any

from msgspec.structs import replace

from backends.base import Usage
from router.base import Attempt, Outcome, Record, Tier
from router.ledger.cubes import DAY, TOTALS, UNITS, Deltas, Ended, Facts, ended_of
from router.ledger.engines.base import Shape

MINUTE = 30_000_000  # since 1970
FACTS = Facts("acme", "mini", "", "", MINUTE, "user", 0.25, stream=True, reserved=900)


def call(kind: str, cost: int, *, error: str = "", usage: Usage | None = None) -> Attempt:
    return Attempt(kind, Tier.MINI, "small", "", usage, cost, "v", error)


def ended(*attempts: Attempt, outcome: Outcome = Outcome.ANSWERED, baseline: int | None = None) -> Ended:
    record = Record("r", outcome, 200, attempts, 0.1, 0.2, baseline)
    return ended_of(FACTS, record, cost=record.cost)


def sums(*those: tuple[Facts, Ended], of: Shape = TOTALS) -> dict[str, Any]:
    """Return the figures of the one day that these make."""
    deltas = Deltas()
    for facts, end in those:
        deltas.settle(facts, end)
    rows = [dict(zip(shape.columns, row, strict=True)) for shape, made in deltas.rows() if shape is of for row in made]
    days = [row for row in rows if row.get("width", DAY) == DAY]
    (day,) = days
    return day


def test_what_answered_nobody_is_overhead_whatever_kind_it_is() -> None:
    kinds = ("escalation", "judge", "retried", "hedge_loser", "classifier", "guardrail")
    spent = [call(kind, 10**place) for place, kind in enumerate(kinds)]
    answer = call("primary", 5_000_000)
    found = sums((FACTS, ended(*spent, answer)))
    assert (found["overhead_cost"], found["cost"]) == (111_111, 5_111_111)
    assert ended(*spent, answer).answer_cost == 5_000_000


def test_a_baseline_is_compared_with_the_costs_that_it_belongs_to_alone() -> None:
    known, alone = ended(call("primary", 7), baseline=70), ended(call("primary", 500))
    found = sums((FACTS, known), (FACTS, alone))
    assert (found["cost"], found["priced_cost"], found["baseline"], found["unpriced"]) == (507, 7, 70, 1)


def test_a_users_sums_are_what_its_requests_came_to() -> None:
    failed = ended(call("primary", 0, error="ConnectFailed"), outcome=Outcome.FAILED)
    cut = ended(call("primary", 2, error="StreamBroken"), outcome=Outcome.BROKEN)
    left = ended(call("primary", 4), outcome=Outcome.HUNG_UP)
    told = ended(call("primary", 30, usage=Usage(11, 5, 3, reasoning=2)), baseline=300)
    found = sums(*((FACTS, each) for each in (failed, cut, left, told)), of=UNITS)
    expected = {
        "requests": 4,
        "answered": 1,
        "failed": 2,
        "cost": 36,
        "cost_sq": 4.0 + 16.0 + 900.0,
        "baseline": 300,
        "rest_n": 1,
        "rest_known": 1,
        "rest_input": 16,
        "rest_output": 5,
        "rest_scored": 1,
        "rest_score": 0.25,
    }
    assert {name: found[name] for name in expected} == expected


def test_only_a_stream_that_was_answered_has_a_first_token() -> None:
    whole = replace(FACTS, stream=False)
    deltas = Deltas()
    for facts, end in ((whole, ended(call("primary", 1))), (FACTS, ended(outcome=Outcome.HUNG_UP))):
        deltas.settle(facts, end)
    assert [rows for shape, rows in deltas.rows() if shape.table == "spreads"] == [[]]
    deltas.settle(FACTS, ended(call("primary", 1)))
    (spreads,) = [rows for shape, rows in deltas.rows() if shape.table == "spreads"]
    assert [row[3] for row in spreads] == ["first_token"] * 4
