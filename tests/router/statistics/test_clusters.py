"""Tests router/statistics/clusters.py."""

import numpy as np
import pytest
from numpy.typing import NDArray

from router.statistics.clusters import of_rows, sizes_of
from router.statistics.estimates import Estimate, estimated

Reals = NDArray[np.float64]


def zipf(users: int, exponent: float) -> Reals:
    shares = np.arange(1.0, users + 1.0) ** -exponent
    return np.asarray(shares / shares.sum())


def mean_of(values: Reals, users: NDArray[np.int64]) -> Estimate:
    value, count = float(values.mean()), len(values)
    clusters = np.unique(users, return_inverse=True)[1]
    return of_rows(value, (values - value) / count, np.full(count, 1.0 / count), clusters)


def test_clusters_of_one_size_have_the_interval_that_they_had() -> None:
    rng = np.random.default_rng(1)
    values, users = rng.exponential(size=400) + np.repeat(rng.standard_normal(20), 20), np.repeat(np.arange(20), 20)
    plain = estimated(float(values.mean()), np.bincount(users, values - values.mean()) / 400)
    found = mean_of(values, users)
    assert found.error == pytest.approx(plain.error)
    assert (found.low, found.high) == pytest.approx((plain.low, plain.high))


@pytest.mark.parametrize("common", [0.0, 1.0])
def test_bias_and_degrees_are_those_of_normal_clusters(common: float) -> None:
    """Sizes 1/2, 1/4, 1/8, 1/8 of a thousand rows that share all or nothing, held against 20,000 draws of the sum."""
    rng, sizes = np.random.default_rng(2), np.array([500, 250, 125, 125])
    share = sizes / sizes.sum()
    means = rng.standard_normal((20_000, 4)) * (1.0 if common else np.sqrt(1.0 / sizes))
    off = (means @ share)[:, None]
    squares = np.square((means - off) * share).sum(axis=1)
    clusters = np.repeat(np.arange(4), sizes)
    rows = rng.standard_normal(4)[clusters] if common else rng.standard_normal(1_000)
    rows = (rows - rows.mean()) / 1_000
    found = sizes_of(rows, np.full(1_000, 0.001), clusters)
    assert found is not None
    assert found.pull == pytest.approx(np.square(off).mean() / squares.mean(), rel=0.05)
    assert found.degrees == pytest.approx(2.0 * squares.mean() ** 2 / squares.var(), rel=0.05)


def test_a_few_users_with_most_of_the_requests_are_covered() -> None:
    """Where sizes are not looked at, more are missed by intervals that are wider: one cluster bends them at will."""
    rng, covered, plain, widths = np.random.default_rng(3), 0, 0, np.zeros(2)
    shares = zipf(150, 1.1)
    for _ in range(400):
        users = rng.choice(150, 1_200, p=shares)
        values = rng.standard_normal(150)[users] + rng.standard_normal(1_200)
        found = mean_of(values, users)
        other = estimated(found.value, np.bincount(users, values - found.value) / len(values))
        covered += found.low <= 0.0 <= found.high
        plain += other.low <= 0.0 <= other.high
        widths += found.half_width, other.half_width
    assert covered >= 380
    assert plain < covered
    assert widths[0] < widths[1]


def test_sizes_say_nothing_where_nothing_varies_or_one_has_everything() -> None:
    assert sizes_of(np.zeros(4), np.full(4, 0.25), np.arange(4)) is None
    assert sizes_of(np.array([0.1, -0.1]), np.array([1.0, 0.0]), np.arange(2)) is None
    assert sizes_of(np.array([1e-12, -1e-12]), np.array([1.0 - 1e-12, 1e-12]), np.arange(2)) is None


def test_the_tail_of_rows_widens_the_interval_by_its_index() -> None:
    values = np.random.default_rng(4).pareto(1.5, 1_000)
    values = np.minimum(values, np.sort(values)[-5])
    rows, shares = (values - values.mean()) / 1_000, np.full(1_000, 0.001)
    bounded, own, known = (
        of_rows(0.0, rows, shares, np.arange(1_000), index=index).half_width for index in (None, float("inf"), 1.2)
    )
    assert bounded < own < known
