"""Answers that nobody waits for -> which of them are being made, by this process or another one.

What other processes are told lies in a file that one of them may hold for a while: what has ended here is known to
have, and is said there as soon as that can be.
"""

import asyncio
from collections import Counter
from typing import Final

from router.base import Unavailable
from router.endpoints.responses.making import Making
from router.stored.runs import Name, Runs

TRIES_EVERY: Final = 1.0  # seconds between tries to write what could not be written


class UnderWay:
    """What is being made.

    Args:
        runs: what all processes make.

    Attributes:
        makings: those of this process.
        of_tenants: how many each tenant has here, with those that are just accepted.
    """

    def __init__(self, runs: Runs) -> None:
        self.makings: dict[Name, Making] = {}
        self.of_tenants = Counter[str]()
        self._runs = runs
        self._over = set[Name]()  # what ended here, and is not yet said to have

    def drop(self, making: Making) -> None:
        """Take note that this process makes it no more, and let its followers look."""
        self.of_tenants[making.name[0]] -= 1
        del self.makings[making.name]
        self._over.add(making.name)
        making.log.pulse()

    async def is_running(self, name: Name) -> bool:
        """Tell whether anybody makes it.

        Raises:
            Unavailable: nobody here does, and what others do cannot be found out.
        """
        if name in self.makings:
            return True
        return name not in self._over and await self._runs.is_running(name)

    async def forget(self, name: Name) -> None:
        """Say to all that nobody makes it any more; returns when that is said."""
        while True:
            try:
                await self._runs.end(name)
                break
            except Unavailable:
                await asyncio.sleep(TRIES_EVERY)
        self._over.discard(name)

    async def undo(self, name: Name) -> None:
        """Take back what was accepted for a moment; until that is done, it counts."""
        try:
            await self.forget(name)
        finally:
            self.of_tenants[name[0]] -= 1
