"""Tests router/statistics/drift.py."""

import math

import numpy as np
import pytest

from router.statistics.drift import (
    Reference,
    chi_square_limit,
    counted,
    fewest_for,
    quantile_interval,
    reference_of,
    shift,
)


def test_nothing_has_changed_as_often_as_alpha_says() -> None:
    chance, hits, found = np.random.default_rng(1), 0, []
    for _ in range(250):
        reference = reference_of(chance.beta(2, 5, 1_000).tolist())
        seen = shift(reference, counted(np.array(reference.edges), chance.beta(2, 5, 1_000)).tolist(), alpha=0.05)
        hits += seen.is_significant
        found.append(seen.psi)
        assert seen.is_significant == (seen.p < 0.05)
    assert np.mean(found) == pytest.approx(9 * (1 / 1_000 + 1 / 1_000), rel=0.12)
    assert 0.01 < hits / 250 < 0.09


def test_a_small_shift_is_significant_without_being_large() -> None:
    chance = np.random.default_rng(2)
    reference = reference_of(chance.beta(2, 5, 20_000).tolist())
    moved = shift(reference, counted(np.array(reference.edges), chance.beta(2.3, 5, 5_000)).tolist(), alpha=0.001)
    assert (moved.is_significant, moved.is_large) == (True, False)
    other = shift(reference, counted(np.array(reference.edges), chance.beta(5, 5, 5_000)).tolist(), alpha=0.001)
    assert (other.is_significant, other.is_large) == (True, True)


def test_a_small_sample_may_show_a_large_index_that_means_nothing() -> None:
    found = shift(Reference((0.5,), (500, 500)), (9, 3), alpha=0.001)
    assert found.is_large
    assert not found.is_significant


def test_an_empty_bin_has_a_finite_index() -> None:
    found = shift(Reference((0.5,), (100, 0)), (0, 100), alpha=0.001)
    assert math.isfinite(found.psi)
    assert found.is_significant


def test_equal_values_make_fewer_bins_and_one_value_alone_shows_nothing() -> None:
    assert reference_of([0.0] * 900 + [1.0] * 100) == Reference((1.0,), (900, 100))
    same = reference_of([0.3] * 200)
    assert same.edges == ()
    assert not shift(same, (50,), alpha=0.5).is_significant


def test_the_limit_is_that_of_chi_square() -> None:
    assert chi_square_limit(0.001, 9) == pytest.approx(27.877165)
    assert chi_square_limit(0.05, 1) == pytest.approx(3.841459)


def test_samples_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(ValueError, match="take 100 or more"):
        reference_of([0.1] * 99)
    with pytest.raises(ValueError, match="without values"):
        shift(Reference((0.5,), (1, 1)), (0, 0), alpha=0.1)
    with pytest.raises(ValueError, match="do not fit"):
        shift(Reference((0.5,), (1, 1)), (1, 1, 1), alpha=0.1)
    with pytest.raises(ValueError, match="edges must rise"):
        Reference((0.5, 0.5), (1, 1, 1))
    with pytest.raises(ValueError, match="alpha"):
        chi_square_limit(0.0, 3)


def test_an_interval_of_the_99_quantile_exists_from_368_values_on() -> None:
    assert fewest_for(0.99) == 368
    assert quantile_interval(np.arange(367, dtype=np.float64), 0.99) is None
    found = quantile_interval(np.arange(368, dtype=np.float64), 0.99)
    assert found is not None
    assert found[1] == 367.0


@pytest.mark.parametrize("n", [368, 1_000])
def test_either_end_misses_the_quantile_seldom(n: int) -> None:
    draws = np.random.default_rng(4).random((1_000, n))
    ends = np.array([quantile_interval(row, 0.99) for row in draws])
    assert np.mean(ends[:, 0] > 0.99) < 0.025 + 0.01
    assert np.mean(ends[:, 1] < 0.99) < 0.025 + 0.01
    assert np.mean(ends[:, 0] > 0.99) > 0.003  # and it is no wider than it must be
