"""Tests router/statistics/realised.py."""

import numpy as np
import pytest

from router.statistics.realised import ENOUGH, realised_weights


def test_the_drawn_stand_for_all_that_were_answered() -> None:
    rng = np.random.default_rng(1)
    answered = rng.integers(0, 500, 48).astype(float)
    hours = rng.integers(0, 48, 300)
    assert realised_weights(hours, np.full(300, 0.02), answered).sum() == pytest.approx(answered.sum())


def test_hours_in_which_calls_were_dropped_weigh_more() -> None:
    """Busy hours answer three times as many, and as many calls come to something there as elsewhere."""
    answered = np.array([1_000.0, 3_000.0] * 12)
    hours = np.repeat(np.arange(24), 20)
    weights = realised_weights(hours, np.full(480, 0.02), answered)
    assert weights[hours % 2 == 0] == pytest.approx(50.0)
    assert weights[hours % 2 == 1] == pytest.approx(150.0)


def test_what_was_drawn_more_often_stands_for_fewer() -> None:
    weights = realised_weights(np.zeros(60, int), np.repeat([0.01, 0.03], 30), np.array([4_000.0]))
    assert weights[:30] == pytest.approx(100.0)
    assert weights[30:] == pytest.approx(100.0 / 3)


def test_hours_without_a_draw_are_stood_for_by_hours_as_busy() -> None:
    weights = realised_weights(np.repeat([1, 3], 40), np.full(80, 0.1), np.array([400.0, 400.0, 90.0, 100.0]))
    assert weights.sum() == pytest.approx(990.0)
    assert weights[:40] == pytest.approx(weights[0])


def test_few_draws_make_one_class() -> None:
    few = ENOUGH - 5
    assert realised_weights(
        np.arange(few), np.full(few, 0.5), np.arange(1.0, few + 1.0, dtype=np.float64)
    ) == pytest.approx(np.full(few, (few + 1) / 2))
