"""Tests router/statistics/cuped.py."""

import numpy as np
import pytest

from router.statistics.comparing import difference
from router.statistics.cuped import Adjusted, adjusted
from router.statistics.ratios import Reals, parts_of, ratio_of


def test_what_was_before_takes_away_the_square_of_the_correlation_and_moves_nothing() -> None:
    chance = np.random.default_rng(0)
    before = chance.normal(0, 1, 20_000)
    after = 10 + 0.8 * before + 0.6 * chance.normal(0, 1, 20_000)
    found = _adjusted(after[:9_000] + 0.1, after[9_000:], before[:9_000], before[9_000:])
    assert found.spared == pytest.approx(0.64, abs=0.02)
    assert found.slope == pytest.approx(0.8, abs=0.02)
    assert float(found.treated.value - found.control.value) == pytest.approx(0.1, abs=0.03)
    plain = ratio_of(after[:9_000])
    assert float(found.treated.variance) == pytest.approx(0.36 * float(plain.variance), rel=0.05)


def test_an_arm_that_was_dearer_before_is_dearer_now_by_that_much_less() -> None:
    chance = np.random.default_rng(1)
    before = chance.normal(0, 1, 20_000)
    before[:10_000] += 0.1  # as it fell out
    after = 10 + 2 * (before - before.mean()) + 0.1 * chance.normal(0, 1, 20_000)
    found = _adjusted(after[:10_000] + 0.3, after[10_000:], before[:10_000], before[10_000:])
    assert float(after[:10_000].mean() - after[10_000:].mean()) > 0.15
    assert float(found.treated.value - found.control.value) == pytest.approx(0.3, abs=0.01)


def test_without_a_past_nothing_changes() -> None:
    after = np.arange(10).astype(np.float64)
    found = _adjusted(after[:5], after[5:], np.zeros(5), np.zeros(5))
    assert found.spared == 0.0
    assert float(found.treated.value) == 2.0


def _adjusted(treated: Reals, control: Reals, before: Reals, other: Reals) -> Adjusted:
    arms = (ratio_of(treated), ratio_of(control))
    return adjusted(*arms, (parts_of(treated), parts_of(control)), (before, other))


def test_equal_costs_before_predict_nothing_and_rounding_is_no_prediction() -> None:
    chance = np.random.default_rng(2)
    weights = chance.integers(1, 90, 4_000).astype(float)
    cost = weights * chance.lognormal(0, 1, 4_000)
    before = parts_of(0.0017 * weights, weights)
    assert not before.any()
    arms = ratio_of(cost[:2_000], weights[:2_000]), ratio_of(cost[2_000:], weights[2_000:])
    parts = parts_of(cost[:2_000], weights[:2_000]), parts_of(cost[2_000:], weights[2_000:])
    less = adjusted(*arms, parts, (before[:2_000], before[2_000:]))
    assert (less.treated, less.control, less.slope, less.spared) == (*arms, 0.0, 0.0)


def test_costs_that_the_days_before_tell_whole_leave_a_point() -> None:
    before = np.random.default_rng(3).lognormal(0, 1, 4_000)
    before[2_000:] = before[:2_000]
    cost = 0.3 * before - np.repeat([0.0, 0.1], 2_000)
    earlier, parts = parts_of(before), (parts_of(cost[:2_000]), parts_of(cost[2_000:]))
    less = adjusted(ratio_of(cost[:2_000]), ratio_of(cost[2_000:]), parts, (earlier[:2_000], earlier[2_000:]))
    assert less.spared == 1.0
    found = difference(less.treated, less.control, bounded=False)
    assert not bool(found.is_early)
    assert float(found.low) == float(found.high) == pytest.approx(0.1)
