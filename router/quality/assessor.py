"""Whole replies -> assessments in the ledger, made by one thread that may take a small share of an idle core.

Telling it of a reply costs the loop a microsecond: it goes into a queue, whose bounds are known. The thread looks at
one reply, then rests until its share allows the next, so that the loop never waits long for the interpreter. The share
shrinks as the process has less time to spare, since every look then keeps a request waiting. Replies of
which something can be verified are all looked at, whatever the share; of the others, those that find the queue full are
counted and let go, which depends on how busy the gateway is and never on what they say. What was looked at, by what was
to be, is part of every figure.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from router.base import Assessment, Request, Tier
from router.quality.assessing import assess
from router.quality.checks import is_verifiable

PAUSE: Final = 0.2  # seconds between two looks into empty queues
HANDED_ON: Final = 1.0  # seconds at most between two times that what was found is handed on
AT_ONCE: Final = 64  # assessments that are handed on together
LEAST: Final = 0.2  # of its share, that is left where the process is busy all the time
CLOSE_WITHIN: Final = 2.0  # seconds for what is left of the replies that are verified

RESULTS: Final = ("assessed", "queue_full", "too_long", "unreadable", "left")
"""What became of a reply that was to be assessed; "left" were there when the gateway closed."""
FLAGS: Final = ("repetitive", "empty", "truncated", "refusal", "failed_check")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Budget:
    """What assessing may take.

    Attributes:
        share: of one core while it is idle, above 0.0, up to 1.0; `LEAST` of that while this process keeps it busy.
            What is verified goes beyond it where it has to.
        waiting: replies in the queue, and as many again that are verified.
        waiting_bytes: of all that wait.
    """

    share: float = 0.01
    waiting: int = 256
    waiting_bytes: int = 16 << 20


_Waiting = tuple[Request, Tier, bytes]


class Keeps(Protocol):
    """What assessments are handed to: a ledger."""

    def assess(self, assessment: Assessment) -> None:
        """Keep one."""
        ...


class Idleness:
    """Tells how much of a core this process leaves idle, from one asking to the next."""

    def __init__(self) -> None:
        self._at, self._spent = time.monotonic(), time.process_time()

    def __call__(self) -> float:
        """Return the share, 0.0 to 1.0."""
        at, spent = time.monotonic(), time.process_time()
        passed, worked = at - self._at, spent - self._spent
        self._at, self._spent = at, spent
        return 0.0 if worked >= passed else 1.0 - worked / passed


class Assessor:
    """Looks at replies beside the loop.

    Attributes:
        results, flags: how many, by `RESULTS`, and by tier and `FLAGS`.
    """

    def __init__(
        self,
        budget: Budget,
        *,
        ledger: Keeps,
        loop: asyncio.AbstractEventLoop,
        is_compared: Callable[[str], bool] = lambda _id: False,
        idle: Callable[[], float] | None = None,
    ) -> None:
        """Start the thread; whoever made this closes it.

        Args:
            is_compared: tells of a request that a fuller assessment of it is in the ledger already.
            idle: tells what share of a core is idle; None asks the operating system.
        """
        self._budget, self._ledger, self._loop, self._is_compared = budget, ledger, loop, is_compared
        self._idle = idle or Idleness()
        self._verified: deque[_Waiting] = deque()
        self._others: deque[_Waiting] = deque()
        self._bytes_in = self._bytes_out = 0  # one written by the loop, the other by the thread
        self._found: list[Assessment] = []
        self._rests_until = self._hands_on_at = 0.0
        self._closing = threading.Event()
        self.results: dict[str, int] = dict.fromkeys(RESULTS, 0)
        self.flags: dict[tuple[str, str], int] = {(tier.value, flag): 0 for tier in Tier for flag in FLAGS}
        self._thread = threading.Thread(target=self._look_until_closed, name="assessor", daemon=True)
        self._thread.start()

    def tell(self, request: Request, tier: Tier, body: bytes | None) -> None:
        """Take a whole reply, as the caller got it; None for one that was too long to be gathered. Never raises."""
        if body is None:
            self.results["too_long"] += 1
            return
        if not self.takes(request):
            self.leave_out()
            return
        self._bytes_in += len(body)
        self._queue_of(request).append((request, tier, body))

    def takes(self, request: Request) -> bool:
        """Tell whether a reply to this request would find room now; see `router.relay.Assess`."""
        has_room = self._bytes_in - self._bytes_out < self._budget.waiting_bytes
        return has_room and len(self._queue_of(request)) < self._budget.waiting

    def leave_out(self) -> None:
        """Count a reply for which there was no room."""
        self.results["queue_full"] += 1

    async def aclose(self) -> None:
        """Look at what is left that is verified, hand on what was found, end the thread."""
        self._closing.set()
        await asyncio.to_thread(self._thread.join)
        self.results["left"] += len(self._verified) + len(self._others)
        await asyncio.sleep(0)  # what the thread has handed on is taken first

    def _queue_of(self, request: Request) -> deque[_Waiting]:
        return self._verified if is_verifiable(request) else self._others

    def _look_until_closed(self) -> None:
        while not self._closing.is_set():
            waiting = self._take()
            if waiting is None:
                if time.monotonic() >= self._hands_on_at:  # a row on its own costs the ledger as much as many
                    self._hand_on()
                rests = self._rests_until - time.monotonic() if self._others else PAUSE
                self._closing.wait(max(0.0, min(PAUSE, rests)))
            else:
                self._closing.wait(self._look(waiting))  # as long again, so that others get the interpreter
        until = time.monotonic() + CLOSE_WITHIN
        while self._verified and time.monotonic() < until:
            self._look(self._verified.popleft())
        self._hand_on()

    def _take(self) -> _Waiting | None:
        if self._verified:
            return self._verified.popleft()
        if self._others and time.monotonic() >= self._rests_until:
            return self._others.popleft()
        return None

    def _look(self, waiting: _Waiting) -> float:
        """Assess one reply; returns the seconds of a core that this took."""
        request, tier, body = waiting
        self._bytes_out += len(body)
        begun = time.thread_time()
        try:
            found = assess(request, tier, body)
        except Exception as error:  # noqa: BLE001 - one odd reply must not end the looking at all others
            _log.error("the reply to %s could not be assessed: %r", request.id, error)
            found = None
        took = time.thread_time() - begun
        share = self._budget.share * max(LEAST, self._idle())
        self._rests_until = max(time.monotonic(), self._rests_until) + took * (1.0 / share - 1.0)
        self._count(found)
        return took

    def _count(self, found: Assessment | None) -> None:
        if found is None:
            self.results["unreadable"] += 1
            return
        self.results["assessed"] += 1
        for flag, is_so in zip(FLAGS, flags_of(found), strict=True):
            self.flags[found.tier.value, flag] += is_so
        self._found.append(found)
        if len(self._found) >= AT_ONCE:
            self._hand_on()

    def _hand_on(self) -> None:
        """Give the ledger what was found; it belongs to the loop."""
        if not self._found:
            return
        found, self._found = self._found, []
        self._hands_on_at = time.monotonic() + HANDED_ON
        try:
            self._loop.call_soon_threadsafe(self._keep, found)
        except RuntimeError:  # the loop is closed: nobody is left who could write
            self.results["left"] += len(found)

    def _keep(self, found: Sequence[Assessment]) -> None:
        for each in found:
            if not self._is_compared(each.request_id):
                self._ledger.assess(each)


def flags_of(found: Assessment) -> tuple[bool, ...]:
    """Return what an assessment was flagged as, in the order of `FLAGS`."""
    return (
        found.is_repetitive,
        found.is_empty,
        found.is_truncated,
        found.is_refusal,
        found.failed_checks > 0,
    )
