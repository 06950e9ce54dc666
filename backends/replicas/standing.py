"""What is known of one replica: how busy it is, whether it is in service, since when.

Written by `watched.py` and `outliers.py`, read by whoever chooses. Holds no server and no rule.
"""

import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from backends.replicas.peak_ewma import PeakEwma

LEAST_SHARE: Final = 0.1
"""Of a replica that has just come back."""


@dataclass(slots=True, eq=False)
class Standing:
    """One replica as the others see it.

    Attributes:
        name: as replies give it: "host:port".
        room: calls that it may be busy with at the same time.
        slow_start: seconds in which its share rises to that of the others after it came back; 0 for at once.
        latency: what an answer takes; None where nobody wants to know.
        in_flight: calls that it is busy with, streams that go on included.
        turn: number of the choice that fell on it last.
        failures: in a row.
        is_silent: the last of those was no answer at all.
        out_until: when it may be tried again; 0.0 while it is in service.
        tried_at: when that was done last.
        on_trial: a call is out that decides whether it comes back.
        times_out: ejections one soon after the other.
        back_at: when it came back last; 0.0 where it never did.
        is_warming: that is not long ago.
        cool_until: until then it is asked last, since it had no room.
        is_draining: it gets no further calls.
        answered: calls that it answered.
        failed: calls that it did not, by what happened.
        ejected: how often it was taken out of service, by what happened last.
    """

    name: str
    room: int = sys.maxsize
    slow_start: float = 0.0
    latency: PeakEwma | None = None
    in_flight: int = 0
    turn: int = 0
    failures: int = 0
    is_silent: bool = False
    out_until: float = 0.0
    tried_at: float = 0.0
    on_trial: bool = False
    times_out: int = 0
    back_at: float = 0.0
    is_warming: bool = False
    cool_until: float = 0.0
    is_draining: bool = False
    answered: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    ejected: Counter[str] = field(default_factory=Counter)

    @property
    def is_out(self) -> bool:
        """Tell whether it was taken out of service."""
        return self.out_until > 0.0

    def share(self, now: float) -> float:
        """Return the part of choices that it takes part in, 0.1 to 1.0: less for a while after it came back."""
        if not self.is_warming:
            return 1.0
        warm = (now - self.back_at) / self.slow_start if self.slow_start else 1.0
        if warm >= 1.0:
            self.is_warming = False
            return 1.0
        return max(LEAST_SHARE, warm)

    def cost(self, now: float) -> float:
        """Return what one more call is expected to take."""
        return self.in_flight if self.latency is None else self.latency.cost(self.in_flight, now)

    def state(self, now: float) -> str:
        """Return one word of `STATES`."""
        if self.is_draining:
            return "draining"
        if self.is_out:
            return "trial" if self.on_trial else "out"
        if self.cool_until > now:
            return "cooling"
        return "warming" if self.share(now) < 1.0 else "in"


STATES: Final = ("in", "warming", "cooling", "trial", "out", "draining")
"""All well; back for a moment; had no room; out, and one call finds out whether it is well; out; gets no more calls."""
