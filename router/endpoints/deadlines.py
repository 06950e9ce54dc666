"""Streams, and when each must have ended -> those that have not are told, by one timer for all of them.

A timer for each would take a kilobyte for as long as its stream runs, though hardly one of them is ever late. Knows
nothing of what a stream is, or of how it ends.
"""

import asyncio
import time
from typing import Final, Protocol

TICK: Final = 0.25
"""Seconds between two looks at the clock; there are none while nobody is bound."""


class Bound(Protocol):
    """What must have ended in time."""

    def expire(self) -> None:
        """Take note that it has not; called once."""
        ...


class Deadlines:
    """Of all streams of an endpoint; touched by the loop alone."""

    def __init__(self) -> None:
        self._limits: dict[Bound, float] = {}
        self._sweeper: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._limits)

    def bind(self, who: Bound, *, until: float) -> None:
        """Tell somebody after this moment, on the clock of `time.monotonic`, unless `free` is called before."""
        self._limits[who] = until
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(TICK, self._sweep)

    def free(self, who: Bound) -> None:
        """Tell them no more, where they were bound."""
        self._limits.pop(who, None)

    def _sweep(self) -> None:
        now = time.monotonic()
        for who in [who for who, until in self._limits.items() if until <= now]:
            del self._limits[who]
            who.expire()
        self._sweeper = asyncio.get_running_loop().call_later(TICK, self._sweep) if self._limits else None
