"""Tests router/statistics/aipw.py: sums of values of which few are seen."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from router.statistics.aipw import Clusters, Corrected, Draws, corrected, folds_of, saved, saved_of_like

Reals = NDArray[np.float64]


@dataclass(frozen=True)
class Sample:
    """Things, and the draws of them."""

    values: Reals
    clusters: Clusters
    draws: Draws


def sample(rng: np.random.Generator, *, things: int = 3_000, share: float = 0.1, curve: float = 1.0) -> Sample:
    """Return things whose values hang on a feature, not in a straight line unless `curve` is 1."""
    of = np.sort(rng.integers(0, 300, things))
    feature = rng.lognormal(0.0, 0.5, things)
    values = 3.0 + 2.0 * feature**curve + rng.standard_normal(things)
    features = np.stack([np.ones(things), feature], axis=1)
    drawn = np.flatnonzero(rng.random(things) < share)
    sums = np.stack([np.bincount(of, column, 300) for column in features.T], axis=1)
    return Sample(
        values,
        Clusters(sums.astype(float), folds_of(300), np.zeros(2)),
        Draws(of[drawn], features[drawn], values[drawn], np.full(len(drawn), 1.0 / share)),
    )


@pytest.mark.parametrize("curve", [1.0, 2.5])
def test_the_sum_is_right_on_average_whatever_the_model_says(curve: float) -> None:
    rng, slips = np.random.default_rng(3), []
    for _ in range(80):
        drawn = sample(rng, curve=curve)
        slips.append(float(corrected(drawn.clusters, drawn.draws).totals.sum() / drawn.values.sum()) - 1.0)
    assert abs(np.mean(slips)) < 3.0 * np.std(slips) / 80**0.5
    assert np.std(slips) < 0.05


def test_the_interval_covers_the_share_of_these_very_things() -> None:
    rng, covered = np.random.default_rng(4), 0
    for _ in range(120):
        drawn = sample(rng)
        found = saved(9_000.0, 0.0, corrected(drawn.clusters, drawn.draws))
        covered += found.low <= 1.0 - 9_000.0 / drawn.values.sum() <= found.high
    assert 107 <= covered <= 120


def test_what_is_always_drawn_is_known() -> None:
    drawn = sample(np.random.default_rng(5), share=1.0)
    found = corrected(drawn.clusters, drawn.draws)
    assert found.totals.sum() == pytest.approx(drawn.values.sum())
    assert np.allclose(found.errors, 0.0)


def test_no_value_is_predicted_by_a_model_that_has_seen_it() -> None:
    """A value that is changed moves the sum by its weight alone: its own fold's model stays what it was."""
    drawn = sample(np.random.default_rng(6))
    other = replace(drawn.draws, values=drawn.draws.values.copy())
    other.values[0] += 1_000.0
    before, after = (corrected(drawn.clusters, draws) for draws in (drawn.draws, other))
    cluster = drawn.draws.clusters[0]
    assert after.totals[cluster] - before.totals[cluster] == pytest.approx(10_000.0)


def test_what_could_not_be_drawn_is_predicted_and_widens_the_interval() -> None:
    drawn = sample(np.random.default_rng(7))
    beyond = drawn.clusters.features.sum(axis=0)
    doubled = replace(drawn.clusters, features=drawn.clusters.features * 2.0, unreached=beyond)
    one, two = corrected(drawn.clusters, drawn.draws), corrected(doubled, drawn.draws)
    assert two.totals.sum() == pytest.approx(2.0 * one.totals.sum(), rel=0.01)
    assert np.linalg.norm(two.errors) > 1.7 * np.linalg.norm(one.errors)
    assert np.linalg.norm(two.spread - two.totals) > 0


def test_a_feature_that_no_draw_has_is_left_out() -> None:
    drawn = sample(np.random.default_rng(8))
    wide = replace(
        drawn.clusters, features=np.column_stack([drawn.clusters.features, np.ones(300)]), unreached=np.zeros(3)
    )
    draws = replace(drawn.draws, features=np.column_stack([drawn.draws.features, np.zeros(len(drawn.draws.values))]))
    assert corrected(wide, draws).totals.sum() == pytest.approx(corrected(drawn.clusters, drawn.draws).totals.sum())


def test_traffic_like_this_has_the_wider_interval() -> None:
    drawn = sample(np.random.default_rng(9), share=0.5)
    found = corrected(drawn.clusters, drawn.draws)
    spent = np.random.default_rng(1).lognormal(3.0, 1.0, 300)
    these = saved(float(spent.sum()), 0.0, found)
    like = saved_of_like(spent, np.zeros(300), found)
    assert these.value == pytest.approx(like.value)
    assert like.half_width > 2 * these.half_width


def test_a_constant_counts_as_known() -> None:
    nothing = Corrected(np.zeros(3), np.zeros(3), np.zeros(2), np.zeros(2), np.zeros((1, 1)))
    assert saved(40.0, 100.0, nothing).value == pytest.approx(0.6)
    assert saved_of_like(np.full(3, 20.0), np.full(3, 30.0), nothing, constant=10.0).value == pytest.approx(0.4)


def test_what_no_cluster_holds_alone_is_as_uncertain_as_what_they_hold() -> None:
    nothing = Corrected(np.zeros(4), np.zeros(4), np.zeros(2), np.zeros(2), np.zeros((1, 1)))
    spent, known = np.array([10.0, 30.0, 20.0, 40.0]), np.array([50.0, 90.0, 20.0, 40.0])
    doubled = saved_of_like(spent, 2 * known, nothing)
    assert saved_of_like(spent, known, nothing, constant=float(known.sum())) == doubled
    assert doubled.error > 0.0


def test_where_nothing_would_have_been_spent_nothing_is_saved() -> None:
    with pytest.raises(ValueError, match="nothing would have been spent"):
        saved(1.0, 0.0, Corrected(np.zeros(3), np.zeros(3), np.zeros(2), np.zeros(2), np.zeros((1, 1))))
