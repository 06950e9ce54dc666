"""Replicas, asked now and then whether they are ready -> who may be tried, and who is not worth trying.

So a replica that fails is noticed before a caller meets it, and one that is back need not be found out by one. The
checks begin with the first call. What a server says that was never well, counts for nothing: it may know no checks.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from random import Random
from time import monotonic
from typing import Final

from backends.base import Backend, Call, Reply
from backends.replicas.base import Figure, Replica
from backends.replicas.outliers import Outliers

JITTER: Final = 0.2
"""Of the interval, more or less: so that many gateways do not ask at the same time."""


class HealthChecked:
    """A backend whose replicas are asked whether they are ready.

    Args:
        backend: holds the replicas; closed with this.
        replicas: those that are asked.
        outliers: told of what they say.
        interval: seconds.
        chance: for the jitter.
    """

    def __init__(
        self, backend: Backend, *, replicas: Sequence[Replica], outliers: Outliers, interval: float, chance: Random
    ) -> None:
        self._backend, self._replicas, self._outliers = backend, replicas, outliers
        self._interval, self._chance = interval, chance
        self._checking: asyncio.Task[None] | None = None
        self._were_well: set[str] = set()
        self._counts: Counter[tuple[str, ...]] = Counter()

    def __repr__(self) -> str:
        return f"<HealthChecked every {self._interval} s, {self._backend!r}>"

    async def send(self, call: Call) -> Reply:
        """Send a call on; the first one begins the checks."""
        if self._checking is None:
            self._checking = asyncio.create_task(self._check())
        return await self._backend.send(call)

    async def is_ready(self) -> bool:
        """Ask the backend; never raises."""
        return await self._backend.is_ready()

    async def aclose(self) -> None:
        """End the checks and close the backend."""
        if self._checking is not None:
            self._checking.cancel()
            await asyncio.wait({self._checking})
        await self._backend.aclose()

    def figures(self) -> Iterator[Figure]:
        """Yield what is counted here."""
        yield Figure("health_checks", "Health checks by replica and result", ("replica", "result"), self._counts)

    async def _check(self) -> None:
        while True:
            await asyncio.sleep(self._interval * self._chance.uniform(1 - JITTER, 1 + JITTER))
            await asyncio.gather(*(self._look_at(each) for each in self._replicas))

    async def _look_at(self, replica: Replica) -> None:
        name = replica.standing.name
        is_well = await replica.is_ready()
        self._counts[name, "well" if is_well else "ill"] += 1
        if is_well:
            self._were_well.add(name)
        if name in self._were_well:
            again_in = self._interval * (1 + JITTER)
            self._outliers.looked(replica.standing, monotonic(), is_well=is_well, again_in=again_in)
