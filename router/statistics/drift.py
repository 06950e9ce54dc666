"""Two samples -> whether the second is spread differently; a sample -> where its quantile lies.

The population stability index compares shares by deciles of a reference. Where nothing has changed it is, nearly, a
chi-square variable with a degree of freedom less than there are bins, times (1/n + 1/m) for n and m values: so a fixed
limit such as 0.1 rings too often for small samples and hardly ever for large ones. Two things are told apart here:
"significant", more than sampling explains, and "large", more than `LARGE`.

Source: Yurdakul and Naranjo 2020, "Statistical properties of the population stability index", for the distribution;
Hahn and Meeker 1991, "Statistical Intervals", section 5.2, for the interval of a quantile.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from router.statistics.sample_ratio import chi_square_tail
from router.statistics.watchable import FEWEST

Reals = NDArray[np.float64]

BINS: Final = 10
LARGE: Final = 0.1
"""An index from which on a change is large, whatever sampling explains."""

MOST: Final = 1 << 53
"""Values of a reference: fewer than a float counts exactly."""

_HALF: Final = 0.5  # of a value, that each bin is given beside its own: an empty one has a logarithm, too


class Reference(Struct, frozen=True):
    """How values were spread.

    Attributes:
        edges: between bins, rising; a value that equals an edge belongs to the bin above. None where all were equal.
        counts: of the bins, one more than edges.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        rises = all(one < other for one, other in zip(self.edges, self.edges[1:], strict=False))
        total = sum(self.counts)
        if not rises or len(self.counts) != len(self.edges) + 1 or min(self.counts) < 0 or not 0 < total < MOST:
            raise ValueError("edges must rise, and counts be one more than these, not all of them 0")


@dataclass(frozen=True, slots=True)
class Shift:
    """How far a sample is from its reference.

    Attributes:
        psi: the index, 0.0 or more.
        limit: what it stays below with probability 1 - alpha where nothing has changed.
        p: probability of an index as high where nothing has changed.
        n: values of the sample.
    """

    psi: float
    limit: float
    p: float
    n: int

    @property
    def is_significant(self) -> bool:
        """Tell whether it is more than sampling explains."""
        return self.psi > self.limit

    @property
    def is_large(self) -> bool:
        """Tell whether it is large, which a small sample may show by chance alone."""
        return self.psi > LARGE


def reference_of(values: Sequence[float], *, bins: int = BINS) -> Reference:
    """Return the reference of a sample: bins of about equally many, fewer where values are often equal.

    Raises:
        ValueError: there are too few values.
    """
    if len(values) < FEWEST:
        raise ValueError(f"a reference of {len(values)} values says little; take {FEWEST} or more")
    found = np.asarray(values, dtype=np.float64)
    edges = np.unique(np.quantile(found, np.arange(1, bins) / bins, method="higher"))
    edges = edges[edges > found.min()]  # nothing lies below the lowest value
    return Reference(tuple(edges.tolist()), tuple(counted(edges, found).tolist()))


def counted(edges: Reals, values: Reals) -> NDArray[np.int64]:
    """Return how many values lie in each bin."""
    return np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)


def shift(reference: Reference, counts: Sequence[int], *, alpha: float) -> Shift:
    """Return how far a sample of these counts is from its reference.

    Args:
        alpha: probability of a significant shift where nothing has changed.
    """
    if len(counts) != len(reference.counts):
        raise ValueError(f"counts of {len(counts)} bins do not fit a reference of {len(reference.counts)}")
    n, m, bins = sum(counts), sum(reference.counts), len(counts)
    if n == 0:
        raise ValueError("a sample without values shows nothing")
    was, now = (
        (np.asarray(each, dtype=np.float64) + _HALF) / (sum(each) + _HALF * bins) for each in (reference.counts, counts)
    )
    psi = float(((now - was) * np.log(now / was)).sum())
    scale = 1.0 / n + 1.0 / m
    if bins == 1:  # all values of the reference were equal, and so nothing can be told
        return Shift(0.0, math.inf, 1.0, n)
    return Shift(psi, chi_square_limit(alpha, bins - 1) * scale, chi_square_tail(psi / scale, bins - 1), n)


def chi_square_limit(alpha: float, freedom: int) -> float:
    """Return what a chi-square variable is above with probability `alpha`, 0.0 to 1.0 exclusive."""
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha is {alpha:g}; it must lie between 0 and 1")
    low, high = 0.0, float(freedom)
    while chi_square_tail(high, freedom) > alpha:
        low, high = high, 2.0 * high
    while high - low > 1e-9 * high:
        middle = (low + high) / 2.0
        low, high = (middle, high) if chi_square_tail(middle, freedom) > alpha else (low, middle)
    return high


# --- one quantile ----------------------------------------------------------------------------------


def fewest_for(quantile: float, *, confidence: float = 0.95) -> int:
    """Return how many values there must be for a two-sided interval: 368 for the 99 % quantile at 95 %."""
    tail = (1.0 - confidence) / 2.0
    return math.ceil(max(math.log(tail) / math.log(quantile), math.log(tail) / math.log1p(-quantile)))


def quantile_interval(values: Reals, quantile: float, *, confidence: float = 0.95) -> tuple[float, float] | None:
    """Return two of the values between which the quantile lies; None where there are too few.

    Nothing is assumed of the values but that they are independent. Either end is missed with a probability of half of
    1 - `confidence` at most.
    """
    n = len(values)
    if n < fewest_for(quantile, confidence=confidence):
        return None
    tail = (1.0 - confidence) / 2.0
    beyond = _binomial_cdf(n, 1.0 - quantile)  # P(at most so many of the values lie above the quantile)
    least = max(0, int(np.searchsorted(beyond, tail, side="right")) - 1)  # so many above, or fewer: unlikely
    most = int(np.searchsorted(beyond, 1.0 - tail, side="left")) + 1
    upper, lower = n - 1 - least, max(0, n - most)
    found = np.partition(values, (lower, upper))
    return float(found[lower]), float(found[upper])


def _binomial_cdf(n: int, chance: float) -> Reals:
    """Return P(at most k) for k from 0 on, as far as it matters."""
    reach = min(n, math.ceil(n * chance + 12.0 * math.sqrt(n * chance) + 40.0))
    counts = np.arange(1, reach + 1)
    ratios = np.log((n - counts + 1) / counts) + math.log(chance) - math.log1p(-chance)
    logs = n * math.log1p(-chance) + np.concatenate(([0.0], np.cumsum(ratios)))
    return np.asarray(np.cumsum(np.exp(logs)))
