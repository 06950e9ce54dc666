"""Seconds <-> the bin of a spread: bins are 1 % wide, so that spreads are merged by adding them up."""

from math import floor, log
from typing import Final

GROWTH: Final = 1.01
LEAST: Final = 1e-6  # seconds; what is shorter counts as this

_BY_LOG: Final = 1.0 / log(GROWTH)


def bin_of(seconds: float, *, together: int = 1) -> int:
    """Return the bin of a time: bin b holds times from GROWTH**b up to GROWTH**(b + 1), exclusive.

    Args:
        together: so many bins next to each other count as the middle one of them, where that is exact enough.
    """
    found = floor(log(max(seconds, LEAST)) * _BY_LOG)
    return found if together == 1 else found // together * together + together // 2


def seconds_of(bin_: int) -> float:
    """Return the middle of a bin, by ratio: wrong by half a per cent at most."""
    return float(GROWTH ** (bin_ + 0.5))
