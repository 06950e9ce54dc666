"""Counts of successes -> intervals of a share, and of the difference between two.

Closed forms by Wilson and Newcombe, and the score interval of Miettinen and Nurminen, which asks of each difference
how likely the counts would be if it were the true one. All are for one look, taken at a time that was fixed before.

Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference"; Newcombe 1998, "Interval
estimation for the difference between independent proportions", methods 10 and, after Miettinen and Nurminen 1985,
"Comparative analysis of two rates", 5.
"""

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import Final

LEVEL: Final = 0.95

_HALVINGS: Final = 60  # of an interval of length 1: beyond the last digit
_NORMAL: Final = NormalDist()

Bounds = tuple[float, float]


def wilson(successes: float, of: float, *, level: float = LEVEL) -> Bounds:
    """Return the interval of a share, within 0.0 to 1.0.

    Args:
        successes: 0 to `of`.
        of: above 0.
    """
    z = _NORMAL.inv_cdf(0.5 + level / 2)
    share = successes / of
    middle = share + z * z / (2 * of)
    reach = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    scale = 1 + z * z / of
    return max(0.0, (middle - reach) / scale), min(1.0, (middle + reach) / scale)


def newcombe(first: float, of_first: float, second: float, of_second: float, *, level: float = LEVEL) -> Bounds:
    """Return the interval of the first share less the second one, from Wilson's intervals of both."""
    one, other = first / of_first, second / of_second
    (low, high), (other_low, other_high) = wilson(first, of_first, level=level), wilson(second, of_second, level=level)
    below = math.hypot(one - low, other_high - other)
    above = math.hypot(high - one, other - other_low)
    return one - other - below, one - other + above


def miettinen_nurminen(
    first: float, of_first: float, second: float, of_second: float, *, level: float = LEVEL
) -> Bounds:
    """Return the interval of the first share less the second: all differences that the score test does not reject."""
    most = _NORMAL.inv_cdf(0.5 + level / 2)
    found = first / of_first - second / of_second

    def rejects(difference: float) -> bool:
        share, other = restricted(first, of_first, second, of_second, difference=difference)
        of = of_first + of_second
        variance = (share * (1 - share) / of_first + other * (1 - other) / of_second) * of / (of - 1)
        return (found - difference) ** 2 > most * most * variance

    return _edge(rejects, found, -1.0), _edge(rejects, found, 1.0)


def restricted(first: float, of_first: float, second: float, of_second: float, *, difference: float) -> Bounds:
    """Return the two shares that make the counts most likely among all that differ by this much.

    Source: Farrington and Manning 1990, "Test statistics and sample size formulae for comparative binomial trials with
    null hypothesis of non-zero risk difference or non-unity relative risk", appendix I.
    """
    ratio = of_second / of_first
    one, other = first / of_first, second / of_second
    a = 1 + ratio
    b = -(1 + ratio + one + ratio * other + difference * (ratio + 2))
    c = difference * difference + difference * (2 * one + ratio + 1) + one + ratio * other
    d = -one * difference * (1 + difference)
    v = b**3 / (27 * a**3) - b * c / (6 * a * a) + d / (2 * a)
    u = math.copysign(math.sqrt(max(0.0, b * b / (9 * a * a) - c / (3 * a))), v)
    angle = (math.pi + math.acos(max(-1.0, min(1.0, v / u**3 if u else 0.0)))) / 3
    share = min(1.0, max(0.0, difference, 2 * u * math.cos(angle) - b / (3 * a)))
    return share, min(1.0, max(0.0, share - difference))


def _edge(rejects: Callable[[float], bool], inside: float, outside: float) -> float:
    """Return where rejection begins between a difference that is not rejected and the last one that there is."""
    if not rejects(outside):
        return outside
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        inside, outside = (inside, middle) if rejects(middle) else (middle, outside)
    return inside
