"""Tests router/statistics/sample_ratio.py."""

import math

import numpy as np
import pytest

from router.statistics.sample_ratio import chi_square_p, chi_square_tail, mismatch, sequential_p

EVEN = (0.5, 0.5)


def test_the_published_mismatch_has_its_published_p() -> None:
    assert chi_square_p([821_588, 815_482], EVEN) == pytest.approx(1.8e-6, rel=0.02)


@pytest.mark.parametrize(
    ("value", "degrees", "tail"), [(3.8415, 1, 0.05), (5.9915, 2, 0.05), (7.8147, 3, 0.05), (18.307, 10, 0.05)]
)
def test_the_tail_of_chi_square_is_that_of_the_tables(value: float, degrees: int, tail: float) -> None:
    assert chi_square_tail(value, degrees) == pytest.approx(tail, abs=5e-6)


def test_the_sequential_evidence_is_the_ratio_of_two_likelihoods() -> None:
    """Of two units in one arm of two: a mean of shares squared, by a quarter."""
    found = float(1 / sequential_p([2.0, 0.0], EVEN))
    by_hand = [(c / 2) * (c / 2 + 1) / (c * (c + 1)) / 0.25 for c in (100.0, 10_000.0)]
    assert found == pytest.approx(sum(by_hand) / 2)


def test_an_even_split_is_no_mismatch_and_a_gross_one_is_at_once() -> None:
    assert not mismatch([500, 510], EVEN, is_end=False)
    assert mismatch([300, 700], EVEN, is_end=False)
    assert not mismatch([0, 0], EVEN, is_end=True)


def test_the_planned_end_sees_what_looks_before_must_not_claim() -> None:
    counts = (24_600, 25_400)
    assert chi_square_p(counts, EVEN) < 0.0007
    assert not mismatch(counts, EVEN, is_end=False)
    assert mismatch(counts, EVEN, is_end=True)


def test_watched_arms_that_are_filled_as_planned_are_hardly_ever_accused() -> None:
    chance = np.random.default_rng(3)
    weights = (0.2, 0.3, 0.5)
    counts = np.cumsum(chance.multinomial(200, weights, size=(2_000, 40)), axis=1)
    assert (sequential_p(counts.astype(float), weights).min(1) < 0.01).mean() <= 0.01 + 2 * math.sqrt(0.01 / 2_000)
