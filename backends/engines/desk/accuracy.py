"""Right answers out of asked questions -> shares and differences with intervals."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

_Z = 1.959963984540054  # two-sided 95 % of the normal distribution


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How many of the asked questions were answered rightly."""

    right: int
    asked: int

    @property
    def share(self) -> float:
        """Return the share of right answers, 0.0 to 1.0; 0.0 where nothing was asked."""
        return self.right / self.asked if self.asked else 0.0

    def interval(self) -> tuple[float, float]:
        """Return the 95 % interval of the share; (0.0, 1.0) where nothing was asked.

        Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".
        """
        if not self.asked:
            return (0.0, 1.0)
        n, squared = self.asked, _Z * _Z
        centre = (self.share + squared / (2 * n)) / (1 + squared / n)
        half = _Z / (1 + squared / n) * math.sqrt(self.share * (1 - self.share) / n + squared / (4 * n * n))
        return (max(0.0, centre - half), min(1.0, centre + half))


def paired_difference(pairs: Sequence[tuple[bool, bool]]) -> tuple[float, float, float]:
    """Return (difference, low, high) of the shares of the second against the first of each pair.

    The pairs are two ways of answering the same questions. The interval is of 95 %.

    Source: Agresti and Min 2005, "Simple improved confidence intervals for comparing matched proportions":
    half an observation is added to each of the four cells.
    """
    n = len(pairs) + 2
    lost = sum(first and not second for first, second in pairs) + 0.5
    won = sum(second and not first for first, second in pairs) + 0.5
    centre = (won - lost) / n
    half = _Z * math.sqrt(won + lost - (won - lost) ** 2 / n) / n
    observed = (won - lost) / len(pairs) if pairs else 0.0
    return (observed, max(-1.0, centre - half), min(1.0, centre + half))
