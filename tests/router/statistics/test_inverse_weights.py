"""Tests router/statistics/inverse_weights.py."""

import numpy as np
import pytest

from router.statistics.inverse_weights import mean_of, past_means, scores


def test_scores_are_right_on_average_whatever_is_predicted() -> None:
    chance = np.random.default_rng(0)
    propensities = np.where(np.arange(40_000) % 2, 0.1, 0.6)
    arms = (chance.random(40_000) < propensities).astype(np.intp)
    outcomes = np.where(arms == 1, 3.0, 1.0) + chance.normal(0, 1, 40_000)
    for predicted in (0.0, 2.5, 9.0):
        found = scores(outcomes, arms, propensities, arm=1, predicted=predicted)
        assert found.mean() == pytest.approx(3.0, abs=0.15), predicted
    near = scores(outcomes, arms, propensities, arm=1, predicted=3.0)
    assert near.std() < scores(outcomes, arms, propensities, arm=1).std()


def test_what_is_predicted_rests_on_earlier_epochs_alone() -> None:
    outcomes, arms = np.array([1.0, 5.0, 3.0, 7.0]), np.array([1, 1, 0, 1])
    epochs = np.array([0, 1, 1, 2])
    assert past_means(outcomes, arms, epochs, arm=1).tolist() == [0.0, 1.0, 1.0, 3.0]
    assert past_means(np.zeros(0), np.zeros(0, np.intp), np.zeros(0, np.intp), arm=0).tolist() == []


def test_the_mean_of_few_scores_is_too_early() -> None:
    few = mean_of(np.array([1.0, 2.0, 3.0]))
    assert few.is_early
    assert (few.low, few.high) == (-np.inf, np.inf)
    many = mean_of(np.random.default_rng(0).normal(1, 1, 2_000))
    assert not many.is_early
    assert many.low < 1.0 < many.high
