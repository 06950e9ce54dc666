"""Standard errors -> intervals that hold at every look, however often one looks.

Where each look has its own 95 % interval, a difference that is none is "found" in four experiments of ten. A
confidence sequence covers the truth at all looks together with 95 %, so an experiment may be watched, and stopped, at
any time. The asymptotic one is nearly as narrow as can be, and needs as many units as a normal interval does; the
stitched one needs nothing but values within bounds, and so is right from the first unit on.

All functions take numbers or arrays of them.

Source: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2024, "Time-uniform central limit theory and asymptotic
confidence sequences", theorem 2.2, proposition B.1 for one side, appendix B.2 for where it is tightest; Howard,
Ramdas, McAuliffe and Sekhon 2021, "Time-uniform, nonparametric, nonasymptotic confidence sequences", equation 2.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]

ALPHA: Final = 0.05
TIGHTEST: Final = 1_000.0
"""Units an arm at which the sequence is narrowest beside a plain interval; it must not be chosen from data."""


def mixing(alpha: float, tightest: float = TIGHTEST) -> float:
    """Return the parameter (rho squared) with which the two-sided sequence is narrowest at `tightest` units."""
    depth = -2.0 * np.log(alpha)
    return float((depth + np.log(depth) + 1.0) / tightest)


def reach(units: Reals | float, *, alpha: float = ALPHA, tightest: float = TIGHTEST) -> Reals:
    """Return how many standard errors the two-sided sequence reaches to each side."""
    spread = np.asarray(units, float) * mixing(alpha, tightest)
    with np.errstate(divide="ignore"):
        return np.asarray(np.sqrt((spread + 1.0) / spread * np.log((spread + 1.0) / alpha**2)))


def one_sided_reach(units: Reals | float, *, alpha: float = ALPHA / 2, tightest: float = TIGHTEST) -> Reals:
    """Return how many standard errors the sequence reaches to its one side."""
    spread = np.asarray(units, float) * mixing(2.0 * alpha, tightest)
    with np.errstate(divide="ignore"):
        grown = np.log1p(np.sqrt(spread + 1.0) / (2.0 * alpha))
        return np.asarray(np.sqrt(2.0 * (spread + 1.0) / spread * grown))


def always_valid_p(z: Reals | float, units: Reals | float, *, tightest: float = TIGHTEST) -> Reals:
    """Return p-values that may be looked at as often as one likes: inverse evidence of the same mixture.

    Args:
        z: estimates by their standard errors.
    """
    spread = np.asarray(units, float) * mixing(ALPHA, tightest)
    evidence = np.square(z) * spread / (2.0 * (spread + 1.0)) - np.log1p(spread) / 2.0
    return np.asarray(np.exp(-np.maximum(evidence, 0.0)))


def stitched_radius(units: Reals | float, *, alpha: float = ALPHA, deviation: float = 1.0) -> Reals:
    """Return the reach of a sequence that is right at any number of units, on each side of a mean.

    Args:
        deviation: values are sub-Gaussian with it; half the range, where they lie within one.
    """
    count = np.maximum(np.asarray(units, float), 1.0)
    grown = np.log(np.log(2.0 * count).clip(1e-9)).clip(0.0) + 0.72 * np.log(10.4 / alpha)
    return np.asarray(1.7 * deviation * np.sqrt(grown / count))
