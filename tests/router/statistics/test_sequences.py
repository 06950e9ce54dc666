"""Tests router/statistics/sequences.py."""

import numpy as np
import pytest

from router.statistics.sequences import always_valid_p, mixing, one_sided_reach, reach, stitched_radius


def test_the_asymptotic_radius_is_that_of_the_formula() -> None:
    assert float(reach(1e4, tightest=1_000.0)) / 100 == pytest.approx(0.0326, abs=5e-5)


def test_the_stitched_radius_is_that_of_the_formula() -> None:
    assert float(stitched_radius(1e4)) == pytest.approx(0.0421, abs=5e-5)


def test_the_sequence_is_wider_than_an_interval_and_narrowest_beside_it_where_it_should_be() -> None:
    units = np.array([10.0, 100.0, 1_000.0, 10_000.0, 1e6])
    wide = reach(units, tightest=1_000.0)
    assert wide.min() > 1.96
    assert wide.argmin() == 2


def test_one_side_of_half_the_error_reaches_nearly_as_far_as_two_sides() -> None:
    assert float(one_sided_reach(5_000.0, alpha=0.025)) == pytest.approx(float(reach(5_000.0, alpha=0.05)), rel=2e-3)


def test_a_p_value_is_alpha_where_the_sequence_just_leaves_zero_out() -> None:
    for units in (200.0, 5_000.0):
        assert float(always_valid_p(reach(units), units)) == pytest.approx(0.05)
    assert float(always_valid_p(0.0, 500.0)) == 1.0


def test_mixing_is_tuned_to_where_it_is_tightest() -> None:
    assert mixing(0.05, 1_000.0) == pytest.approx(0.008782, abs=1e-6)
