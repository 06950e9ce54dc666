"""A ratio in two arms -> their difference, with an interval that holds at every look, or word that it is too early.

Three things go wrong with skewed data at early looks, and each has its remedy here. They were chosen by simulation
(`./tandem bench numbers --only experiments`), on costs that are lognormal, gamma, of a power law or mostly zero, on
rare events, on heavy users, and on arms of 5 to 95 %:

* An arm that has not met its rare, large values yet seems to vary little. So the standard error is never smaller than
  that from the variance of both arms together; else, of arms of 5 %, up to half of all comparisons of equals end with
  a difference.
* Sums of skewed values are skewed. So each side reaches as far as the plain sequence or as Hall's correction for
  skewness, whichever is farther.
* Few events say nothing. So nothing is claimed before each arm has `LEAST_UNITS` and the error is made by as many as
  `LEAST_EFFECTIVE` units: of events that happen or not, that is about the number of the rarer ones.

Values that lie within 0 and 1 get one imagined unit at each end, so that an arm without a failure still has doubt.

Where all units of an arm bring the same, as at a fixed price, there is no error to be told by. From `LEAST_CONSTANT`
units on that is believed: the interval of values without bounds is a point, and that of values within bounds reaches as
far as units may be rare that are unlike and have not been met: of those that are r of all, none is among n with the
probability (1 - r)^n. Who is wrong at some look is wrong at the last one before the first of them, so this bound holds
at all looks at once.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from router.statistics.ratios import Ratio, Reals, unrounded
from router.statistics.sequences import ALPHA, TIGHTEST, always_valid_p, one_sided_reach, reach, stitched_radius
from router.statistics.skewness import bent

LEAST_UNITS: Final = 100.0
"""Of an arm, before an asymptotic sequence says anything of it."""

LEAST_EFFECTIVE: Final = 10.0
"""Units that share the error evenly, and would make one as large."""

LEAST_CONSTANT: Final = 1_000.0
"""Of an arm, where no unit differs from another; of units that are one in 300, one has been met by then with 96 %."""

_EVEN: Final = 1e-9  # of `Ratio.uneven`: rounding


@dataclass(frozen=True, slots=True)
class Difference:
    """A ratio in one arm, less that in another one.

    Attributes:
        value: nan where an arm is empty.
        low, high: of the sequence; infinite where it is too early and values have no bounds, and both the value where
            units of an arm do not differ.
        error: standard error.
        p: always valid, two-sided; 1.0 where it is too early.
        units: of an arm, as the harmonic mean of both.
        is_early: nothing may be claimed yet; where values have bounds, `low` and `high` are right all the same, if they
            say nothing where units weigh unlike.
    """

    value: Reals
    low: Reals
    high: Reals
    error: Reals
    p: Reals
    units: Reals
    is_early: NDArray[np.bool_]


def difference(
    treated: Ratio,
    control: Ratio,
    *,
    bounded: bool,
    alpha: float = ALPHA,
    sides: int = 2,
    tightest: float = TIGHTEST,
) -> Difference:
    """Return the treated arm's ratio less the control's.

    Args:
        bounded: each unit's y is between 0 and its x.
        alpha: with which the truth may be outside at any look.
        sides: 1 has each bound hold with `alpha`, and both with twice as much.
    """
    value = unrounded(treated.value - control.value, control.value)
    units = harmonic(treated.units, control.units)
    fewest = np.minimum(treated.units, control.units)
    is_constant = (treated.spread == 0) & (control.spread == 0) & (fewest >= LEAST_CONSTANT)
    variance = variance_of(treated, control, bounded=bounded)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.sqrt(variance)
        of_errors = (reach if sides == 2 else one_sided_reach)(units, alpha=alpha, tightest=tightest)  # noqa: PLR2004
        skewness = skewness_of(treated, control)
        below = error * np.maximum(of_errors, bent(of_errors, skewness))
        above = error * np.maximum(of_errors, -bent(-of_errors, skewness))
        is_early = ~(
            (fewest >= LEAST_UNITS)
            & ((effective(treated, control) >= LEAST_EFFECTIVE) | is_constant)
            & np.isfinite(error)
        )
        if bounded:
            # Right at any number of units, but only where their weights are no part of chance.
            is_even = np.maximum(treated.uneven, control.uneven) <= _EVEN
            both = alpha if sides == 2 else 2 * alpha  # noqa: PLR2004
            wide = _stitched(treated, control, alpha=both)
            unmet = np.where(is_constant, np.log(2 / both) * (1 / treated.alike + 1 / control.alike), 0.0)
            below, above = np.maximum(below, unmet), np.maximum(above, unmet)
            low = np.where(is_early, np.where(is_even, value - wide, -1.0), value - below).clip(-1.0)
            high = np.where(is_early, np.where(is_even, value + wide, 1.0), value + above).clip(None, 1.0)
        else:
            low = np.where(is_early, -np.inf, value - below)
            high = np.where(is_early, np.inf, value + above)
        p = np.where(is_early | (value == 0), 1.0, always_valid_p(value / error, units, tightest=tightest))
    return Difference(value, low, high, error, p, units, np.asarray(is_early))


def harmonic(one: Reals, other: Reals) -> Reals:
    """Return the number of units of each of two equal arms that would tell as much."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.nan_to_num(2.0 / (1.0 / one + 1.0 / other)))


def variance_of(treated: Ratio, control: Ratio, *, bounded: bool) -> Reals:
    """Return the variance of the difference: from each arm alone, or from both together, whichever is larger."""
    with np.errstate(divide="ignore", invalid="ignore"):
        own = [_spread(arm, bounded=bounded) for arm in (treated, control)]
        counts = [treated.units, control.units]
        pooled = ((counts[0] - 1) * own[0] + (counts[1] - 1) * own[1]) / (counts[0] + counts[1] - 2)
        return np.asarray(np.maximum(own[0] / counts[0] + own[1] / counts[1], pooled * (1 / counts[0] + 1 / counts[1])))


def skewness_of(treated: Ratio, control: Ratio) -> Reals:
    """Return the skewness of the difference of the two estimates."""
    with np.errstate(divide="ignore", invalid="ignore"):
        third = _third(treated) - _third(control)
        return np.asarray(np.nan_to_num(third / (treated.variance + control.variance) ** 1.5))


def effective(treated: Ratio, control: Ratio) -> Reals:
    """Return how many units would make the same error if each had an equal part in it."""
    with np.errstate(divide="ignore", invalid="ignore"):
        squares = treated.variance + control.variance
        fourths = sum(arm.fourth / (arm.units**3 * arm.weight**4) for arm in (treated, control))
        return np.asarray(np.nan_to_num(np.square(squares) / fourths))


def _spread(arm: Ratio, *, bounded: bool) -> Reals:
    """Return the variance of units' parts, with one imagined unit at each end where values have bounds."""
    own = arm.spread / np.square(arm.weight)
    if not bounded:
        return np.asarray(own)
    count, share = arm.units, arm.value.clip(0.0, 1.0)
    middle = (count * share + 1) / (count + 2)
    squares = np.nan_to_num(own) * (count - 1) + count * np.square(share - middle)
    return np.asarray((squares + np.square(middle) + np.square(1 - middle)) / (count + 1))


def _third(arm: Ratio) -> Reals:
    return np.asarray(arm.third / (np.square(arm.units) * arm.weight**3))


def _stitched(treated: Ratio, control: Ratio, *, alpha: float) -> Reals:
    """Return a reach that is right at any number of units, where their values lie between 0 and 1 and weigh alike."""
    return stitched_radius(treated.units, alpha=alpha / 2, deviation=0.5) + stitched_radius(
        control.units, alpha=alpha / 2, deviation=0.5
    )
