"""What each arm has brought -> how much of the next units each gets, never less than a floor.

An arm gets as many units as it is likely to be the best one. The floor keeps every arm in view, and bounds the weights
of whoever estimates from what came of it.

Source: Thompson 1933, "On the likelihood that one unknown probability exceeds another in view of the evidence of two
samples"; Scott 2010, "A modern Bayesian look at the multi-armed bandit", for the allocation.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

import numpy as np

from router.statistics.ratios import Reals

DRAWS: Final = 20_000
STEP: Final = Decimal("0.0001")
"""Weights are whole multiples of it, so that they are told, logged and summed exactly."""


def likely_best(means: Sequence[float], errors: Sequence[float], *, seed: int) -> Reals:
    """Return the probability of each arm that its mean is the largest.

    Args:
        errors: standard errors of the means; infinite where nothing is known, so that the arm is tried.
    """
    known = np.isfinite(errors) & np.isfinite(means)
    if not known.all():
        return np.asarray(np.where(known, 0.0, 1.0) / (~known).sum())
    drawn = np.random.default_rng(seed).normal(means, errors, (DRAWS, len(means)))
    return np.asarray(np.bincount(drawn.argmax(1), minlength=len(means)) / DRAWS)


def with_floor(probabilities: Reals, floor: Decimal) -> tuple[Decimal, ...]:
    """Return weights that sum to exactly 1, none below the floor.

    Args:
        floor: above 0, and below 1 by the number of arms.
    """
    free = 1 - floor * len(probabilities)
    weights = [floor + (free * Decimal(float(each))).quantize(STEP) for each in probabilities]
    largest = max(range(len(weights)), key=weights.__getitem__)
    weights[largest] += 1 - sum(weights)  # what rounding has left
    return tuple(weights)
