"""A call that takes long -> the same call to a second replica; the first to answer wins, the other is stopped.

For a tail of slow answers that one replica has and another does not. It costs: what the loser computed is paid for, so
the reply tells of it. No call is hedged where the second replica has no room, nor more than a small share of all.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from time import monotonic
from typing import Final

from msgspec.structs import replace

from backends.base import BackendError, Call, Lost, Reply
from backends.replicas.base import Figure, Group, Replica, counted
from backends.replicas.recent import Recent

QUANTILE: Final = 0.95

BURST: Final = 10.0
"""Hedges that a quiet time lets one save up."""


class Hedged:
    """A group of replicas of which a second one is asked when the first takes long.

    Args:
        group: at least two replicas; closed with this.
        after: seconds without a first byte; None for what 95 % of the last calls took.
        share: of all calls, that may be hedged.
    """

    def __init__(self, group: Group, *, after: float | None, share: float) -> None:
        self._group, self._after, self._share = group, after, share
        self._recent = Recent(QUANTILE)
        self._saved = 1.0
        self._hedges: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"<Hedged: {self._hedges.total()} hedges, {self._group!r}>"

    async def send(self, call: Call) -> Reply:
        """Return the first reply that begins.

        Raises:
            BackendError: as a replica does; it tells of the other one, where two were asked.
        """
        self._saved = min(self._saved + self._share, BURST)
        began = monotonic()
        first = self._group.pick(call)
        asked = {asyncio.create_task(first.send(call)): first.standing.name}
        try:
            done, _ = await asyncio.wait(asked, timeout=self._patience())
            second = None if done else self._second(call, first)
            if second is not None:
                asked[asyncio.create_task(second.send(call))] = second.standing.name
            reply = await self._first_of(asked)
        finally:
            await _stop(asked)
        self._recent.observe(monotonic() - began)
        return reply

    async def is_ready(self) -> bool:
        """Ask the group; never raises."""
        return await self._group.is_ready()

    async def aclose(self) -> None:
        """Close the group."""
        await self._group.aclose()

    def figures(self) -> Iterator[Figure]:
        """Yield what is counted here."""
        yield counted("hedges", "Calls that a second replica was asked for, by who answered", self._hedges, by="winner")

    def _patience(self) -> float | None:
        return self._recent.value if self._after is None else self._after

    def _second(self, call: Call, first: Replica) -> Replica | None:
        if self._saved < 1.0:
            return None
        try:
            second = self._group.pick(replace(call, avoid=(*call.avoid, first.standing.name)))
        except BackendError:  # no other is in service, or none has room
            return None
        self._saved -= 1.0
        return second

    async def _first_of(self, asked: "dict[asyncio.Task[Reply], str]") -> Reply:
        """Return what comes first, and take it out of those that were asked; who fails leaves it to the others."""
        first, is_hedged = next(iter(asked)), len(asked) > 1
        failed: list[Lost] = []
        while True:
            done, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
            task = first if first in done else done.pop()
            name = asked.pop(task)
            try:
                reply = task.result()
            except BackendError as error:
                if asked:
                    failed.append(Lost(name, error))
                    continue
                self._hedges["neither"] += is_hedged
                error.before = (*failed, *error.before)
                raise
            if not is_hedged:
                return reply
            self._hedges["first" if task is first else "second"] += 1
            stopped = [Lost(other, None) for other in asked.values()]
            return replace(reply, before=(*failed, *stopped, *reply.before))


async def _stop(asked: "dict[asyncio.Task[Reply], str]") -> None:
    """End what nobody waits for any more."""
    for task in asked:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
        if not task.cancelled() and task.exception() is None:
            await task.result().chunks.aclose()
