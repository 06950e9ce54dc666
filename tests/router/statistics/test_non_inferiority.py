"""Tests router/statistics/non_inferiority.py."""

import math

import numpy as np
import pytest

from router.statistics.non_inferiority import LEAST_FAILURES, NonInferiority, non_inferiority, units_needed
from router.statistics.ratios import ratio_of, running_ratios


def judged(treated: int, control: int, of: int, *, margin: float = 0.05) -> NonInferiority:
    arms = [np.repeat([1.0, 0.0], [good, of - good]) for good in (treated, control)]
    return non_inferiority(ratio_of(arms[0]), ratio_of(arms[1]), margin=margin)


def test_the_number_of_units_is_that_of_the_book() -> None:
    found = units_needed(0.85, 0.65, margin=0.10, alpha=0.05, power=0.8)
    assert found == pytest.approx(24.39, abs=0.005)
    assert math.ceil(found) == 25
    assert math.ceil(units_needed(0.85, 0.85, margin=0.02)) == 5_004
    assert units_needed(0.8, 0.9, margin=0.1) == math.inf


def test_three_that_all_went_well_prove_nothing() -> None:
    found = judged(3, 3, 3)
    assert bool(found.is_early)
    assert not bool(found.is_shown)
    assert (float(found.low), float(found.high)) == (-1.0, 1.0)


def test_an_arm_without_a_failure_is_not_sure_before_it_could_have_failed() -> None:
    assert bool(judged(150, 150, 150).is_early)
    assert not bool(judged(400, 400, 400).is_early)
    assert bool(judged(400, 400, 400).is_shown)


def test_equal_arms_are_shown_after_enough_and_a_worse_one_is_refuted() -> None:
    assert not bool(judged(425, 425, 500).is_shown)
    assert bool(judged(1_700, 1_700, 2_000).is_shown)
    assert bool(judged(1_400, 1_700, 2_000).is_refuted)
    assert not bool(judged(1_400, 1_700, 2_000).is_shown)


def test_a_handful_of_heavy_users_is_early_however_much_they_ask() -> None:
    heavy, light = np.repeat([2_000.0, 1.0], [20, 200]), np.repeat([10.0, 1.0], [4_000, 200])
    few, many = (ratio_of(asked * np.resize([0.8, 1.0], len(asked)), asked) for asked in (heavy, light))
    assert 20 <= float(few.alike) < 30 < float(few.units)
    found = non_inferiority(few, few, margin=0.3)
    assert float(found.failures) > LEAST_FAILURES
    assert bool(found.is_early)
    assert not bool(non_inferiority(many, many, margin=0.3).is_early)


@pytest.mark.parametrize(("good", "margin", "share"), [(0.95, 0.02, 0.5), (0.98, 0.02, 0.1)])
def test_an_arm_at_the_margin_is_seldom_accepted_however_often_one_looks(
    good: float, margin: float, share: float
) -> None:
    chance = np.random.default_rng(5)
    both = np.geomspace(60, 8_000, 60).astype(int)
    treated = np.maximum(2, (both * share).astype(int))
    arms = [
        running_ratios((chance.random((200, each[-1])) < right).astype(float), None, each)
        for each, right in ((treated, good - margin), (both - treated, good))
    ]
    found = non_inferiority(arms[0], arms[1], margin=margin)
    naive = found.value - 1.96 * np.sqrt(arms[0].variance + arms[1].variance) > -margin
    assert found.is_shown.any(1).mean() <= 0.025
    assert naive.any(1).mean() > 0.1


def test_an_arm_of_a_few_heavy_users_at_the_margin_is_seldom_accepted() -> None:
    chance, looks = np.random.default_rng(11), np.geomspace(30, 3_000, 40).astype(int)
    arms = []
    for right in (0.57, 0.60):
        asked = np.minimum(chance.zipf(1.7, (300, 3_000)), 1_000)
        own = chance.beta(4 * right, 4 * (1 - right), asked.shape)
        arms.append(running_ratios(chance.binomial(asked, own).astype(float), asked.astype(float), looks))
    found = non_inferiority(arms[0], arms[1], margin=0.03)
    assert found.is_shown.any(1).mean() <= 0.025
    assert found.is_refuted.any(1).mean() <= 0.025
