"""Tests router/alerts/detectors/scores.py, router/alerts/detectors/accuracy.py, router/alerts/detectors/overhead.py,
router/alerts/detectors/rates.py and router/alerts/detectors/spending.py.
"""

from collections.abc import Iterable

import numpy as np
import pytest

from router.alerts.base import Reading
from router.alerts.detectors.accuracy import LEARNT, AccuracyDrop
from router.alerts.detectors.overhead import Overhead
from router.alerts.detectors.rates import Rates
from router.alerts.detectors.scores import ScoreDrift
from router.alerts.detectors.spending import Budgets, CostRate
from router.base import Outcome, Tier
from router.guards.limits.base import Allowance, Span, Use
from router.statistics.cusum import Chart, chart
from router.statistics.drift import Reference, reference_of
from tests.router.alerts.happenings import label, settled


def only(readings: Iterable[Reading]) -> Reading:
    (found,) = readings
    return found


# --- scores ----------------------------------------------------------------------------------------


def drift(known: dict[str, Reference] | None = None, *, learnt: int = 400) -> tuple[ScoreDrift, dict[str, Reference]]:
    memory = {} if known is None else known
    found = ScoreDrift(window=300, learnt=learnt, alpha=0.001, recall=memory.get, remember=memory.__setitem__)
    return found, memory


def test_scores_that_stay_as_they_were_learnt_are_well_and_others_are_not() -> None:
    found, memory = drift()
    chance = np.random.default_rng(1)
    found.take([settled(score=value) for value in chance.beta(2, 5, 700).tolist()])
    assert {name.rpartition(" ")[2] for name in memory} == {"tenant=shop", "tier=mini"}
    assert [reading.is_bad for reading in found.look(0.0)] == [False, False]
    found.take([settled(score=value) for value in chance.beta(4, 4, 300).tolist()])
    readings = list(found.look(0.0))
    assert {(reading.labels, reading.is_bad) for reading in readings} == {
        ((("tenant", "shop"),), True),
        ((("tier", "mini"),), True),
    }
    assert "that is large" in readings[0].said


def test_a_reference_that_is_remembered_need_not_be_learnt() -> None:
    reference = reference_of(np.random.default_rng(2).beta(2, 5, 1_000).tolist())
    found, _ = drift({"s@1 tenant=shop": reference, "s@1 tier=mini": reference})
    found.take([settled(score=0.9)] * 300)
    assert [reading.is_bad for reading in found.look(0.0)] == [True, True]


def test_other_weights_are_learnt_anew() -> None:
    found, memory = drift()
    found.take([settled(score=0.1)] * 500)
    found.take([settled(score=0.9, source="s@2")] * 650)
    assert list(found.look(0.0)) == []
    assert "s@2 tenant=shop" in memory


def test_what_pacing_moves_is_no_drift_of_a_tier() -> None:
    found, memory = drift(learnt=100)
    found.take([settled(reason="paced"), settled(score=None)] * 100)
    assert list(memory) == ["s@1 tenant=shop"]


# --- accuracy --------------------------------------------------------------------------------------


def accuracy(given: float | None) -> tuple[AccuracyDrop, dict[str, float]]:
    memory: dict[str, float] = {}

    def made(share: float) -> Chart | None:
        try:
            return chart(share, drop=0.1, false_alarm_every=2_000)
        except ValueError:
            return None

    return AccuracyDrop(accuracy=given, chart_of=made, recall=memory.get, remember=memory.__setitem__), memory


def hear(found: AccuracyDrop, *weak: float) -> list[bool | None]:
    for each in weak:
        found.hear(label(each))
    if found.wants_chart:
        found.prepare()
    return [reading.is_bad for reading in found.look(0.0)]


def test_a_drop_rings_and_ends_when_it_is_long_over() -> None:
    found, _ = accuracy(0.9)
    assert hear(found, *[1.0] * 200) == []
    assert hear(found, *[0.0] * 10) == [True]
    assert hear(found, *[1.0] * 30) == []
    assert hear(found, *[1.0] * 500) == [False]


def test_what_is_right_is_learnt_and_taken_a_little_low() -> None:
    found, memory = accuracy(None)
    assert hear(found, *([1.0] * 9 + [0.0]) * (LEARNT // 10)) == []
    assert 0.87 < memory["agreement@1"] < 0.9
    assert True in hear(found, *[0.0] * 12)


def test_only_what_mini_answered_and_was_graded_counts() -> None:
    found, _ = accuracy(0.9)
    for each in (label(None), label(0.0, answered=Tier.LARGE)):
        for _ in range(50):
            found.hear(each)
    assert not found.wants_chart
    assert list(found.look(0.0)) == []


def test_an_accuracy_that_cannot_be_watched_is_left() -> None:
    found, _ = accuracy(0.05)
    assert hear(found, *[0.0] * 50) == []
    assert not found.wants_chart


# --- overhead --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("slow", "is_bad"), [(1, False), (40, True)])
def test_a_window_is_bad_where_the_quantile_is_surely_above(slow: int, is_bad: bool) -> None:  # noqa: FBT001
    found = Overhead(0.05)
    assert list(found.look(0.0)) == []
    found.take([settled(overhead=0.001)] * (600 - slow) + [settled(overhead=0.09)] * slow)
    assert list(found.look(59.0)) == []
    assert only(found.look(60.0)).is_bad is is_bad


def test_a_quantile_that_may_be_below_its_limit_is_not_bad() -> None:
    found = Overhead(0.05)
    list(found.look(0.0))
    found.take([settled(overhead=0.001)] * 593 + [settled(overhead=0.09)] * 7)  # 1.2 %: either may be true
    reading = only(found.look(60.0))
    assert "0.0010 to 0.0900" in reading.said
    assert not reading.is_bad


def test_too_few_requests_say_nothing_and_wait_for_more() -> None:
    found = Overhead(0.05)
    list(found.look(0.0))
    found.take([settled(overhead=1.0)] * 367)
    assert list(found.look(100.0)) == []
    found.take([settled(overhead=1.0), settled(overhead=None)])
    assert only(found.look(101.0)).is_bad


def test_a_clock_that_is_set_back_begins_the_window_anew() -> None:
    found = Overhead(0.05)
    list(found.look(1_000.0))
    found.take([settled(overhead=1.0)] * 400)
    assert list(found.look(10.0)) == []
    assert only(found.look(70.0)).is_bad


# --- rates -----------------------------------------------------------------------------------------


def rates() -> Rates:
    found = Rates(errors=0.05, unpriced=0.001, estimated=0.01)
    list(found.look(0.0))
    return found


def by_kind(readings: Iterable[Reading]) -> dict[str, bool | None]:
    return {reading.kind: reading.is_bad for reading in readings}


def test_what_is_in_order_is_well() -> None:
    found = rates()
    found.take([settled()] * 50)
    assert list(found.look(30.0)) == []
    assert by_kind(found.look(60.0)) == {"error_rate": False, "unpriced_share": False, "estimated_share": False}


def test_what_failed_without_a_price_is_no_lack_of_prices_and_who_left_is_no_fault_of_ours() -> None:
    found = rates()
    failed = settled(cost=None, error="IdleTimeout", usage_source="none")
    left = settled(outcome=Outcome.HUNG_UP, status=500)
    found.take([failed, left] * 30)
    assert by_kind(found.look(60.0)) == {"error_rate": False, "unpriced_share": False, "estimated_share": False}


def test_shares_that_are_surely_above_are_bad_and_those_that_may_be_are_neither() -> None:
    found = rates()
    wrong = settled(outcome=Outcome.FAILED, status=503, cost=None, usage=None, usage_source="none")
    found.take([wrong] * 20 + [settled()] * 30)
    assert by_kind(found.look(60.0)) == {"error_rate": True, "unpriced_share": True, "estimated_share": True}
    found.take([wrong] * 2 + [settled()] * 20)
    assert by_kind(found.look(120.0)) == {"error_rate": None, "unpriced_share": None, "estimated_share": None}


def test_refusals_for_limits_and_calls_that_came_to_nothing_are_no_faults() -> None:
    found = rates()
    refused = settled(outcome=Outcome.FAILED, status=429, cost=0, usage=None, error="Overloaded")
    found.take([refused] * 100)
    assert by_kind(found.look(60.0)) == {"error_rate": False}


# --- spending --------------------------------------------------------------------------------------


def test_an_hour_far_dearer_than_usual_is_bad_once_hours_are_known() -> None:
    kept: list[list[int]] = []
    found = CostRate(factor=2.0, most=None, hours=[100] * 24, remember=lambda hours: kept.append([*hours]))
    list(found.look(0.0))
    found.take([settled(cost=10)] * 20)
    assert not only(found.look(60.0)).is_bad
    found.take([settled(cost=10), settled(cost=None)])
    assert only(found.look(120.0)).is_bad
    for minute in range(3, 61):
        list(found.look(60.0 * minute))
    assert kept == [[100] * 24 + [210]]


def test_the_lower_of_two_limits_counts() -> None:
    for most, spent in ((50, 60), (500, 210)):
        found = CostRate(factor=2.0, most=most, hours=[100] * 24, remember=lambda _hours: None)
        list(found.look(0.0))
        found.take([settled(cost=spent)])
        assert only(found.look(60.0)).is_bad


def test_a_limit_of_an_hour_needs_nothing_known() -> None:
    found = CostRate(factor=2.0, most=50, hours=[], remember=lambda _hours: None)
    list(found.look(0.0))
    found.take([settled(cost=51)])
    assert only(found.look(60.0)).is_bad
    assert CostRate(factor=2.0, most=None, hours=[], remember=lambda _hours: None).look(60.0) is not None


def test_without_limits_and_usual_hours_nothing_is_said() -> None:
    found = CostRate(factor=2.0, most=None, hours=[5] * 23, remember=lambda _hours: None)
    list(found.look(0.0))
    found.take([settled(cost=1_000)])
    assert list(found.look(60.0)) == []


def test_a_budget_that_is_nearly_spent_is_told_by_its_tenant() -> None:
    allowance = Allowance(budget=100, span=Span.DAY)
    uses = [Use("shop", allowance, allowance, spent=50, elsewhere=40), Use("desk", allowance, allowance, spent=89)]
    found = Budgets(lambda: uses, 0.9)
    assert [(reading.labels, reading.is_bad) for reading in found.look(1e9)] == [
        ((("tenant", "shop"),), True),
        ((("tenant", "desk"),), False),
    ]
    assert list(found.look(1e9 + 59.0)) == []
