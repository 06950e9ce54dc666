"""Counts in bins -> percentiles by bucket and source, by nearest rank.

A percentile is the middle of the bin in which its rank lies: wrong by half a per cent at most, whatever the times
were. Bins are those of `router.ledger.bins`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from router.ledger.bins import seconds_of

_P50: Final = (1, 2)  # half of them, as a fraction in whole numbers: ranks are exact
_P95: Final = (19, 20)

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of some times, seconds; `answers` is how many there are, at least one."""

    answers: int
    p50: float
    p95: float


@dataclass(frozen=True, slots=True)
class Binned:
    """Times of one bucket and source: how many lie in each bin, both lists in the same order."""

    bucket: int
    source: int
    bins: Counts
    counts: Counts


class Histogram:
    """Counts by bucket, source and bin."""

    def __init__(self, binned: Iterable[Binned], *, buckets: int, sources: int) -> None:
        """Take all of them at once; a bucket and source may come more than once."""
        known = list(binned)
        self._lowest = min((int(each.bins.min()) for each in known), default=0)
        highest = max((int(each.bins.max()) for each in known), default=0)
        self._counts: Counts = np.zeros((buckets, sources, highest - self._lowest + 1), dtype=np.int64)
        for each in known:
            row = self._counts[each.bucket, each.source]
            np.add.at(row, each.bins - self._lowest, each.counts)

    def of(self, *, bucket: int | None = None, source: int | None = None) -> Percentiles | None:
        """Return the percentiles of a bucket and a source, None for all of either; None where there is nothing."""
        counts = self._counts[slice(None) if bucket is None else slice(bucket, bucket + 1)]
        counts = counts[:, slice(None) if source is None else slice(source, source + 1)]
        reached = np.cumsum(counts.sum(axis=(0, 1)))
        answers = int(reached[-1])
        if not answers:
            return None
        return Percentiles(answers, self._at(reached, answers, _P50), self._at(reached, answers, _P95))

    def _at(self, reached: Counts, answers: int, part: tuple[int, int]) -> float:
        rank = -(-answers * part[0] // part[1])
        return seconds_of(self._lowest + int(np.searchsorted(reached, rank)))
