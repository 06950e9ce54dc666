"""Tests router/bench/matching.py."""

import numpy as np
import pytest
from numpy.typing import NDArray

from router.bench.matching import Answered, auroc, cheapest, match


def reals(*values: float) -> NDArray[np.float64]:
    return np.array(values, dtype=np.float64)


@pytest.mark.parametrize(
    ("wanted", "spend"),
    [
        (0.5, 10.0),  # as accurate as a policy
        (0.75, 55.0),  # half of one and half of the other
        (1.0, 100.0),
        (0.2, 10.0),  # none is so bad: the cheapest that is good enough
        (1.1, 100.0),  # none is so good: the best there is
    ],
)
def test_between_two_policies_lies_every_mixture(wanted: float, spend: float) -> None:
    assert cheapest(reals(0.5, 1.0), reals(10.0, 100.0), wanted) == pytest.approx(spend)


def test_a_dearer_policy_that_is_no_better_is_never_part_of_the_mixture() -> None:
    accuracies, spends = reals(0.0, 0.5, 0.4, 1.0), reals(0.0, 90.0, 95.0, 100.0)
    assert cheapest(accuracies, spends, 0.5) == pytest.approx(50.0)
    assert cheapest(accuracies, spends, 0.4) == pytest.approx(40.0)


def coins(seed: int, share: float, n: int) -> NDArray[np.float64]:
    return (np.random.default_rng(seed).random(n) < share).astype(np.float64)


def test_a_policy_is_matched_with_itself_at_no_difference() -> None:
    counts = np.arange(400) < 200
    other, dear = Answered(coins(1, 0.5, 400), np.full(400, 1.0)), Answered(np.ones(400), np.full(400, 10.0))
    found = match(other, [other, dear], counts=counts, resamples=200, seed=0)
    assert (found.difference, found.low, found.high) == (0.0, 0.0, 0.0)
    assert found.accuracy == other.right[counts].mean()
    assert found.spend == 400.0


def test_a_policy_that_knows_more_is_cheaper_with_its_interval_below_zero() -> None:
    counts = np.ones(1000, dtype=bool)
    mini_right = coins(2, 0.5, 1000)
    mini, large = Answered(mini_right, np.full(1000, 1.0)), Answered(np.ones(1000), np.full(1000, 10.0))
    oracle = Answered(np.ones(1000), 1.0 + 10.0 * (1 - mini_right))
    found = match(oracle, [mini, large], counts=counts, resamples=300, seed=0)
    assert found.matched == 10_000.0
    assert found.low <= found.difference == found.spend - found.matched <= found.high < 0


def test_only_what_counts_makes_accuracy_and_all_of_it_spend() -> None:
    counts = np.array([True, False])
    policy = Answered(reals(1.0, 0.0), reals(3.0, 4.0))
    found = match(policy, [policy], counts=counts, resamples=10, seed=0)
    assert (found.accuracy, found.spend) == (1.0, 7.0)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """Of policies that do not differ in expectation, one in twenty intervals leaves zero out."""
    missed = 0
    for seed in range(100):
        draws = [coins(1000 * seed + part, 0.5, 200) for part in range(2)]
        cheap = Answered(np.zeros(200), np.zeros(200))
        dear = Answered(draws[0], 2.0 * np.ones(200))
        found = match(
            Answered(draws[1], 2.0 * np.ones(200)), [cheap, dear], counts=np.ones(200, bool), resamples=200, seed=seed
        )
        missed += not found.low <= 0 <= found.high
    assert missed <= 12


def test_auroc_counts_ties_half() -> None:
    assert auroc(reals(0.1, 0.2, 0.2, 0.9), np.array([False, True, False, True])) == pytest.approx(0.875)
    assert auroc(reals(0.1, 0.2), np.array([True, True])) is None
