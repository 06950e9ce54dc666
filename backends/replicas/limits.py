"""Calls -> as many at the same time as there is room for; the others wait in a short, fair queue, and not for long.

What a backend cannot begin soon is better refused than kept waiting: the caller can go elsewhere. Who is next, and who
is refused where the queue is full, is `fair_queue.py`'s to say.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Final

from backends.base import Backend, BackendError, Call, DeadlineExceeded, OutOfService, Overloaded, QueueFull, Reply
from backends.replicas.base import Figure, counted
from backends.replicas.endings import Followed
from backends.replicas.fair_queue import FairQueue

TICK: Final = 0.1
"""Seconds between two looks at who has waited for too long; there are none while nobody waits."""

LEAST_RETRY_AFTER: Final = 1.0
"""Seconds that those who are refused are asked to stay away, at least."""


@dataclass(slots=True, eq=False)
class _Waiting:
    admitted: asyncio.Future[None]
    call: Call
    since: float
    until: float


class Limited:
    """A backend with a bounded number of calls under way.

    Args:
        backend: closed with this.
        room: tells how many calls may be under way now; it may change.
        queue: calls that may wait.
        wait: seconds that one waits at most, and never beyond its deadline.
        weights: of tenants in the queue; one that is not named has 1.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        room: Callable[[], int],
        queue: int,
        wait: float,
        weights: Mapping[str, int] | None = None,
    ) -> None:
        self._backend, self._room, self._longest, self._wait = backend, room, queue, wait
        self._queue: FairQueue[_Waiting] = FairQueue(weights)
        self._sweeper: asyncio.TimerHandle | None = None
        self._in_flight = 0
        self._waited = 0
        self._seconds = 0.0
        self._shed: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"<Limited: {self._in_flight} in flight, {len(self._queue)} waiting, {self._backend!r}>"

    async def send(self, call: Call) -> Reply:
        """Return a reply, once there is room.

        Raises:
            Overloaded: there was none in time.
            DeadlineExceeded: the call's own time was over first.
            BackendError: as the backend does.
        """
        if self._queue or self._in_flight >= self._room():
            await self._admission(call)
        else:
            self._in_flight += 1
        try:
            reply = await self._backend.send(call)
        except BaseException:
            self._leave()
            raise
        if not call.stream:
            self._leave()
            return reply
        return Reply(Followed(reply.chunks, self._leave), reply.media_type, reply.replica, reply.before)

    async def is_ready(self) -> bool:
        """Ask the backend; never raises."""
        return await self._backend.is_ready()

    async def aclose(self) -> None:
        """Refuse whoever waits, and close the backend."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        while self._queue:
            self._refuse(self._queue.pop(), OutOfService("the backend is closed", retry_after=LEAST_RETRY_AFTER))
        await self._backend.aclose()

    def figures(self) -> Iterator[Figure]:
        """Yield what is counted here."""
        yield Figure("in_flight", "Calls under way", (), {(): self._in_flight}, is_gauge=True)
        yield Figure("queued", "Calls that wait for room", (), {(): len(self._queue)}, is_gauge=True)
        yield Figure("waits", "Calls that were sent after they had waited for room", (), {(): self._waited})
        yield Figure("wait_seconds", "Seconds that those have waited", (), {(): self._seconds})
        yield counted("shed", "Calls that were refused for lack of room, by cause", self._shed, by="cause")

    async def _admission(self, call: Call) -> None:
        if len(self._queue) >= self._longest:
            self._make_place(call)
        loop = asyncio.get_running_loop()
        now = monotonic()
        waiting = _Waiting(loop.create_future(), call, now, min(now + self._wait, call.deadline))
        self._queue.push(waiting, tenant=call.tenant, priority=call.priority)
        if self._sweeper is None:
            self._sweeper = loop.call_later(TICK, self._sweep)
        try:
            await waiting.admitted
        except asyncio.CancelledError:
            if not self._queue.discard(waiting, tenant=call.tenant, priority=call.priority):
                self._give_back(waiting)
            raise

    def _make_place(self, call: Call) -> None:
        gone = self._queue.displaced_by(tenant=call.tenant, priority=call.priority) if self._longest else None
        if gone is None:
            raise self._overloaded("full", f"no room: {self._in_flight} calls under way, {len(self._queue)} wait")
        self._refuse(gone, self._overloaded("displaced", "no room: others of fewer calls, or more urgent, go first"))

    def _give_back(self, waiting: _Waiting) -> None:
        """Take back a place from one that left in the moment in which it was given."""
        admitted = waiting.admitted
        if admitted.done() and not admitted.cancelled() and admitted.exception() is None:
            self._leave()

    def _leave(self, _ended_with: BaseException | None = None) -> None:
        self._in_flight -= 1
        if self._queue:
            self._admit()

    def _admit(self) -> None:
        now = monotonic()
        while self._queue and self._in_flight < self._room():
            waiting = self._queue.pop()
            if not waiting.admitted.done():  # else it has left, and will find that it waits no more
                waiting.admitted.set_result(None)
                self._in_flight += 1
                self._waited += 1
                self._seconds += now - waiting.since

    def _sweep(self) -> None:
        self._admit()  # the room may have grown
        now = monotonic()
        for waiting in [each for each in self._queue if each.until <= now]:
            self._queue.discard(waiting, tenant=waiting.call.tenant, priority=waiting.call.priority)
            self._refuse(waiting, self._too_late(waiting, now))
        self._sweeper = asyncio.get_running_loop().call_later(TICK, self._sweep) if self._queue else None

    def _too_late(self, waiting: _Waiting, now: float) -> BackendError:
        if now >= waiting.call.deadline:
            self._shed["deadline"] += 1
            return DeadlineExceeded("the deadline passed before there was room")
        return self._overloaded("waited", f"no room in {self._wait} s")

    def _overloaded(self, cause: str, message: str) -> Overloaded:
        self._shed[cause] += 1
        return QueueFull(message, retry_after=max(LEAST_RETRY_AFTER, self._wait))

    def _refuse(self, waiting: _Waiting, error: BackendError) -> None:
        if not waiting.admitted.done():
            waiting.admitted.set_exception(error)
