"""Tests router/statistics/tails.py."""

import numpy as np
import pytest

from router.statistics.estimates import estimated
from router.statistics.tails import LEAST_INDEX, NO_TAIL, index_of, unseen


def test_a_sample_that_met_its_tail_lacks_nothing_and_one_that_did_not_lacks_the_rest() -> None:
    """Ranks of a Pareto tail of index 2 by hand: the largest is sqrt(10 / 0.5) times the eleventh, or was not met."""
    tail = 3.0 * (10.0 / (np.arange(10) + 0.5)) ** 0.5
    body = np.linspace(-3.0, 3.0, 200)
    met = unseen(np.concatenate([tail, body]))
    assert (met.second, met.third, met.fourth) == pytest.approx((0.0, 0.0, 0.0), abs=1e-9)
    unlucky = tail.copy()
    unlucky[0] = unlucky[1]
    lacks = unseen(np.concatenate([unlucky, body]))
    assert lacks.second > 20.0
    assert lacks.third > 0.0
    assert unseen(-np.concatenate([unlucky, body])).third == pytest.approx(-lacks.third)


def test_what_has_no_tail_lacks_nothing() -> None:
    coins = np.repeat([0.5, -0.5], 100)
    assert unseen(coins) == unseen(np.zeros(200)) == unseen(np.exp(np.arange(99.0))) == NO_TAIL
    assert index_of(np.repeat([0.0, 1.0], [190, 10])) == float("inf")


def test_means_of_costs_with_long_tails_are_covered() -> None:
    rng, covered, plain = np.random.default_rng(11), 0, 0
    for _ in range(400):
        draws = rng.pareto(1.5, 300)
        mean = float(draws.mean())
        parts = (draws - mean) / len(draws)
        found, other = (estimated(mean, parts, are_draws=True, tail=tail) for tail in (unseen(parts), NO_TAIL))
        covered += found.low <= 2.0 <= found.high
        plain += other.low <= 2.0 <= other.high
    assert covered >= 372, "93 %"
    assert plain < 372


def test_the_price_of_lengths_as_they_usually_are_is_small() -> None:
    rng, widths = np.random.default_rng(12), np.zeros(2)
    for _ in range(200):
        draws = rng.lognormal(0.0, 0.6, 300)
        parts = draws - draws.mean()
        widths += [estimated(0.0, parts, are_draws=True, tail=tail).half_width for tail in (unseen(parts), NO_TAIL)]
    assert widths[0] < 1.05 * widths[1]


def test_the_index_tells_tails_that_have_no_mean() -> None:
    rng = np.random.default_rng(13)
    assert index_of(rng.pareto(0.7, 10_000)) < LEAST_INDEX < index_of(rng.pareto(1.5, 10_000))
    assert index_of(rng.lognormal(0.0, 1.0, 10_000)) > 2.0
    assert index_of(rng.pareto(0.7, 99)) == float("inf"), "too few to tell"


def test_an_index_that_many_values_tell_of_holds_where_the_ten_largest_were_small_by_luck() -> None:
    values = np.random.default_rng(14).pareto(1.5, 2_000)
    unlucky = np.minimum(values, np.sort(values)[-15])
    assert unseen(unlucky) == unseen(unlucky, index=1.5) == NO_TAIL, "nothing reaches out"
    cut = np.minimum(values, np.sort(values)[-6])
    assert unseen(cut, index=1.5).second > 2.0 * unseen(cut).second
