"""A skewed estimate -> the quantile of it that a normal one's stands for.

Sums of values with a long tail are skewed, and their standard error is small just where the tail was not seen: so an
interval with sides of one length misses the truth on one side alone. Hall's cubic makes a standardised sum nearly
normal; here it is turned around, which it can be everywhere.

Source: Hall 1992, "On the removal of skewness by transformation".
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]

STRAIGHT: Final = 1e-6  # skewness below which the correction is none, and its formula all rounding


def bent(z: Reals | float, skewness: Reals | float) -> Reals:
    """Return how many standard errors an estimate lies above the truth where a normal one would lie `z` above it.

    With skewness above 0 it is less on both sides: the interval around the estimate is shorter below and longer above.

    Args:
        skewness: of the estimate, not of the values that it is made of.
    """
    skew = np.where(np.abs(skewness) < STRAIGHT, 1.0, skewness)
    turned = 3.0 / skew * (np.cbrt(1.0 + skew * (z - skew / 6.0)) - 1.0)
    return np.asarray(np.where(np.abs(skewness) < STRAIGHT, z, turned))
