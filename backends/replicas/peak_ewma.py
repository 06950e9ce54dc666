"""Times of answers -> what the next one is expected to take; a peak counts at once and is forgotten slowly.

The formula is that of Finagle's `PeakEwma`: an answer slower than the average takes its place; a faster one moves it by
1 - exp(-elapsed / decay). While nothing is heard the average falls in the same way, so that whoever was slow once is
asked again. Its cost is the average times the calls under way and the one to come.

Source: twitter/finagle, finagle-core, `com.twitter.finagle.loadbalancer.PeakEwma`.
"""

from math import exp
from typing import Final

DECAY: Final = 10.0
"""Seconds in which a time loses all but 1/e of its weight; Finagle's default."""

UNKNOWN: Final = 1e6
"""Seconds that are assumed where calls are under way and none was answered yet: any that is known is better."""


class PeakEwma:
    """What one replica takes for an answer, seconds.

    Args:
        now: on a clock that never goes back, seconds.
        decay: seconds.
    """

    __slots__ = ("_average", "_decay", "_seen")

    def __init__(self, now: float, *, decay: float = DECAY) -> None:
        self._average, self._seen, self._decay = 0.0, now, decay

    def observe(self, took: float, now: float) -> None:
        """Take the time of one answer."""
        kept = exp(min(self._seen - now, 0.0) / self._decay)
        self._average = took if took > self._average else self._average * kept + took * (1.0 - kept)
        self._seen = now

    def at_least(self, took: float, now: float) -> None:
        """Take the time of an answer that was not waited for to the end."""
        if took > self._average:
            self.observe(took, now)

    def cost(self, in_flight: int, now: float) -> float:
        """Return what one more call is expected to wait, beside those under way."""
        self.observe(0.0, now)
        if not self._average:
            return UNKNOWN + in_flight if in_flight else 0.0
        return self._average * (in_flight + 1)
