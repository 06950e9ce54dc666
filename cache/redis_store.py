"""Bytes by key in Redis, never slower than 50 ms and never needed.

Keeps one connection, comes back by itself when it is lost, and says at once that the store is away while it
is. Knows nothing of what the bytes mean.
"""

import asyncio
import contextlib
import logging
import random
from dataclasses import dataclass
from typing import Final

from cache.addresses import read_address
from cache.base import StoreAway
from cache.connection import Connection, Fault, Tally, connect

_PAUSE_FIRST: Final = 0.1  # seconds before the first new attempt
_PAUSE_LONGEST: Final = 2.0
_CLOSE_SECONDS: Final = 1.0
_UNSENT_BYTES: Final = 8 << 20  # a server that is this far behind gets nothing more to keep

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StoreStats:
    """Counted since the store was made.

    Attributes:
        errors: answers that were errors, connections that failed, values that were not sent.
        timeouts: calls without an answer in time.
        breaker_open: calls are refused at once, until a probe is answered.
        cause: why the breaker is open; "" while it is closed or nothing was tried yet.
    """

    hits: int
    misses: int
    errors: int
    timeouts: int
    breaker_open: bool
    cause: str


class RedisStore:
    """A `cache.base.Store` on one pipelined connection, opened in the background at the first use.

    The breaker opens when the connection is lost or five calls in a row failed. While it is open a probe (connect,
    enter, PING within the budget of a call) is sent after 0.1 s, then ever more seldom down to every 2 s.

    Args:
        url: as `cache.addresses.read_address` reads it.

    Raises:
        ValueError: the URL names no server.
    """

    def __init__(self, url: str) -> None:
        self._address = read_address(url)
        self._tally = Tally()
        self._hits = 0
        self._misses = 0
        self._connection: Connection | None = None
        self._connected = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._cause = ""
        self._closed = False

    def __repr__(self) -> str:
        return f"<RedisStore {self._connection or 'away'}>"

    async def get(self, key: bytes) -> bytes | None:
        """Return the value, or None when there is none.

        Raises:
            StoreAway: the breaker is open, or there was no usable answer within the budget.
        """
        connection = self._connection
        if connection is None:
            self._begin()
            raise StoreAway("redis is away")
        answer = await connection.ask(b"GET", key)
        if answer is None:
            self._misses += 1
            return None
        if isinstance(answer, bytes):
            self._hits += 1
            return answer
        raise StoreAway(answer.text if isinstance(answer, Fault) else "redis answered with no bytes")

    def set(self, key: bytes, value: bytes, *, ttl: float) -> None:
        """Keep the value for `ttl` seconds; while the store is away it is dropped."""
        connection = self._connection
        if connection is None:
            self._begin()
        elif connection.unsent > _UNSENT_BYTES:
            self._tally.errors += 1
        elif ttl > 0:
            connection.tell(b"SET", key, value, b"PX", b"%d" % max(1, int(ttl * 1000)))

    async def ask(self, *command: bytes) -> bytes | int | None:
        """Return the answer to a command that is answered by one value.

        Raises:
            StoreAway: the breaker is open, or there was no usable answer within the budget.
        """
        connection = self._connection
        if connection is None:
            self._begin()
            raise StoreAway("redis is away")
        answer = await connection.ask(*command)
        if isinstance(answer, Fault):
            raise StoreAway(answer.text)
        return answer

    def tell(self, *command: bytes) -> None:
        """Send a command whose answer matters to nobody; while the store is away it is dropped."""
        connection = self._connection
        if connection is None:
            self._begin()
        elif connection.unsent > _UNSENT_BYTES:
            self._tally.errors += 1
        else:
            connection.tell(*command)

    async def ready(self, seconds: float) -> bool:
        """Wait until the store can be used, and tell whether it can."""
        self._begin()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._connected.wait()
        return not self.stats().breaker_open

    def stats(self) -> StoreStats:
        """Return the counters as they are now."""
        is_open = self._connection is None or not self._connection.usable
        return StoreStats(
            hits=self._hits,
            misses=self._misses,
            errors=self._tally.errors,
            timeouts=self._tally.timeouts,
            breaker_open=is_open,
            cause=self._cause if is_open else "",
        )

    async def aclose(self) -> None:
        """Send what was handed over, within a second, and close."""
        self._closed = True
        connection = self._connection
        if connection is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await connection.drain()
            connection.abort("closed")
            await asyncio.wait({connection.lost})
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait({self._keeper})

    def _begin(self) -> None:
        if self._keeper is None and not self._closed:
            self._keeper = asyncio.create_task(self._keep_connected(), name="redis connection")

    async def _keep_connected(self) -> None:
        clock = asyncio.get_running_loop().time
        pause = _PAUSE_FIRST
        while True:
            try:
                connection = await connect(self._address, self._tally)
            except StoreAway as error:
                self._tally.errors += 1
                self._say_away(str(error))
            else:
                opened = clock()
                await self._use(connection)
                # A server that answers PING and then fails is not asked more often than one that is silent.
                if clock() - opened > _PAUSE_LONGEST:
                    pause = _PAUSE_FIRST
            # Workers that lost the server together do not come back together.
            await asyncio.sleep(pause * random.uniform(0.75, 1.0))
            pause = min(pause * 2, _PAUSE_LONGEST)

    async def _use(self, connection: Connection) -> None:
        if self._cause:
            _log.info("redis is back")
        self._cause = ""
        self._connection = connection
        self._connected.set()
        try:
            cause = await connection.lost
        finally:
            connection.abort("its store was dropped")
            self._connection = None
            self._connected.clear()
        if not self._closed:
            self._say_away(cause)

    def _say_away(self, cause: str) -> None:
        if cause != self._cause:
            _log.warning("redis is away, answers are not kept: %s", cause)
        self._cause = cause
