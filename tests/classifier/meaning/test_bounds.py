"""Tests classifier/meaning/bounds.py."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifier.meaning.bounds import calibrate, measure, upper_bound


@pytest.mark.parametrize(
    ("count", "total", "confidence", "bound"),
    [(0, 2995, 0.95, 0.001), (0, 100, 0.95, 0.02951), (5, 100, 0.975, 0.11283), (1, 10, 0.95, 0.39416)],
)
def test_the_bound_is_that_of_clopper_and_pearson(count: int, total: int, confidence: float, bound: float) -> None:
    assert upper_bound(count, total, confidence=confidence) == pytest.approx(bound, abs=2e-5)


def test_where_nothing_was_seen_nothing_is_promised() -> None:
    assert upper_bound(0, 0) == 1.0
    assert calibrate([], [0.9], bound=0.01).threshold is None
    assert calibrate([0.1] * 100, [0.9], bound=0.001).threshold is None


@settings(max_examples=20)
@given(st.lists(st.floats(min_value=-1, max_value=1), min_size=300, max_size=600), st.sampled_from([0.02, 0.05, 0.1]))
def test_the_threshold_is_the_lowest_that_keeps_the_bound(different: list[float], bound: float) -> None:
    found = calibrate(different, [1.0], bound=bound)
    assert found.threshold is not None
    assert found.upper <= bound
    assert found.false == sum(similarity >= found.threshold for similarity in different)
    lower = [similarity for similarity in different if similarity < found.threshold]
    if lower:
        assert measure(different, [1.0], threshold=max(lower)).upper > bound


def test_the_promise_is_kept_on_new_pairs() -> None:
    rng = random.Random(0)
    broken = 0
    for _ in range(100):
        threshold = calibrate([rng.random() for _ in range(500)], [1.0], bound=0.05, confidence=0.9).threshold
        assert threshold is not None
        broken += 1 - threshold > 0.05
    assert broken <= 20


def test_hits_are_a_share_of_what_means_the_same() -> None:
    found = measure([0.1, 0.9], [0.2, 0.8, 0.95, 1.0], threshold=0.85)
    assert (found.false, found.different, found.hits, found.same) == (1, 2, 0.5, 4)
