"""Similarities of labelled pairs -> the lowest threshold whose false hits stay below a bound.

A false hit is a different pair at or above the threshold; its share is of all different pairs. What is promised is the
upper end of an exact interval, and only for pairs like these: drawn alike, and not seen while anything was chosen.

Source: Clopper and Pearson 1934, "The use of confidence or fiducial limits illustrated in the case of the binomial".
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from classifier.calibrating.guarantee import binomial_cdf

CONFIDENCE: Final = 0.99

_EXACT_TO: Final = 1e-7


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a threshold does on labelled pairs.

    Attributes:
        threshold: a pair with it, or above, is a hit; None where no threshold keeps the bound.
        false: hits among the different pairs.
        upper: what the share of false hits is below, with the confidence asked for.
        hits: share of the pairs that mean the same, 0.0 to 1.0.
    """

    threshold: float | None
    false: int
    different: int
    upper: float
    hits: float
    same: int


def calibrate(
    different: Sequence[float], same: Sequence[float], *, bound: float, confidence: float = CONFIDENCE
) -> Calibration:
    """Return the lowest threshold that keeps the bound.

    Args:
        different, same: similarities of pairs that ask for different things, and for the same.
        bound: on the share of false hits, above 0.0, below 1.0.
    """
    ordered = sorted(different, reverse=True)
    allowed = -1
    while allowed < len(ordered) and upper_bound(allowed + 1, len(ordered), confidence=confidence) <= bound:
        allowed += 1
    if allowed < 0:
        return Calibration(None, 0, len(ordered), upper_bound(0, len(ordered), confidence=confidence), 0.0, len(same))
    threshold = math.nextafter(ordered[allowed], math.inf) if allowed < len(ordered) else -1.0
    return measure(different, same, threshold=threshold, confidence=confidence)


def measure(
    different: Sequence[float], same: Sequence[float], *, threshold: float, confidence: float = CONFIDENCE
) -> Calibration:
    """Return what a threshold does."""
    false = sum(similarity >= threshold for similarity in different)
    return Calibration(
        threshold=threshold,
        false=false,
        different=len(different),
        upper=upper_bound(false, len(different), confidence=confidence),
        hits=sum(similarity >= threshold for similarity in same) / max(len(same), 1),
        same=len(same),
    )


def upper_bound(count: int, total: int, *, confidence: float = CONFIDENCE) -> float:
    """Return the share that would give so few with a probability of 1 - confidence; 1.0 where all were, or none is."""
    if count >= total:
        return 1.0
    low, high = count / total, 1.0
    while high - low > _EXACT_TO:
        middle = (low + high) / 2
        if binomial_cdf(count, total, middle) > 1.0 - confidence:
            low = middle
        else:
            high = middle
    return high
