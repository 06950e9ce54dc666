"""Differences between two routers' losses -> evidence that one of them is better.

The evidence may be looked at after every request: each side is the wealth of a gambler who bets against "this side is
no better". Where that is true the wealth is a supermartingale that begins at 1, so that it ever reaches 1 / alpha with
a probability of at most alpha, however long one looks. Nothing is assumed of the differences but that they lie
between -1 and 1 and that their mean, given the past, is not above zero. How much to bet cannot be known before, so
the purse is spread evenly over several stakes, and the wealth is their mean.

Source: Waudby-Smith and Ramdas 2024, "Estimating means of bounded random variables by betting", sections 2 and 4;
Ville 1939 for the bound.
"""

import math
from enum import StrEnum

from msgspec import Struct

ALPHA = 0.05
"""Probability with which a router that is no better is taken for a better one, at most."""

MOST = 20_000
"""Differences after which a contest that has shown nothing ends."""

STAKES = tuple(2.0**-power for power in range(1, 8))
"""Shares of a purse that are bet each time; 1 would lose all of it at once."""

_NOTHING = (0.0,) * len(STAKES)


class Verdict(StrEnum):
    """What the evidence says of the rival."""

    OPEN = "open"
    BETTER = "better"
    WORSE = "worse"
    NO_RESULT = "no result"


class Evidence(Struct, frozen=True):
    """What has been seen.

    Attributes:
        n: differences.
        total: their sum.
        better, worse: logarithms of the purses that bet on the rival being better, or worse; one for each stake.
    """

    n: int = 0
    total: float = 0.0
    better: tuple[float, ...] = _NOTHING
    worse: tuple[float, ...] = _NOTHING

    def after(self, difference: float) -> "Evidence":
        """Return the evidence with one more difference, -1.0 to 1.0: the champion's loss less the rival's."""
        if not -1.0 <= difference <= 1.0:
            raise ValueError(f"a difference of two losses is {difference}; losses lie between 0 and 1")
        return Evidence(
            n=self.n + 1,
            total=self.total + difference,
            better=tuple(
                purse + math.log1p(stake * difference) for purse, stake in zip(self.better, STAKES, strict=True)
            ),
            worse=tuple(
                purse + math.log1p(-stake * difference) for purse, stake in zip(self.worse, STAKES, strict=True)
            ),
        )

    @property
    def mean(self) -> float | None:
        """Return the mean difference; None before the first."""
        return self.total / self.n if self.n else None

    @property
    def log_better(self) -> float:
        """Return the logarithm of the wealth that bet on the rival being better."""
        return _log_mean(self.better)

    @property
    def log_worse(self) -> float:
        """Return the logarithm of the wealth that bet on the rival being worse."""
        return _log_mean(self.worse)

    @property
    def verdict(self) -> Verdict:
        """Return what may be concluded now."""
        enough = -math.log(ALPHA)
        if self.log_better >= enough:
            return Verdict.BETTER
        if self.log_worse >= enough:
            return Verdict.WORSE
        return Verdict.NO_RESULT if self.n >= MOST else Verdict.OPEN


def _log_mean(logarithms: tuple[float, ...]) -> float:
    """Return the logarithm of the mean, also where the numbers themselves are beyond floats."""
    top = max(logarithms)
    return top + math.log(math.fsum(math.exp(each - top) for each in logarithms) / len(logarithms))
