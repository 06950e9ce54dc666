"""Tests router/statistics/estimates.py."""

import numpy as np
import pytest

from router.statistics.estimates import Estimate, estimated, t_quantile

# Of Student's t at 97.5 %, as any table has it.
TABLE = {3: 3.1824, 4: 2.7764, 5: 2.5706, 10: 2.2281, 30: 2.0423, 1_000: 1.9623}


@pytest.mark.parametrize(("degrees", "quantile"), TABLE.items())
def test_quantiles_are_those_of_the_table(degrees: int, quantile: float) -> None:
    assert t_quantile(0.975, degrees) == pytest.approx(quantile, abs=0.005)


def test_many_even_parts_give_the_normal_interval() -> None:
    parts = np.random.default_rng(1).standard_normal(20_000)
    found = estimated(10.0, parts, are_draws=True)
    assert found.error == pytest.approx(parts.std() * 20_000**0.5, rel=0.01)
    assert found.half_width == pytest.approx(1.96 * found.error, rel=0.002)
    assert found.low + found.high == pytest.approx(20.0, abs=0.002 * found.error)


def test_one_part_that_makes_most_of_the_error_widens_the_interval() -> None:
    even, uneven = np.ones(100), np.ones(100)
    even[::2] = -1.0
    uneven[0] = 30.0
    narrow, wide = estimated(0.0, even), estimated(0.0, uneven)
    assert narrow.half_width / narrow.error == pytest.approx(1.98, abs=0.01)
    assert -wide.low / wide.error == pytest.approx(t_quantile(0.975, 3.0))
    assert wide.high / wide.error > 2 * t_quantile(0.975, 3.0)  # the rest of the tail lies there


def test_few_clusters_are_less_sure_and_uneven_ones_have_fewer_degrees_of_freedom() -> None:
    found = estimated(0.0, np.array([2.0, -1.0, 1.0, -2.0]))
    assert found.error == pytest.approx((10.0 * 4 / 3) ** 0.5)
    assert found.degrees == 3.0, "never more than there are clusters, less one"
    many = estimated(0.0, np.tile([2.0, -1.0, 1.0, -2.0], 25))
    assert many.error == pytest.approx((250.0 * 100 / 99) ** 0.5)
    longer = estimated(0.0, np.array([10.0, *[1.0, -1.0] * 50]))
    assert longer.degrees == pytest.approx(2.0 / (1.5 * (10_100 - 200**2 / 101) / 200**2))


def test_means_of_long_tails_are_covered() -> None:
    rng, covered = np.random.default_rng(5), 0
    for _ in range(400):
        draws = rng.lognormal(0.0, 1.0, 200)
        mean = float(draws.mean())
        found = estimated(mean, (draws - mean) / len(draws))
        covered += found.low <= float(np.exp(0.5)) <= found.high
    assert covered >= 370


def test_capped_pareto_draws_whose_tail_is_seldom_seen_are_covered_on_both_sides() -> None:
    rng, above, below = np.random.default_rng(7), 0, 0
    truth = 3.0 - 2.0 * 100.0**-0.5  # of min(x, 100) for shape 1.5
    for _ in range(1_000):
        draws = np.minimum(rng.pareto(1.5, 220) + 1.0, 100.0)
        mean = float(draws.mean())
        found = estimated(mean, (draws - mean) / len(draws), are_draws=True)
        above += found.high < truth
        below += found.low > truth
    assert above + below <= 75  # 116 with sides of one length


def test_what_has_no_error_has_no_width() -> None:
    assert estimated(0.3, np.zeros(5)) == Estimate(0.3, 0.3, 0.3, 0.0, 4.0)


def test_what_else_is_unsure_widens_the_interval() -> None:
    parts = np.array([1.0, -1.0] * 50)
    found = estimated(0.0, parts, further=10.0)
    assert found.error**2 == pytest.approx(estimated(0.0, parts).error ** 2 + 100.0)
    assert estimated(0.0, np.zeros(5), further=1.0).half_width > 1.9


def test_a_single_cluster_is_refused() -> None:
    with pytest.raises(ValueError, match="2 clusters or more, and there are 1"):
        estimated(0.3, np.ones(1))
