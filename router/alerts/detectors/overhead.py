"""What requests spent in the gateway itself -> whether the 99 % quantile is surely above what it may be.

A window lasts `WINDOW` seconds, and longer until it holds enough requests for an interval to exist at all. Requests of
one stall are slow together, so that the interval is a little too narrow: two windows in a row must say the same.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from router.alerts.base import Reading, Settled
from router.statistics.drift import fewest_for, quantile_interval

KIND: Final = "overhead_p99"
WINDOW: Final = 60.0  # seconds
QUANTILE: Final = 0.99
MOST: Final = 65_536  # requests, with which a window ends before its time

_FEWEST: Final = fewest_for(QUANTILE)


class Overhead:
    """A `router.alerts.base.Detector`; `limit` is in seconds."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._spent: list[float] = []
        self._begun: float | None = None

    def take(self, settled: Sequence[Settled]) -> None:
        """Take what they spent here."""
        self._spent += [record.overhead for _, record in settled if record.overhead is not None]

    def look(self, now: float) -> Iterator[Reading]:
        """Yield what a window says that has ended."""
        begun = self._begun
        if begun is None or now < begun:  # the clock was set back
            self._begun = begun = now
        is_over = now - begun >= WINDOW or len(self._spent) >= MOST
        if not is_over or len(self._spent) < _FEWEST:
            return
        found = quantile_interval(np.array(self._spent), QUANTILE)
        n, self._spent, self._begun = len(self._spent), [], now
        if found is not None:
            low, high = found
            said = (
                f"99 % of {n} requests spent less than {low:.4f} to {high:.4f} s here; {self._limit:g} s is the limit"
            )
            yield Reading(KIND, (), low > self._limit, said)
