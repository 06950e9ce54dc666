"""Tests router/ledger/percentiles.py: nearest ranks by bins, at most 1 % from those of the times themselves."""

import math

import numpy as np
import pytest

from router.ledger.bins import bin_of
from router.ledger.percentiles import Binned, Histogram


def binned(times: list[float], *, bucket: int = 0, source: int = 0) -> Binned:
    """Return times as a ledger counts them."""
    bins, counts = np.unique([bin_of(seconds) for seconds in times], return_counts=True)
    return Binned(bucket, source, bins, counts)


@pytest.mark.parametrize("spread", [0.01, 0.5, 2.5])
def test_a_percentile_is_wrong_by_less_than_a_hundredth(spread: float) -> None:
    chance = np.random.default_rng(7)
    for count in (1, 2, 19, 20, 21, 1_000):
        times = sorted(float(seconds) for seconds in np.exp(chance.normal(-1, spread, count)))
        found = Histogram([binned(times)], buckets=1, sources=1).of()
        assert found is not None
        assert found.answers == count
        assert found.p50 == pytest.approx(times[math.ceil(count / 2) - 1], rel=0.0051)
        assert found.p95 == pytest.approx(times[math.ceil(0.95 * count) - 1], rel=0.0051)


def test_buckets_and_sources_add_up() -> None:
    parts = [binned([0.1] * 10), binned([1.0] * 2, source=1), binned([9.0] * 8, bucket=1), binned([0.1], bucket=1)]
    histogram = Histogram(parts, buckets=3, sources=2)
    assert [histogram.of(bucket=bucket) is None for bucket in range(3)] == [False, False, True]
    counts = [histogram.of(), histogram.of(source=0), histogram.of(bucket=1), histogram.of(bucket=0, source=1)]
    assert [found and found.answers for found in counts] == [21, 19, 9, 2]
    whole = histogram.of()
    assert whole is not None
    assert whole.p50 == pytest.approx(0.1, rel=0.0051)  # the 11th of 21
    assert whole.p95 == pytest.approx(9.0, rel=0.0051)  # the 20th
    assert histogram.of(bucket=1, source=1) is None


def test_of_nothing_there_are_none() -> None:
    assert Histogram([], buckets=2, sources=3).of() is None
