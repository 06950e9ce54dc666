"""What each unit brought -> the ratio of two sums, and how far it may be off.

Cost per request, or answers resolved per conversation, is a ratio of sums over units (tenants, users, conversations),
whose requests are not independent of each other. Each unit's part in the ratio's error is z = y - R x; these parts are
independent, and from their moments follows everything else. Where x is 1 everywhere, the ratio is the mean.

Source: Deng, Knoblich and Lu 2018, "Applying the delta method in metric analytics", section 3.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]

_ROUNDING: Final = 1e-12  # of a value: sums of a million of them are that near


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio in one arm, at one look or, as arrays of one shape, at many.

    Attributes:
        units: that x is not 0 for.
        value: sum of y by sum of x; nan where there is no unit.
        weight: mean of x over units.
        spread: variance of z over units.
        third, fourth: mean of z cubed, and to the fourth power.
        uneven: variance of x over units, by the square of its mean: 0 where all weigh alike.
    """

    units: Reals
    value: Reals
    weight: Reals
    spread: Reals
    third: Reals
    fourth: Reals
    uneven: Reals

    @property
    def total(self) -> Reals:
        """Return the sum of x."""
        return self.units * self.weight

    @property
    def variance(self) -> Reals:
        """Return the ratio's own variance."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self.spread / (self.units * np.square(self.weight)))

    @property
    def alike(self) -> Reals:
        """Return how many units of equal weight would weigh as much (Kish 1965, "Survey Sampling")."""
        return np.asarray(self.units / (1.0 + np.nan_to_num(self.uneven)))


def ratio_of(y: Reals, x: Reals | None = None) -> Ratio:
    """Return the ratio over units.

    Args:
        y: shape (n,), what each unit has of it.
        x: shape (n,), by how much of what; None is 1 for each. Units with 0 are left out.
    """
    x = np.ones(len(y)) if x is None else np.asarray(x, float)
    y, x = np.asarray(y, float)[x != 0], x[x != 0]
    if not len(x):
        nothing = np.array(np.nan)
        return Ratio(np.array(0.0), nothing, nothing, nothing, nothing, nothing, nothing)
    value = y.sum() / x.sum()
    z = unrounded(y - value * x, y)
    spread = np.square(z).sum() / (len(z) - 1) if len(z) > 1 else np.nan
    uneven = x.var() / np.square(x.mean())
    parts = (float(len(z)), value, x.mean(), spread, (z**3).mean(), (z**4).mean(), uneven)
    return Ratio(*map(np.asarray, parts))


def parts_of(y: Reals, x: Reals | None = None) -> Reals:
    """Return z by the mean of x: what each unit adds to the ratio, around 0."""
    x = np.ones(len(y)) if x is None else np.asarray(x, float)
    if not len(x) or not x.sum():
        return np.zeros(len(y))
    return np.asarray(unrounded(y - y.sum() / x.sum() * x, y) / x.mean())


def unrounded(rest: Reals, of: Reals | float) -> Reals:
    """Return what is left of values, with 0 where that is rounding alone: of equal values nothing is to be left."""
    return np.asarray(np.where(np.abs(rest) <= _ROUNDING * np.abs(of), 0.0, rest))


def running_ratios(y: Reals, x: Reals | None, looks: NDArray[np.intp]) -> Ratio:
    """Return the ratios after the first so many units, for many runs at a time.

    Args:
        y: shape (..., n).
        x: likewise; None is 1 for each.
        looks: numbers of units, 1 to n, rising.

    Returns:
        arrays of the shape (..., len(looks)).
    """
    sums = _Sums(y, x, looks)
    count = looks.astype(float)
    y1, x1 = sums.of(1, 0), sums.of(0, 1)
    value = y1 / x1
    # The mean of (y - R x)^k, opened up into sums of y^i x^j.
    second = (sums.of(2, 0) - 2 * value * sums.of(1, 1) + value**2 * sums.of(0, 2)) / count
    third = (
        sums.of(3, 0) - 3 * value * sums.of(2, 1) + 3 * value**2 * sums.of(1, 2) - value**3 * sums.of(0, 3)
    ) / count
    fourth = (
        sums.of(4, 0)
        - 4 * value * sums.of(3, 1)
        + 6 * value**2 * sums.of(2, 2)
        - 4 * value**3 * sums.of(1, 3)
        + value**4 * sums.of(0, 4)
    ) / count
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = second.clip(0.0) * count / (count - 1)
    uneven = (sums.of(0, 2) * count / np.square(x1) - 1.0).clip(0.0)
    return Ratio(np.broadcast_to(count, value.shape), value, x1 / count, spread, third, fourth.clip(0.0), uneven)


class _Sums:
    """Sums of y^i x^j over the first so many units."""

    def __init__(self, y: Reals, x: Reals | None, looks: NDArray[np.intp]) -> None:
        self._y, self._x, self._looks = y[..., : looks[-1]], None if x is None else x[..., : looks[-1]], looks
        self._starts = np.concatenate(([0], looks[:-1]))
        self._counts = looks.astype(float)
        self._known: dict[tuple[int, int], Reals] = {}

    def of(self, i: int, j: int) -> Reals:
        if self._x is None:
            j = 0
        if (i, j) == (0, 0):
            return np.broadcast_to(self._counts, (*self._y.shape[:-1], len(self._counts)))
        if (i, j) not in self._known:
            factors = [self._y] * i + ([] if self._x is None else [self._x] * j)
            product = factors[0]
            for factor in factors[1:]:
                product = product * factor
            self._known[i, j] = np.cumsum(np.add.reduceat(product, self._starts, axis=-1), axis=-1)
        return self._known[i, j]
