"""A share in two arms and a margin -> whether the treated arm is surely not worse by the margin; how many it takes.

The margin is fixed before anybody looks. What has to be rejected is that the treated arm is worse by it or more, so
its error is that which it would have if it were: an arm that has been lucky so far and failed seldom must not look
surer for that. And nothing is said before each arm has had the chance to fail `LEAST_FAILURES` times.

Where units weigh unlike, as users with few and with thousands of conversations do, what counts is how many of equal
weight would weigh as much: a handful of heavy users is a handful, however many light ones stand beside them.

Source: Farrington and Manning 1990, "Test statistics and sample size formulae for comparative binomial trials", for
the error at the margin; Chow, Shao and Wang 2008, "Sample size calculations in clinical research", section 4.2.2, for
the number of units.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from router.statistics.comparing import harmonic, skewness_of, variance_of
from router.statistics.ratios import Ratio, Reals
from router.statistics.sequences import TIGHTEST, one_sided_reach

ALPHA: Final = 0.025
"""One-sided: with which an arm that is worse by the margin is accepted at any look."""

LEAST_FAILURES: Final = 10.0
"""That an arm would have had by now if it were worse by the margin."""

LEAST_UNITS: Final = 30.0
"""Of an arm, of equal weight."""


@dataclass(frozen=True, slots=True)
class NonInferiority:
    """What can be said of a margin now, and at every other look.

    Attributes:
        value: share in the treated arm less that in the control.
        low, high: one-sided bounds of it, each of which holds at all looks.
        is_shown: it is not worse by the margin.
        is_refuted: it is worse by more than the margin.
        is_early: neither may be said yet.
        failures: that each arm would have had at the margin, of the arm that has the fewer.
    """

    value: Reals
    low: Reals
    high: Reals
    is_shown: NDArray[np.bool_]
    is_refuted: NDArray[np.bool_]
    is_early: NDArray[np.bool_]
    failures: Reals


def non_inferiority(
    treated: Ratio, control: Ratio, *, margin: Reals | float, alpha: float = ALPHA, tightest: float = TIGHTEST
) -> NonInferiority:
    """Return whether a share, of which more is better, has fallen by less than a margin.

    Args:
        treated: each unit's y is between 0 and its x.
        margin: above 0.
    """
    value = treated.value - control.value
    with np.errstate(divide="ignore", invalid="ignore"):
        together = control.total + treated.total
        # The control's share, were the treated arm worse by the margin: both arms tell of it.
        expected = ((control.value * control.total + (treated.value + margin) * treated.total) / together).clip(
            0.0, 1.0
        )
        at_margin = (expected - margin).clip(0.0)
        variance = variance_of(treated, control, bounded=True)
        imagined = treated.weight + control.weight  # as in the variance: a unit of each arm at each end
        middle = (control.value * control.total + treated.value * treated.total + imagined) / (together + 2 * imagined)
        binomial = middle * (1 - middle) * (1 / treated.total + 1 / control.total)
        clustering = np.nan_to_num(variance / binomial, nan=1.0)
        null = clustering * (at_margin * (1 - at_margin) / treated.total + expected * (1 - expected) / control.total)
        error = np.sqrt(np.maximum(variance, null))
        alike = np.minimum(treated.total, control.total) / clustering.clip(1.0)
        failures = np.nan_to_num(alike * (1 - at_margin))
        units = harmonic(treated.alike, control.alike)
        reach = error * one_sided_reach(units, alpha=alpha, tightest=tightest)
        low, high = (value - reach).clip(-1.0), (value + reach).clip(None, 1.0)
        is_early = ~(
            (failures >= LEAST_FAILURES)
            & (np.minimum(treated.alike, control.alike) >= LEAST_UNITS)
            & np.isfinite(skewness_of(treated, control))
        )
        low, high = np.where(is_early, -1.0, low), np.where(is_early, 1.0, high)
    return NonInferiority(value, low, high, low > -margin, high < -margin, np.asarray(is_early), failures)


def units_needed(treated: float, control: float, *, margin: float, alpha: float = ALPHA, power: float = 0.8) -> float:
    """Return how many units an arm takes for one look, at shares that are the true ones.

    Args:
        margin: by which the treated arm may be worse, above 0.

    Returns:
        not yet rounded up; infinite where the treated arm is worse by the margin.
    """
    room = treated - control + margin
    if room < _SLIP:
        return math.inf
    normal = NormalDist()
    deviations = normal.inv_cdf(1 - alpha) + normal.inv_cdf(power)
    return (deviations / room) ** 2 * (treated * (1 - treated) + control * (1 - control))


_SLIP: Final = 1e-12  # 0.8 - 0.9 + 0.1 is not quite 0
