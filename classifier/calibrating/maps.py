"""Logit -> calibrated probability: maps that only rise.

Each map is strictly increasing, so that calibration never changes which of two requests has the higher score; the
order, and with it a threshold that was certified on it, is that of the logits. How maps are fitted stands in
`calibration.py`. Any float is a logit here: what lies beyond `LIMIT` counts as `LIMIT`, and so does NaN, which
sends a request to Large.
"""

import math
from bisect import bisect_right
from collections.abc import Mapping
from itertools import pairwise

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

Reals = NDArray[np.float64]

LIMIT = 40.0  # logits; a float holds no probability between that of 37 and 1
TAIL = 0.01  # logits a logit: how an isotonic map rises where no label has been
NINETY = 1.6448536269514722  # the standard normal's 95 % quantile: both sides together leave out a tenth


def logit_of(probability: float) -> float:
    """Return the logit of a probability, within `LIMIT`; 0.0 and 1.0 have one, too."""
    if not 0.0 < probability < 1.0:
        return -LIMIT if probability <= 0.0 else LIMIT
    return _within(math.log(probability / (1.0 - probability)))


class Map(Struct, frozen=True, tag_field="kind"):
    """What the three have in common: they map to a logit first."""

    def line(self, logit: float) -> float:
        """Return the logit of the calibrated probability; `logit` is within `LIMIT`."""
        raise NotImplementedError

    def lines(self, logits: Reals) -> Reals:
        """Return `line` of each."""
        raise NotImplementedError

    def ends(self, logit: float) -> tuple[float, float]:
        """Return where the interval ends, in logits; `logit` is within `LIMIT`."""
        raise NotImplementedError

    def probability(self, logit: float) -> float:
        """Return the calibrated probability, 0.0 to 1.0."""
        return _sigmoid(self.line(_within(logit)))

    def probabilities(self, logits: Reals) -> Reals:
        """Return `probability` of each, shape (n,)."""
        found = self.lines(np.clip(np.nan_to_num(logits, nan=LIMIT), -LIMIT, LIMIT))
        return np.asarray(1.0 / (1.0 + np.exp(-np.clip(found, -LIMIT, LIMIT))))

    def interval(self, logit: float) -> tuple[float, float]:
        """Return the ends of the 90 % interval of the calibrated probability; what it is of is the map, not a row."""
        low, high = self.ends(_within(logit))
        return _sigmoid(low), _sigmoid(high)


class Platt(Map, frozen=True, tag="platt"):
    """A straight line.

    Attributes:
        slope: above 0.
        spread: covariance of slope and offset, row by row; its interval is that of the delta method.

    Source: Platt 1999, "Probabilistic Outputs for Support Vector Machines".
    """

    slope: float
    offset: float
    spread: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        if self.slope <= 0.0:
            raise ValueError(f"slope is {self.slope}; a map must rise")

    def line(self, logit: float) -> float:
        """See `Map.line`."""
        return self.slope * logit + self.offset

    def lines(self, logits: Reals) -> Reals:
        """See `Map.lines`."""
        return self.slope * logits + self.offset

    def ends(self, logit: float) -> tuple[float, float]:
        """See `Map.ends`."""
        return _around(self.line(logit), (logit, 1.0), self.spread)


class Beta(Map, frozen=True, tag="beta"):
    """A line with two slopes that pass smoothly into each other at logit 0.

    Attributes:
        below, above: slopes far below and far above 0, both above 0.
        spread: covariance of below, above and offset, row by row.

    Source: Kull, Silva Filho and Flach 2017, "Beta calibration", equation 6; their a and b are `below` and `above`.
    """

    below: float
    above: float
    offset: float
    spread: tuple[float, ...] = (0.0,) * 9

    def __post_init__(self) -> None:
        if min(self.below, self.above) <= 0.0:
            raise ValueError(f"slopes are {self.below} and {self.above}; a map must rise")
        if len(self.spread) != len(bends(0.0)) ** 2:
            raise ValueError(f"spread holds {len(self.spread)} numbers where 9 belong")

    def line(self, logit: float) -> float:
        """See `Map.line`."""
        low, high, one = bends(logit)
        return self.below * low + self.above * high + self.offset * one

    def lines(self, logits: Reals) -> Reals:
        """See `Map.lines`."""
        return np.asarray(self.below * -np.logaddexp(0, -logits) + self.above * np.logaddexp(0, logits) + self.offset)

    def ends(self, logit: float) -> tuple[float, float]:
        """See `Map.ends`."""
        return _around(self.line(logit), bends(logit), self.spread)


class Isotonic(Map, frozen=True, tag="isotonic"):
    """Straight pieces between knots, and nearly level tails.

    Attributes:
        knots: logits, rising; at least one.
        values: logit of the probability at each knot, rising.
        low, high: ends of the interval at each knot, in logits.

    Source: Oron and Flournoy 2017, "Centered Isotonic Regression", for pieces between the middles of blocks.
    """

    knots: tuple[float, ...]
    values: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.knots or not len(self.knots) == len(self.values) == len(self.low) == len(self.high):
            raise ValueError("knots, values, low and high are not equally many, or there are none")
        if not all(one < other for row in (self.knots, self.values) for one, other in pairwise(row)):
            raise ValueError("knots or values do not rise")

    def line(self, logit: float) -> float:
        """See `Map.line`."""
        return _between(self.knots, self.values, logit)

    def lines(self, logits: Reals) -> Reals:
        """See `Map.lines`."""
        beyond = logits - np.clip(logits, self.knots[0], self.knots[-1])
        return np.asarray(np.interp(logits, self.knots, self.values) + TAIL * beyond)

    def ends(self, logit: float) -> tuple[float, float]:
        """See `Map.ends`."""
        found = self.line(logit)
        return min(found, _between(self.knots, self.low, logit)), max(found, _between(self.knots, self.high, logit))


class Calibration(Struct, frozen=True):
    """A map for everybody, and what some tenants' own labels add to it.

    Attributes:
        tenants: a line on top of the logits that the pooled map gives; who has none gets the pooled map's.
    """

    pooled: Platt | Beta | Isotonic
    tenants: Mapping[str, Platt] = {}

    def probability(self, logit: float, tenant: str = "") -> float:
        """Return the calibrated probability for this tenant."""
        own = self.tenants.get(tenant)
        found = self.pooled.line(_within(logit))
        return _sigmoid(found if own is None else own.line(found))

    def interval(self, logit: float, tenant: str = "") -> tuple[float, float]:
        """Return the ends of its 90 % interval; the pooled map's spread and the tenant's own add up in squares."""
        own = self.tenants.get(tenant)
        if own is None:
            return self.pooled.interval(logit)
        middle = self.pooled.line(_within(logit))
        wide, narrow = self.pooled.ends(_within(logit)), own.ends(middle)
        found = own.line(middle)
        low, high = (
            math.hypot(own.slope * (outer - middle), inner - found) for outer, inner in zip(wide, narrow, strict=True)
        )
        return _sigmoid(found - low), _sigmoid(found + high)


def bends(logit: float) -> tuple[float, float, float]:
    """Return what a beta map is linear in: the logs of p and of 1 / (1 - p) at this logit, and 1."""
    above = max(logit, 0.0) + math.log1p(math.exp(-abs(logit)))
    return logit - above, above, 1.0


def _within(logit: float) -> float:
    return max(-LIMIT, min(LIMIT, logit))  # of NaN, `min` gives LIMIT


def _sigmoid(logit: float) -> float:
    return 1.0 / (1.0 + math.exp(-_within(logit)))


def _around(middle: float, at: tuple[float, ...], spread: tuple[float, ...]) -> tuple[float, float]:
    """Return middle -+ 1.64 standard errors of what is linear in parameters of this covariance."""
    size = len(at)
    variance = sum(at[i] * at[j] * spread[i * size + j] for i in range(size) for j in range(size))
    reach = NINETY * math.sqrt(max(variance, 0.0))
    return middle - reach, middle + reach


def _between(knots: tuple[float, ...], values: tuple[float, ...], logit: float) -> float:
    place = bisect_right(knots, logit)
    if place == 0 or place == len(knots):
        end = 0 if place == 0 else -1
        return values[end] + TAIL * (logit - knots[end])
    left, right = knots[place - 1], knots[place]
    return values[place - 1] + (values[place] - values[place - 1]) * (logit - left) / (right - left)
