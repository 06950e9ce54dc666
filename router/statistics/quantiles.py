"""Values of units -> a quantile with its interval, where a unit's values are not independent of each other.

The share of values at or below a point is a ratio, so its error is known; the points at which that share is as far
off as the error allows bound the quantile. Nothing is assumed of the values' density.

Source: Deng, Knoblich and Lu 2018, "Applying the delta method in metric analytics", section 4.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from router.statistics.ratios import Reals, ratio_of
from router.statistics.sequences import ALPHA, TIGHTEST, reach


@dataclass(frozen=True, slots=True)
class Quantile:
    """A quantile with an interval that holds at every look.

    Attributes:
        low, high: infinite where there are too few values beyond the quantile to bound it.
    """

    value: float
    low: float
    high: float
    values: int
    units: int


def quantile(
    values: Reals, of: NDArray[np.intp], share: float, *, alpha: float = ALPHA, tightest: float = TIGHTEST
) -> Quantile:
    """Return a quantile.

    Args:
        values: shape (n,), one or more.
        of: shape (n,), the number of each value's unit, from 0 on.
        share: such as 0.99.
    """
    order = np.sort(values)
    count = len(order)
    at = float(order[min(count - 1, math.ceil(share * count) - 1)])
    sizes = np.bincount(of)
    below = np.bincount(of, weights=(values <= at).astype(float))
    ratio = ratio_of(np.asarray(below, np.float64), np.asarray(sizes, np.float64))
    # No fewer than if values were independent: a few units that happen to agree prove nothing.
    error = math.sqrt(max(float(np.nan_to_num(ratio.variance)), share * (1 - share) / count))
    off = float(reach(float(ratio.units), alpha=alpha, tightest=tightest)) * error
    low, high = math.floor((share - off) * count), math.ceil((share + off) * count)
    return Quantile(
        value=at,
        low=-math.inf if low < 1 else float(order[low - 1]),
        high=math.inf if high > count - _BEYOND else float(order[high - 1]),
        values=count,
        units=int(ratio.units),
    )


_BEYOND: Final = 1  # values that must lie beyond a bound
