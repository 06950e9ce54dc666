"""Times of answers -> the time that most of the last ones took."""

from typing import Final

KEPT: Final = 256
"""Times; what is older says nothing of now."""

FEWEST: Final = 20
"""Times from which on a quantile of them means anything."""


class Recent:
    """The last times, seconds, and one quantile of them.

    Args:
        quantile: 0.0 to 1.0.
    """

    def __init__(self, quantile: float) -> None:
        self._quantile = quantile
        self._times: list[float] = []
        self._next = 0

    def observe(self, took: float) -> None:
        """Take one time; of too many, the oldest is forgotten."""
        if len(self._times) < KEPT:
            self._times.append(took)
            return
        self._times[self._next] = took
        self._next = (self._next + 1) % KEPT

    @property
    def value(self) -> float | None:
        """Return the quantile; None as long as too little is known."""
        if len(self._times) < FEWEST:
            return None
        return sorted(self._times)[int(self._quantile * (len(self._times) - 1))]
