"""Equal requests in flight -> one call of a backend, whose reply all of them get.

The first one leads: it looks up the cache and asks a backend. The others wait, each until its own deadline, and can
leave at any time. A leader that fails or leaves is followed by one of those who wait; one whose reply may not be kept
lets all of them go, each on its own. Knows nothing of what a reply is worth or of HTTP: whoever makes the key says by
it which requests are equal, and for whom.
"""

import asyncio
import time
from collections import Counter
from enum import Enum
from typing import Final

from backends.base import DeadlineExceeded, Rejected, StreamBroken
from cache.base import KeptReply
from router.base import Outcome, Record

PATIENCE: Final = 30.0  # seconds, after which another one leads as well: a leader's caller may read slowly
MOST_WAITING: Final = 10_000  # of one flight; who comes then goes on its own
FAILURES: Final = 2  # of leaders, after which all are told of the last one's: to ask on would not help them


class _Word(Enum):
    """What is told to one who waits, where it is neither a reply nor an error."""

    LEAD = "lead"
    ALONE = "alone"


_Told = KeptReply | BaseException | _Word


class Seat:
    """A request's place: it leads, it got a reply, or it goes on its own.

    Whoever leads ends its lead by the first call of `land`, `part`, `leave`, `fail` or `end`; later ones do nothing,
    and none of them waits or raises.

    Attributes:
        kept: the reply of the one that led; None where this one leads or is alone.
    """

    __slots__ = ("_flight", "kept")

    def __init__(self, flight: "_Flight | None" = None, kept: KeptReply | None = None) -> None:
        self._flight, self.kept = flight, kept

    def __repr__(self) -> str:
        state = "leads" if self._flight is not None else "is alone" if self.kept is None else "has a reply"
        return f"<Seat that {state}>"

    def land(self, reply: KeptReply) -> None:
        """Give everybody the reply."""
        if (flight := self._give_up()) is not None:
            flight.tell_all(reply)

    def part(self) -> None:
        """Let everybody go on alone: there is a reply, and it is nobody else's."""
        if (flight := self._give_up()) is not None:
            flight.tell_all(_Word.ALONE)

    def leave(self) -> None:
        """Let another one lead."""
        if (flight := self._give_up()) is not None and flight.leader is self:
            flight.promote()

    def fail(self, error: BaseException) -> None:
        """Let another one lead, or tell everybody of the error where that would not help."""
        if isinstance(error, asyncio.CancelledError):
            self.leave()
        elif (flight := self._give_up()) is not None and flight.leader is self:
            flight.failures += 1
            if flight.failures >= FAILURES or isinstance(error, Rejected):
                flight.tell_all(error)
            else:
                flight.promote()

    def end(self, record: Record) -> None:
        """Take note of how the request ended, where nothing else has been said."""
        if record.outcome is Outcome.ANSWERED:
            self.part()
        elif record.outcome is Outcome.HUNG_UP:
            self.leave()
        else:
            self.fail(StreamBroken("the reply to an equal request broke off"))

    def _give_up(self) -> "_Flight | None":
        flight, self._flight = self._flight, None
        return flight


ALONE: Final = Seat()
"""Of a request for which nobody waits."""


class SingleFlight:
    """Flights by key; touched by the loop alone.

    Attributes:
        results: seats that were taken, by what for: "led", "shared", "promoted", "alone", "failed", "late" or "left".
    """

    def __init__(self) -> None:
        self._flights: dict[bytes, _Flight] = {}
        self.results: Counter[str] = Counter()

    def __repr__(self) -> str:
        waiting = sum(len(flight.waiting) for flight in self._flights.values())
        return f"<SingleFlight {len(self._flights)} flights, {waiting} waiting>"

    def __len__(self) -> int:
        return len(self._flights)

    async def board(self, key: bytes, *, until: float) -> Seat:
        """Return a seat at once where nobody leads, and otherwise when there is something to tell.

        Args:
            key: of the reply; equal for requests that may get the same one.
            until: of `time.monotonic`; nobody waits longer.

        Raises:
            DeadlineExceeded: it is over.
            BaseException: what the leaders before have failed with.
        """
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = _Flight(self._flights, key)
            self.results["led"] += 1
            return flight.lead()
        if len(flight.waiting) >= MOST_WAITING:
            self.results["alone"] += 1
            return Seat()
        return await self._wait(flight, until)

    async def _wait(self, flight: "_Flight", until: float) -> Seat:
        told: asyncio.Future[_Told] = asyncio.get_running_loop().create_future()
        flight.waiting[told] = None
        try:
            while not told.done():
                now = time.monotonic()
                if now >= until:
                    self.results["late"] += 1
                    raise DeadlineExceeded("an equal request was not answered in time")
                if now >= flight.since + PATIENCE:
                    self.results["promoted"] += 1
                    return flight.lead()
                await asyncio.wait((told,), timeout=min(until, flight.since + PATIENCE) - now)
        except asyncio.CancelledError:
            self.results["left"] += 1
            if told.done() and told.result() is _Word.LEAD:
                flight.promote()  # it was this one's turn, and it will not take it
            raise
        finally:
            flight.waiting.pop(told, None)
        return self._seat(flight, told.result())

    def _seat(self, flight: "_Flight", told: _Told) -> Seat:
        if isinstance(told, KeptReply):
            self.results["shared"] += 1
            return Seat(kept=told)
        if isinstance(told, BaseException):
            self.results["failed"] += 1
            raise told.with_traceback(None)  # shared by all: each would add its own
        if told is _Word.LEAD:
            self.results["promoted"] += 1
            return flight.lead()
        self.results["alone"] += 1
        return Seat()


class _Flight:
    """One leader and those who wait for it.

    Attributes:
        waiting: in the order in which they came; who was told something is still in it until it goes.
        leader: the latest one's seat; None while the next one has not taken it.
        since: when it began to lead.
        failures: of leaders.
    """

    def __init__(self, flights: "dict[bytes, _Flight]", key: bytes) -> None:
        self.waiting: dict[asyncio.Future[_Told], None] = {}
        self.leader: Seat | None = None
        self.since = 0.0
        self.failures = 0
        self._flights, self._key = flights, key

    def lead(self) -> Seat:
        """Return the seat of a new leader; one before it goes on, too."""
        self.since = time.monotonic()
        self.leader = Seat(self)
        return self.leader

    def promote(self) -> None:
        """Let the next one lead who has not left; without one the flight is over."""
        self.leader, self.since = None, time.monotonic()
        for told in self.waiting:
            if not told.done():
                told.set_result(_Word.LEAD)
                return
        self._end()

    def tell_all(self, word: _Told) -> None:
        """End the flight."""
        self._end()
        for told in self.waiting:
            if not told.done():
                told.set_result(word)

    def _end(self) -> None:
        if self._flights.get(self._key) is self:
            del self._flights[self._key]
