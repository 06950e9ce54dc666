"""backends/engines/desk/accuracy.py: golden values of both intervals."""

import random

import pytest

from backends.engines.desk.accuracy import Accuracy, paired_difference


@pytest.mark.parametrize(
    ("right", "asked", "low", "high"),
    # Golden: statsmodels 0.14 proportion_confint(method="wilson").
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (427, 500, 0.8203, 0.8822), (1, 2, 0.0945, 0.9055)],
)
def test_the_interval_is_wilson_s(right: int, asked: int, low: float, high: float) -> None:
    assert Accuracy(right, asked).interval() == pytest.approx((low, high), abs=5e-4)


def test_nothing_asked_says_nothing() -> None:
    assert Accuracy(0, 0).interval() == (0.0, 1.0)
    assert Accuracy(0, 0).share == 0.0


def test_the_paired_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng, covered, runs = random.Random(7), 0, 2_000
    for _ in range(runs):
        pairs = [(draw < 0.85, draw < 0.80 or draw > 0.97) for draw in (rng.random() for _ in range(200))]
        _, low, high = paired_difference(pairs)
        covered += low <= -0.02 <= high
    assert 0.93 <= covered / runs <= 0.985


def test_equal_answers_differ_by_nothing_within_an_honest_interval() -> None:
    difference, low, high = paired_difference([(True, True)] * 46 + [(False, False)] * 4)
    assert difference == 0.0
    assert low == pytest.approx(-high)
    assert 0.02 < high < 0.06
