"""Tests router/statistics/ratios.py."""

import numpy as np
import pytest

from router.statistics.ratios import parts_of, ratio_of, running_ratios


def test_a_ratio_of_ones_is_the_mean_with_its_variance() -> None:
    values = np.array([1.0, 2.0, 4.0, 9.0])
    found = ratio_of(values)
    assert float(found.value) == 4.0
    assert float(found.variance) == pytest.approx(values.var(ddof=1) / 4)


def test_units_without_requests_count_for_nothing() -> None:
    found = ratio_of(np.array([3.0, 0.0, 5.0]), np.array([1.0, 0.0, 3.0]))
    assert (float(found.units), float(found.value), float(found.total)) == (2.0, 2.0, 4.0)


def test_nothing_is_no_ratio() -> None:
    assert np.isnan(ratio_of(np.zeros(0)).value)


def test_the_variance_is_what_clusters_make_of_it() -> None:
    """Requests of a user are alike: ten of each of 2,000 users tell hardly more than one of each."""
    chance = np.random.default_rng(0)
    runs = np.array([_of_users(chance) for _ in range(200)])
    assert runs[:, 1].mean() == pytest.approx(runs[:, 0].std(), rel=0.15)


def _of_users(chance: np.random.Generator) -> tuple[float, float]:
    requests = chance.integers(1, 20, 500).astype(float)
    found = ratio_of(requests * chance.exponential(1.0, 500), requests)
    return float(found.value), float(found.variance) ** 0.5


def test_running_ratios_are_those_of_the_units_so_far() -> None:
    chance = np.random.default_rng(1)
    y, x = chance.exponential(2.0, (3, 60)), chance.integers(1, 9, (3, 60)).astype(float)
    looks = np.array([7, 20, 60])
    for given in (x, None):
        running = running_ratios(y, given, looks)
        for run in range(3):
            for number, look in enumerate(looks):
                one = ratio_of(y[run, :look], None if given is None else x[run, :look])
                for name in ("units", "value", "weight", "spread", "third", "fourth"):
                    expected = float(getattr(one, name))
                    assert float(getattr(running, name)[run, number]) == pytest.approx(expected, rel=1e-9), name
                assert float(running.uneven[run, number]) == pytest.approx(float(one.uneven), abs=1e-9)


def test_a_heavy_unit_leaves_few_that_weigh_alike() -> None:
    assert float(ratio_of(np.ones(50)).alike) == 50.0
    assert float(ratio_of(np.ones(101), np.append(np.ones(100), 100.0)).alike) == pytest.approx(200**2 / 10_100)


def test_parts_sum_to_nothing() -> None:
    parts = parts_of(np.array([1.0, 5.0, 3.0]), np.array([1.0, 2.0, 1.0]))
    assert parts.sum() == pytest.approx(0.0)
    assert not parts_of(np.zeros(3), np.zeros(3)).any()
