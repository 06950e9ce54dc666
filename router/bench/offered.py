"""A rate of requests -> what became of them, however long each takes.

A process of its own (`python -m router.bench.offered --url ...`) and an open loop: requests fall due by the clock, and
wait for a connection where all are busy, so that a slow answer delays no later request and no wait is left out. Times
count from the moment a request fell due. It prints one JSON object.
"""

import argparse
import asyncio
import json
import sys
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import uvloop

from router.bench.callers import Caller, Plan, Tally, quantile
from router.bench.load import BODY

TICK = 0.001
_GRACE = 10.0
_REFUSED = frozenset((429, 503))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it.

    Attributes:
        due: requests that fell due.
        right: answered right and whole.
        refused: answered with 429 or 503.
        failed: everything else.
        rate: right answers a second, over the time in which requests fell due.
        p50, p99: seconds from when a right answer's request fell due.
        statuses: of all answers, by number.
    """

    due: int
    right: int
    refused: int
    failed: int
    rate: float
    p50: float
    p99: float
    statuses: dict[str, int]


class _Queue:
    """Requests that fell due and connections that are free."""

    def __init__(self) -> None:
        self.due: deque[float] = deque()
        self.free: deque[_Offered] = deque()
        self.waits: list[float] = []
        self.statuses: Counter[int] = Counter()
        self.is_over = False


class _Offered(Caller):
    """A connection that takes what fell due first."""

    def __init__(self, tally: Tally, queue: _Queue) -> None:
        super().__init__(tally)
        self._queue = queue

    def ask(self, fell_due: float) -> None:
        """Send the next request."""
        self._waiting = True
        self._fell_due = fell_due
        self._transport.write(self._tally.request())

    def connection_lost(self, exc: Exception | None) -> None:
        """Be free no more; what was still to come is missed where answers are counted."""
        if self in self._queue.free:
            self._queue.free.remove(self)
        super().connection_lost(exc)

    def _settle(self) -> None:
        status, self._status, self._waiting = self._status, 0, False
        self._queue.statuses[status] += 1
        if status == 200:  # noqa: PLR2004
            self._queue.waits.append(time.perf_counter() - self._fell_due)
        self._ask()

    def _ask(self) -> None:
        if self._queue.due:
            self.ask(self._queue.due.popleft())
        elif self._queue.is_over:
            self.close()
        else:
            self._queue.free.append(self)


async def offer(plan: Plan, *, rate: float) -> Outcome:
    """Let `rate` requests a second fall due for the plan's seconds, and wait for what is under way then."""
    loop = asyncio.get_running_loop()
    tally, queue = Tally(plan), _Queue()
    callers = [
        (await loop.create_connection(lambda: _Offered(tally, queue), tally.host, tally.port))[1]
        for _ in range(plan.connections)
    ]
    begun, due, passed = time.perf_counter(), 0, 0.0
    while passed < plan.seconds:
        passed = min(time.perf_counter() - begun, plan.seconds)
        while due < passed * rate:  # also what fell due while this process was kept from running until the end
            fell_due = begun + due / rate
            due += 1
            if queue.free:
                queue.free.popleft().ask(fell_due)
            else:
                queue.due.append(fell_due)
        await asyncio.sleep(TICK)
    queue.is_over = True
    for each in tuple(queue.free):
        each.close()
    await asyncio.wait([each.finished for each in callers], timeout=_GRACE)
    waits = sorted(queue.waits)
    refused = sum(queue.statuses[status] for status in _REFUSED)
    return Outcome(
        due=due,
        right=len(waits),
        refused=refused,
        failed=due - len(waits) - refused,
        rate=round(len(waits) / plan.seconds, 1),
        p50=round(quantile(waits, 0.5), 6),
        p99=round(quantile(waits, 0.99), 6),
        statuses={str(status): count for status, count in sorted(queue.statuses.items())},
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the flags, offer, print."""
    parser = argparse.ArgumentParser(prog="router.bench.offered", description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--key", default="", help="sent as bearer token")
    parser.add_argument("--rate", type=float, required=True, help="requests a second")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--connections", type=int, default=256)
    flags = parser.parse_args(arguments)
    plan = Plan(flags.url, BODY, key=flags.key, connections=flags.connections, seconds=flags.seconds)
    sys.stdout.write(json.dumps(asdict(uvloop.run(offer(plan, rate=flags.rate)))) + "\n")


if __name__ == "__main__":
    main()
