"""Tests router/statistics/thompson.py."""

from decimal import Decimal

import numpy as np
import pytest

from router.statistics.thompson import likely_best, with_floor


def test_equal_arms_share_and_a_better_one_takes_most() -> None:
    assert likely_best([1.0, 1.0], [0.1, 0.1], seed=0) == pytest.approx([0.5, 0.5], abs=0.02)
    assert likely_best([1.0, 0.0], [0.1, 0.1], seed=0)[0] > 0.999


def test_an_arm_of_which_nothing_is_known_is_tried() -> None:
    assert likely_best([1.0, 0.0, 0.0], [0.1, np.inf, np.inf], seed=0).tolist() == [0.0, 0.5, 0.5]


def test_weights_sum_to_exactly_1_and_none_falls_below_the_floor() -> None:
    for seed in range(20):
        found = np.random.default_rng(seed).dirichlet([0.2] * 7)
        weights = with_floor(found, Decimal("0.03"))
        assert sum(weights) == 1
        assert min(weights) >= Decimal("0.03")
