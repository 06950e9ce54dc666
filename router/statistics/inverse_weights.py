"""Outcomes under changing propensities -> each arm's mean and differences, with sequences that hold at every look.

Where a bandit moves its weights, plain means are biased: an arm that began badly is given up, and stays as bad as it
began. A score weighted by the inverse of the propensity with which the arm was drawn is right on average at each step,
whatever has happened before, so that the mean of scores may be watched. What is predicted is taken off before the
weighting, and put back after it, which leaves the mean and shrinks the noise; the prediction may use the past alone.

Source: Waudby-Smith, Wu, Ramdas, Karampatziakis and Mineiro 2024, "Anytime-valid off-policy inference for contextual
bandits", section 2; the sequence as in `router.statistics.sequences`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from router.statistics.comparing import LEAST_EFFECTIVE, LEAST_UNITS
from router.statistics.ratios import Reals
from router.statistics.sequences import ALPHA, TIGHTEST, reach


@dataclass(frozen=True, slots=True)
class Scored:
    """A mean of scores with a sequence.

    Attributes:
        low, high: infinite where it is too early.
    """

    value: float
    low: float
    high: float
    is_early: bool


def scores(
    outcomes: Reals, arms: NDArray[np.intp], propensities: Reals, *, arm: int, predicted: Reals | float = 0.0
) -> Reals:
    """Return what each unit says of an arm's mean.

    Args:
        outcomes: shape (n,).
        arms: shape (n,), the arm that each unit was in.
        propensities: shape (n,), probability with which it got that arm, above 0.0.
        predicted: of this arm's outcome, from what came before the unit.
    """
    return np.asarray(predicted + np.where(arms == arm, (outcomes - predicted) / propensities, 0.0))


def past_means(outcomes: Reals, arms: NDArray[np.intp], epochs: NDArray[np.intp], *, arm: int) -> Reals:
    """Return for each unit the arm's mean over earlier epochs; 0.0 where there is none."""
    count = int(epochs.max()) + 1 if len(epochs) else 0
    is_in = arms == arm
    sums = np.cumsum(np.bincount(epochs[is_in], weights=outcomes[is_in], minlength=count))
    numbers = np.cumsum(np.bincount(epochs[is_in], minlength=count))
    means = np.divide(sums, numbers, out=np.zeros(count), where=numbers > 0)
    return np.asarray(np.concatenate(([0.0], means))[epochs]) if count else np.zeros(0)


def mean_of(found: Reals, *, alpha: float = ALPHA, tightest: float = 2 * TIGHTEST) -> Scored:
    """Return the mean of scores, or of differences of scores of two arms."""
    count = len(found)
    value = float(found.mean()) if count else float("nan")
    parts = found - value
    square, fourth = float(np.square(parts).sum()), float((parts**4).sum())
    if count < 2 * LEAST_UNITS or fourth == 0.0 or square**2 / fourth < LEAST_EFFECTIVE:
        return Scored(value, float("-inf"), float("inf"), is_early=True)
    off = float(reach(float(count), alpha=alpha, tightest=tightest)) * (square / (count - 1) / count) ** 0.5
    return Scored(value, value - off, value + off, is_early=False)
