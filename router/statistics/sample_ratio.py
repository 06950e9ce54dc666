"""Units counted in each arm -> whether the arms are filled as planned, at one look or at every look.

A sample-ratio mismatch means that units were lost or counted twice in one arm, so that the arms hold other kinds of
units and no figure of theirs can be compared. The chi-square test is the sharpest at a look that was planned; it must
not be repeated. The sequential test may be: its evidence is the likelihood under shares drawn around the planned ones,
by the likelihood under these, and however often one looks, it reaches 1/p with probability p at most.

`mismatch` shares one small error among both: seven tenths of it for the planned end, the rest for all looks before.

Source: Lindon and Malek 2022, "Anytime-valid inference for multinomial count data", section 3; Fabijan et al. 2019,
"Diagnosing sample ratio mismatch in online controlled experiments".
"""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.float64]

ALPHA: Final = 0.001
"""With which arms that are filled as planned are said not to be."""

OF_THE_END: Final = 0.7
"""Share of `ALPHA` for the planned end."""

CONCENTRATIONS: Final = (100.0, 10_000.0)
"""Of the shares that are drawn: some tenth and some hundredth off; the evidence is the mean of both."""


def chi_square_p(counts: Sequence[float] | Counts, weights: Sequence[float] | Counts) -> float:
    """Return the p-value of one planned look.

    Args:
        counts: units in each arm; two or more arms, one unit or more.
        weights: planned shares, which sum to 1.
    """
    found, planned = np.asarray(counts, float), np.asarray(weights, float)
    expected = found.sum() * planned
    return chi_square_tail(float((np.square(found - expected) / expected).sum()), len(planned) - 1)


def chi_square_tail(value: float, degrees: int) -> float:
    """Return the probability that a chi-square variable exceeds a value, in closed form."""
    half = value / 2
    if degrees % 2:
        tail, term, power = math.erfc(math.sqrt(half)), math.sqrt(half) / math.gamma(1.5), 1
    else:
        tail, term, power = math.exp(-half), half, 2
    for step in range(power, degrees, 2):
        tail += math.exp(-half) * term
        term *= half / (step / 2 + 1)
    return tail


def sequential_p(counts: Sequence[float] | Counts, weights: Sequence[float] | Counts) -> Counts:
    """Return p-values that hold at every look.

    Args:
        counts: shape (..., arms), as they stand at each look.
        weights: planned shares, which sum to 1.
    """
    found, planned = np.asarray(counts, float), np.asarray(weights, float)
    under_plan = (found * np.log(planned)).sum(-1)
    logs = []
    for concentration in CONCENTRATIONS:
        prior = concentration * planned
        drawn = _log_gamma(np.array(concentration)) - _log_gamma(concentration + found.sum(-1))
        logs.append(drawn + (_log_gamma(prior + found) - _log_gamma(prior)).sum(-1) - under_plan)
    evidence = np.logaddexp.reduce(logs, axis=0) - math.log(len(CONCENTRATIONS))
    return np.asarray(np.exp(-np.maximum(evidence, 0.0)))


def mismatch(
    counts: Sequence[float] | Counts, weights: Sequence[float] | Counts, *, is_end: bool, alpha: float = ALPHA
) -> bool:
    """Tell whether the arms are not filled as planned.

    Args:
        is_end: the experiment has as many units as were planned; the look at which that is so counts once.
    """
    found = np.asarray(counts, float)
    if not found.sum():
        return False
    if float(sequential_p(found, weights)) < alpha * (1 - OF_THE_END):
        return True
    return is_end and chi_square_p(found, weights) < alpha * OF_THE_END


def _log_gamma(values: Counts) -> Counts:
    """Return ln Gamma of values above 0, right to 1e-10: Stirling's series, from 8 on."""
    shifted, before = np.asarray(values, float), np.zeros(np.shape(values))
    for _ in range(8):
        small = shifted < 8.0  # noqa: PLR2004 - from where the series is exact enough
        before = before + np.where(small, np.log(np.where(small, shifted, 1.0)), 0.0)
        shifted = np.where(small, shifted + 1.0, shifted)
    inverse = 1.0 / shifted
    square = inverse * inverse
    series = inverse * (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square / 1680)))
    return np.asarray((shifted - 0.5) * np.log(shifted) - shifted + 0.5 * math.log(2 * math.pi) + series - before)
