"""Tests router/statistics/comparing.py."""

import numpy as np
import pytest

from router.statistics.comparing import Difference, difference, effective, variance_of
from router.statistics.ratios import Reals, ratio_of, running_ratios


def compared(treated: Reals, control: Reals, *, bounded: bool = False) -> Difference:
    return difference(ratio_of(treated), ratio_of(control), bounded=bounded)


def test_three_samples_are_too_early_and_bound_nothing() -> None:
    found = compared(np.array([1.0, 2.0, 3.0]), np.array([9.0, 8.0, 7.0]))
    assert bool(found.is_early)
    assert (float(found.low), float(found.high), float(found.p)) == (-np.inf, np.inf, 1.0)


def test_three_answers_have_bounds_that_exclude_nothing_likely() -> None:
    found = compared(np.array([1.0, 1.0, 1.0]), np.array([0.0, 0.0, 0.0]), bounded=True)
    assert bool(found.is_early)
    assert float(found.low) < 0.0 < float(found.high) <= 1.0


def test_bounds_say_nothing_early_where_a_few_units_weigh_most() -> None:
    weights, share = np.append(np.ones(60), 900.0), np.append(np.full(60, 0.5), 1.0)
    found = difference(ratio_of(weights * share, weights), ratio_of(weights * (1 - share), weights), bounded=True)
    assert bool(found.is_early)
    assert (float(found.low), float(found.high)) == (-1.0, 1.0)


def test_an_empty_arm_is_too_early() -> None:
    assert bool(compared(np.zeros(0), np.ones(500)).is_early)


def test_few_events_are_too_early_however_many_units_there_are() -> None:
    rare = np.zeros(5_000)
    rare[:3] = 1.0
    assert bool(compared(rare, rare, bounded=True).is_early)
    rare[:30] = 1.0
    assert not bool(compared(rare, rare, bounded=True).is_early)


def test_an_arm_whose_units_do_not_differ_is_a_point_from_a_thousand_of_them_on() -> None:
    for units, is_early in ((999, True), (1_000, False)):
        found = compared(np.full(units, 0.3), np.full(units, 0.1))
        assert bool(found.is_early) == is_early
    assert float(found.low) == float(found.high) == float(found.value) == pytest.approx(0.2)
    assert float(found.p) == 0.0
    weights = np.random.default_rng(0).integers(1, 90, 1_700).astype(float)
    same = difference(ratio_of(weights * 0.1, weights), ratio_of(weights[:1_100] * 0.1, weights[:1_100]), bounded=False)
    assert (float(same.low), float(same.value), float(same.high), float(same.p)) == (0.0, 0.0, 0.0, 1.0)


def test_one_unit_that_differs_is_too_early_again() -> None:
    values = np.full(4_000, 0.3)
    values[0] = 9.0
    assert bool(compared(values, np.full(4_000, 0.1)).is_early)


def test_shares_that_do_not_differ_leave_room_for_units_that_were_not_met() -> None:
    ones, nothing = np.ones(2_000), np.zeros(2_000)
    found = compared(ones, nothing, bounded=True)
    assert not bool(found.is_early)
    assert float(found.low) == pytest.approx(1 - 2 * np.log(40) / 2_000, abs=1e-9)
    assert float(found.high) == 1.0


def test_a_lucky_small_arm_is_no_surer_than_both_arms_together() -> None:
    lucky, usual = np.full(100, 0.5), np.random.default_rng(0).lognormal(0, 1.5, 5_000)
    alone = float(ratio_of(usual).variance)
    assert float(variance_of(ratio_of(lucky), ratio_of(usual), bounded=False)) > 20 * alone


def test_the_effective_number_of_units_is_that_of_the_rarer_events() -> None:
    flags = np.zeros(1_000)
    flags[:40] = 1.0
    assert float(effective(ratio_of(flags), ratio_of(flags))) == pytest.approx(80, rel=0.1)


def test_a_large_difference_is_found_and_bounded() -> None:
    chance = np.random.default_rng(1)
    found = compared(0.42 * chance.lognormal(0, 1, 400), chance.lognormal(0, 1, 400))
    assert float(found.high) < 0
    assert float(found.low) < -0.58 * np.exp(0.5) < float(found.high)
    assert float(found.p) < 0.01


@pytest.mark.parametrize("share", [0.5, 0.05])
def test_watched_equals_are_seldom_told_apart_where_the_naive_test_often_does(share: float) -> None:
    chance = np.random.default_rng(2)
    both = np.geomspace(60, 6_000, 60).astype(int)
    looks = np.maximum(2, (both * share).astype(int)), both - np.maximum(2, (both * share).astype(int))
    arms = [running_ratios(chance.lognormal(0, 1.5, (150, each[-1])), None, each) for each in looks]
    found = difference(arms[0], arms[1], bounded=False)
    naive = np.abs(found.value) > 1.96 * np.sqrt(arms[0].variance + arms[1].variance)
    assert ((found.low > 0) | (found.high < 0)).any(1).mean() <= 0.05
    assert naive.any(1).mean() > 0.2


def test_a_tail_reaches_farther_on_its_side_and_no_less_far_on_the_other() -> None:
    draws = np.random.default_rng(4).lognormal(0, 1.5, 3_000)
    even = np.tile([0.9, 1.1], 1_500) * draws.mean()
    tail_above, tail_below = compared(draws, even), compared(even, draws)
    plain = (tail_above.high - tail_above.value) > 1.05 * (tail_above.value - tail_above.low)
    assert plain
    assert float(tail_below.value - tail_below.low) == pytest.approx(float(tail_above.high - tail_above.value))
    assert float(tail_below.high - tail_below.value) == pytest.approx(float(tail_above.value - tail_above.low))
