"""A private redis-server that ends -> another one in its place, empty, where those who use it find it.

Whoever keeps something in it finds it away meanwhile and comes back by itself. A server that ends again and again is
given up at last: replies are not kept then, and nothing else is missing.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

from cache.base import StoreAway
from cache.supervisor import PrivateRedis

CAUSES: Final = ("killed", "ended")
"""Why it is no more: a signal, such as that of a kernel without memory, or its own doing."""

LOOK_EVERY: Final = 0.2  # seconds between two looks whether it still runs
FIRST_PAUSE: Final = 0.1  # seconds before it is started again; each time twice as many
LONGEST_PAUSE: Final = 5.0  # seconds
STEADY_AFTER: Final = 10.0  # seconds of life after which a server that ends is a new story
TRIES: Final = 10  # of one story; they take half a minute

_log = logging.getLogger(__name__)


class SteadyRedis:
    """A private server for as long as the block runs, whatever kills it.

    Args:
        binary: the server's program, as `cache.supervisor.find_binary` returns it.

    Attributes:
        server: the one that runs, or last ran.
        is_given_up: it is not started again any more.
    """

    def __init__(self, binary: Path) -> None:
        self.server = PrivateRedis(binary)
        self.is_given_up = False
        self._restarts: Counter[str] = Counter()
        self._keeper: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<SteadyRedis {self.server}, {self._restarts.total()} restarts>"

    @property
    def restarts(self) -> Mapping[str, int]:
        """How often another server took its place, by one of `CAUSES`."""
        return self._restarts

    async def __aenter__(self) -> Self:
        """Start it, from a thread that lives as long as the server shall.

        Raises:
            StoreAway: as `PrivateRedis.start`.
        """
        await self.server.start()
        self._keeper = asyncio.create_task(self._keep(), name="private redis")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait({self._keeper})
        await self.server.aclose()

    async def _keep(self) -> None:
        clock = asyncio.get_running_loop().time
        began, pause, tries, said = clock(), FIRST_PAUSE, 0, ""
        while True:
            while (code := self.server.ended_by) is None:  # noqa: ASYNC110 - nothing but the kernel tells of it
                await asyncio.sleep(LOOK_EVERY)
            if clock() - began > STEADY_AFTER:
                pause, tries = FIRST_PAUSE, 0
            if tries == TRIES:
                _log.error("the private redis ended %d times in a row: it stays away, replies are not kept", TRIES)
                self.is_given_up = True
                return
            cause = "killed" if code < 0 else "ended"
            if not said:
                _log.warning("the private redis is gone (%s, %d): it is started again, and knows nothing", cause, code)
            await asyncio.sleep(pause)
            tries, pause, began = tries + 1, min(2 * pause, LONGEST_PAUSE), clock()
            try:
                await self.server.start_again()
            except StoreAway as error:
                if str(error) != said:
                    _log.warning("the private redis is tried again: %s", error)
                said = str(error)
            else:
                self._restarts[cause] += 1
                said = ""
