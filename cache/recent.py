"""Bytes by key in this process, for all its threads, bounded in bytes.

Forgets what was not used for longest. Expires nothing: whoever asks knows that a value never changes.
"""

import threading
from collections import OrderedDict
from typing import Final

# What a dictionary entry costs beside its key and value on 64-bit CPython; rounded up from sys.getsizeof.
_ENTRY_BYTES: Final = 256


class Recent:
    """Values that were used last.

    Args:
        max_bytes: for keys, values and what it takes to hold them; 0 holds nothing.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._held: OrderedDict[bytes, bytes] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<Recent {len(self._held)} values, {self._bytes} of {self._max_bytes} bytes>"

    def __contains__(self, key: bytes) -> bool:
        return key in self._held

    @property
    def bytes_held(self) -> int:
        """Return how much it holds."""
        return self._bytes

    def get(self, key: bytes) -> bytes | None:
        """Return the value, or None when there is none."""
        with self._lock:
            value = self._held.get(key)
            if value is not None:
                self._held.move_to_end(key)
            return value

    def set(self, key: bytes, value: bytes) -> None:
        """Hold the value; one that is larger than everything together is not held."""
        size = _size(key, value)
        if size > self._max_bytes:
            return
        with self._lock:
            if (old := self._held.pop(key, None)) is not None:
                self._bytes -= _size(key, old)
            while self._bytes + size > self._max_bytes:
                forgotten = self._held.popitem(last=False)
                self._bytes -= _size(*forgotten)
            self._held[key] = value
            self._bytes += size

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._held.clear()
            self._bytes = 0


def _size(key: bytes, value: bytes) -> int:
    return len(key) + len(value) + _ENTRY_BYTES
