"""A value and what each cluster adds to its error -> the value with its interval.

Clusters are what may be taken as independent of each other: users, never requests. Where few of them make most of the
error, as costs with long tails do, its own size is uncertain, and a normal interval is too short. So the quantile is
that of Student's t, with as many degrees of freedom as the kurtosis of the clusters' parts leaves.

Source: Satterthwaite 1946, "An approximate distribution of estimates of variance components", for degrees of freedom
from the variance of a variance; Fisher and Cornish 1960, "The percentile points of distributions having known
cumulants", for the quantile.
"""

from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from router.statistics.skewness import bent
from router.statistics.tails import NO_TAIL, Tail

Reals = NDArray[np.float64]

LEVEL: Final = 0.95
LEAST_DEGREES: Final = 3.0
"""Below, an interval says little, and the expansion of the quantile is wrong."""

_CAUTION: Final = 1.5
"""By which unevenness is taken for more: of long tails, a few hundred draws have mostly not seen the end."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its doubt.

    Attributes:
        low, high: of its interval.
        error: standard error.
        degrees: of freedom of the interval.
    """

    value: float
    low: float
    high: float
    error: float
    degrees: float

    @property
    def half_width(self) -> float:
        """Return half of the interval's width."""
        return (self.high - self.low) / 2

    def as_json(self) -> dict[str, float]:
        """Return what is told of it."""
        return {"value": self.value, "low": self.low, "high": self.high, "standard_error": self.error}


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the sizes of clusters do to an error that is measured by them; see `router.statistics.clusters`.

    Attributes:
        pull: variance of the value over the mean of the sum of squared parts; above 1.0 where clusters are few, or
            large ones pull the value towards themselves.
        degrees: of freedom that they leave.
        skewness: standard deviation of the parts' skewness that is due to unequal sizes, and to no tail.
    """

    pull: float
    degrees: float
    skewness: float


def estimated(
    value: float,
    parts: Reals,
    *,
    level: float = LEVEL,
    further: float = 0.0,
    are_draws: bool = False,
    sizes: Sizes | None = None,
    tail: Tail = NO_TAIL,
) -> Estimate:
    """Return a value with its interval.

    Args:
        parts: shape (m,), of two or more clusters: what each adds to the value's error, around 0.
        level: with which the interval covers, 0.0 to 1.0 exclusive.
        further: standard error that comes of something else, and of no cluster.
        are_draws: each was drawn alike, so that skewness tells of the values' tail, and the interval may be as much
            shorter on one side as it is longer on the other. Of clusters it may tell of one large cluster alone, which
            might as well have been on the other side: there no side is ever shorter.
        sizes: what those of the clusters do to the error; None where they are taken to be alike.
        tail: that was not seen.

    Raises:
        ValueError: there are fewer than two clusters.
    """
    count = len(parts)
    if count < 2:  # noqa: PLR2004 - of one, nothing is known of how clusters differ
        raise ValueError(f"an interval needs 2 clusters or more, and there are {count}")
    squares = np.square(parts)
    own = float(squares.sum()) + tail.second
    total = own + further**2
    if total == 0.0:
        return Estimate(value, value, value, 0.0, float(count - 1))
    sizes = sizes or Sizes(count / (count - 1), count - 1.0, 0.0)
    error = (own * sizes.pull + further**2) ** 0.5
    fourth = float(np.square(squares).sum()) + tail.fourth
    uneven = _CAUTION * (fourth - own**2 / count) / total**2  # (kurtosis - 1) / m
    degrees = min(2.0 / uneven if uneven > 0 else float("inf"), sizes.degrees)
    reach = t_quantile(0.5 + level / 2, max(degrees, LEAST_DEGREES))
    skewness = (float((squares * parts).sum()) + tail.third) / total**1.5
    skewness -= max(-sizes.skewness, min(sizes.skewness, skewness))
    above, below = (-float(each) for each in bent(np.array([-reach, reach]), skewness))
    if not are_draws:
        above, below = max(above, reach), min(below, -reach)
    return Estimate(value, value + below * error, value + above * error, error, degrees)


def t_quantile(probability: float, degrees: float) -> float:
    """Return a quantile of Student's t, wrong by less than a hundredth from 3 degrees of freedom on at 97.5 %.

    Args:
        probability: 0.0 to 1.0 exclusive.
        degrees: of freedom, `LEAST_DEGREES` or more.
    """
    z = NormalDist().inv_cdf(probability)
    square = z * z
    terms = (
        (square + 1) / 4,
        ((5 * square + 16) * square + 3) / 96,
        (((3 * square + 19) * square + 17) * square - 15) / 384,
        ((((79 * square + 776) * square + 1482) * square - 1920) * square - 945) / 92_160,
    )
    return z + z * sum(term / degrees ** (power + 1) for power, term in enumerate(terms))
