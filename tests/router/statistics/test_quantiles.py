"""Tests router/statistics/quantiles.py."""

import numpy as np

from router.statistics.quantiles import quantile


def test_too_few_values_do_not_bound_a_far_quantile() -> None:
    found = quantile(np.arange(200).astype(np.float64), np.arange(200), 0.99)
    assert found.value == 197.0
    assert found.high == np.inf


def test_many_values_bound_it_on_both_sides() -> None:
    values = np.random.default_rng(0).exponential(1.0, 20_000)
    found = quantile(values, np.arange(20_000), 0.99)
    assert found.low < -np.log(0.01) < found.high
    assert found.high - found.low < 1.0


def test_values_of_few_units_are_less_sure_than_as_many_of_many() -> None:
    chance = np.random.default_rng(1)
    of = np.repeat(np.arange(100), 100)
    values = chance.normal(0, 1, 100)[of] + 0.1 * chance.normal(0, 1, 10_000)
    alike, apart = quantile(values, of, 0.5), quantile(values, np.arange(10_000), 0.5)
    assert alike.high - alike.low > 4 * (apart.high - apart.low)
    assert (alike.units, alike.values) == (100, 10_000)


def test_units_that_happen_to_agree_prove_nothing() -> None:
    values = np.tile(np.arange(500).astype(np.float64), 40)  # each unit has each value once
    apart = quantile(values, np.arange(20_000), 0.5)
    alike = quantile(values, np.repeat(np.arange(40), 500), 0.5)
    assert alike.high - alike.low >= apart.high - apart.low > 0
