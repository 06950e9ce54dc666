"""Bytes by key in this process, bounded by bytes and by time.

The store of last resort: not shared with other workers, gone when the process ends.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

# What a dictionary entry costs beside its key and value on 64-bit CPython: the entry, the tuple, two headers,
# a float. Rounded up from sys.getsizeof of the five.
_ENTRY_BYTES: Final = 320


class MemoryStore:
    """A `cache.base.Store` that forgets what was not read for longest.

    Args:
        max_bytes: for keys, values and what it takes to hold them.
        clock: seconds, never going back.
    """

    def __init__(self, max_bytes: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_bytes = max_bytes
        self._clock = clock
        self._held: OrderedDict[bytes, tuple[float, bytes]] = OrderedDict()
        self._bytes = 0

    def __repr__(self) -> str:
        return f"<MemoryStore {len(self._held)} values, {self._bytes} of {self._max_bytes} bytes>"

    async def get(self, key: bytes) -> bytes | None:
        """Return the value, or None when there is none or its time is over."""
        found = self._held.get(key)
        if found is None:
            return None
        expires, value = found
        if expires <= self._clock():
            self._forget(key)
            return None
        self._held.move_to_end(key)
        return value

    def set(self, key: bytes, value: bytes, *, ttl: float) -> None:
        """Keep the value for `ttl` seconds; one that is larger than the whole store is not kept."""
        if key in self._held:
            self._forget(key)
        size = _size(key, value)
        if ttl <= 0 or size > self._max_bytes:
            return
        while self._bytes + size > self._max_bytes:
            self._forget(next(iter(self._held)))
        self._held[key] = (self._clock() + ttl, value)
        self._bytes += size

    async def aclose(self) -> None:
        """Forget everything."""
        self._held.clear()
        self._bytes = 0

    def _forget(self, key: bytes) -> None:
        _, value = self._held.pop(key)
        self._bytes -= _size(key, value)


def _size(key: bytes, value: bytes) -> int:
    return len(key) + len(value) + _ENTRY_BYTES
