"""Two systems' scores on the same cases -> how much worse the second may be.

Each function tells how surely a mean of paired differences lies above minus a margin that was fixed before: a p-value,
and a one-sided lower bound. For scores of 0 and 1 the score test of matched proportions, for scores between a betting
test that holds at any number of cases, for figures that are no means (F1, Matthews) the jackknife. Knows no case.
"""

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]

ORDERS: Final = 24
"""Orders in which the betting test takes the cases; its evidence is their mean, so no one order decides."""

MOST_STAKED: Final = 0.9
"""Share of the capital that the betting test may lose on one case."""

_STEPS: Final = 60  # halvings of an interval of length two: beyond the last digit
_NORMAL: Final = NormalDist()


def proportions_p(won: float, lost: float, cases: float, *, margin: float) -> float:
    """Return the p-value of "the second system is right by a share of `margin` or more less often".

    Args:
        won: cases in which the second alone is right.
        lost: cases in which the first alone is.
        cases: all, also those in which both or neither are right.
        margin: above 0.0, below 1.0.

    Source: Tango 1998, "Equivalence test and confidence interval for the difference in proportions for the
    paired-sample design".
    """
    return 1.0 if cases == 0 else _NORMAL.cdf(-_tango(won, lost, cases, -margin))


def proportions_bound(won: float, lost: float, cases: float, *, alpha: float) -> float:
    """Return the one-sided lower bound of the difference of shares right, by the same test turned round."""
    if cases == 0:
        return -1.0
    critical = _NORMAL.inv_cdf(1.0 - alpha)
    return _lowest(lambda difference: _tango(won, lost, cases, difference) > critical)


def mean_p(differences: Sequence[float], *, margin: float, seed: int = 0) -> float:
    """Return the p-value of "the mean of differences in [-1, 1] is `-margin` or lower"; it holds at any number of them.

    A gambler who bets against that mean gains only where it is wrong: 1 over the capital is a p-value, by Markov's
    inequality. The stakes look at earlier cases alone.

    Source: Waudby-Smith and Ramdas 2024, "Estimating means of bounded random variables by betting".
    """
    if not len(differences):
        return 1.0
    return min(1.0, math.exp(-_log_capital(_orders(differences, seed), (1.0 - margin) / 2.0)))


def mean_bound(differences: Sequence[float], *, alpha: float, seed: int = 0) -> float:
    """Return the one-sided lower bound of the mean of differences in [-1, 1], by the same test turned round."""
    if not len(differences):
        return -1.0
    orders, wanted = _orders(differences, seed), -math.log(alpha)
    return _lowest(lambda difference: _log_capital(orders, (1.0 + difference) / 2.0) >= wanted)


def jackknife_p(value: float, without: Reals, *, margin: float, times: float = 1.0) -> float:
    """Return the p-value of "the difference of two figures is `-margin` or lower".

    Args:
        value: the difference on all cases.
        without: shape (n,); the difference without each case.
        margin: above 0.0.
        times: what if there were so many times as many cases, and all else the same.

    Source: Tukey 1958, "Bias and confidence in not-quite large samples"; Student's t turned into a normal by Wallace
    1959, "Bounds on normal approximations to Student's and the chi-square distributions".
    """
    error = _jackknife_error(without)
    if error is None:
        return 1.0
    return _NORMAL.cdf(-_normal_of((value + margin) / error * math.sqrt(times), len(without) - 1))


def jackknife_bound(value: float, without: Reals, *, alpha: float) -> float:
    """Return the one-sided lower bound of the difference of two figures; minus infinity where nothing can be said."""
    error = _jackknife_error(without)
    if error is None:
        return -math.inf
    critical = _NORMAL.inv_cdf(1.0 - alpha)
    low, high = 0.0, 1_000.0
    for _ in range(_STEPS):
        middle = (low + high) / 2.0
        low, high = (low, middle) if _normal_of(middle, len(without) - 1) > critical else (middle, high)
    return value - high * error


def _tango(won: float, lost: float, cases: float, difference: float) -> float:
    """Return the score statistic of a difference of matched shares."""
    b = -(won + lost) + (2 * cases - won + lost) * difference
    c = -lost * difference * (1.0 - difference)
    likely_lost = (math.sqrt(max(b * b - 8 * cases * c, 0.0)) - b) / (4 * cases)
    variance = cases * (2.0 * likely_lost + difference * (1.0 - difference))
    above = won - lost - cases * difference
    if variance <= 0.0:
        return math.copysign(math.inf, above) if above else 0.0
    return above / math.sqrt(variance)


def _orders(differences: Sequence[float], seed: int) -> Reals:
    """Return the differences, moved into [0, 1], in `ORDERS` orders that depend on nothing but the seed."""
    values = (np.asarray(differences, dtype=np.float64) + 1.0) / 2.0
    rng = np.random.default_rng(seed)
    return np.stack([rng.permutation(values) for _ in range(ORDERS)])


def _log_capital(orders: Reals, mean: float) -> float:
    """Return the logarithm of the capital after all cases, the mean over the orders, against this mean."""
    if mean <= 0.0:
        return math.inf
    cases = orders.shape[1]
    before = np.arange(cases) + 1.0  # cases seen, and one that nobody saw
    sums = np.cumsum(orders, axis=1) - orders
    means = (sums + 0.5) / before
    squares = np.cumsum((orders - means) ** 2, axis=1)
    spread = (np.hstack([np.zeros((len(orders), 1)), squares[:, :-1]]) + _UNSEEN_SPREAD) / before
    stakes = np.minimum((means - mean).clip(0.0) / (spread + (means - mean) ** 2), MOST_STAKED / mean)
    logs = np.log1p(stakes * (orders - mean)).sum(axis=1)
    highest = float(logs.max())
    return highest + math.log(float(np.exp(logs - highest).mean()))


_UNSEEN_SPREAD: Final = 0.01  # the variance before any case was seen: paired scores differ seldom


def _jackknife_error(without: Reals) -> float | None:
    """Return the standard error; None where no case moves the figure, which tells nothing."""
    cases = len(without)
    if cases < 2:  # noqa: PLR2004 - one case has no spread
        return None
    spread = float(((without - without.mean()) ** 2).sum())
    return math.sqrt(spread * (cases - 1) / cases) if spread > 0.0 else None


def _normal_of(t: float, freedom: int) -> float:
    """Return the normal deviate that is about as rare as this one of Student's t."""
    near = math.sqrt(freedom * math.log1p(t * t / freedom)) * (8 * freedom + 1) / (8 * freedom + 3)
    return math.copysign(near, t)


def _lowest(rejects: Callable[[float], bool]) -> float:
    """Return the highest difference that is still rejected as too low to be true; -1.0 where none is."""
    low, high = -1.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if rejects(middle) else (low, middle)
    return low
