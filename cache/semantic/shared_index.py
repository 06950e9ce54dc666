"""Entries of a partition in Redis, for all who share it: a value that only grows, read from where one stopped.

Each entry is proved by a MAC over its partition: what others wrote there is not read. A value begins with eight random
bytes: where they have changed, it was written anew and is read from its beginning. Appending is one step in Redis, so
that two workers lose nothing of each other.
"""

import hmac
import secrets
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Final, Protocol

import msgspec
import numpy as np
from msgspec import Struct

from cache.base import StoreAway
from cache.semantic.base import Entry

_MARK_BYTES: Final = 8
_LENGTH_BYTES: Final = 2
_MAC_BYTES: Final = 16
_HEAD_BYTES: Final = _LENGTH_BYTES + _MAC_BYTES
_LONGEST: Final = 1 << 8 * _LENGTH_BYTES
_TOGETHER: Final = 1 << 15
"""Bytes that are fetched at a time: some 100 entries."""


class Commands(Protocol):
    """A Redis; `cache.redis_store.RedisStore` is one."""

    async def ask(self, *command: bytes) -> bytes | int | None:
        """Return the answer.

        Raises:
            StoreAway: there was none in time.
        """
        ...

    def tell(self, *command: bytes) -> None:
        """Send a command whose answer matters to nobody; while the server is away it is dropped."""
        ...


class Part(Struct, frozen=True):
    """What was read.

    Attributes:
        generation: of the value; where it is another than before, all was read from the beginning.
        offset: where to go on.
        data: whole entries, still sealed.
        is_all: there was no more.
    """

    generation: bytes
    offset: int
    data: bytes
    is_all: bool


class _Stored(Struct, frozen=True, array_like=True):
    name: bytes
    facts: bytes
    vector: bytes
    words: bytes


class SharedIndex:
    """Entries in one Redis.

    Args:
        secret: hides names and proves values; whoever shares the server shares it.
        source: of the readings; those of another are not found.
        ttl: seconds that a partition is kept after its last entry.
    """

    def __init__(self, redis: Commands, *, secret: bytes, source: str, ttl: float) -> None:
        self._redis = redis
        self._secret = blake2b(secret, person=b"tandem-sem-idx-1").digest()
        self._source = source.encode()
        self._ttl = b"%d" % max(1, int(ttl * 1000))
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(_Stored).decode
        self.refused = 0

    async def read(self, partition: bytes, *, generation: bytes, offset: int) -> Part:
        """Return what comes after an offset.

        Raises:
            StoreAway: there was no answer in time.
        """
        name = self._name_of(partition)
        mark = await self._range(name, 0, _MARK_BYTES)
        if mark != generation:
            offset = _MARK_BYTES
        if not mark:
            return Part(b"", 0, b"", is_all=True)
        data = await self._range(name, offset, _TOGETHER)
        whole = _whole(data)
        if len(data) == _TOGETHER and not whole:  # no entry of ours is so long: go on behind it
            return Part(mark, offset + len(data), b"", is_all=False)
        return Part(mark, offset + whole, data[:whole], is_all=len(data) < _TOGETHER)

    def append(self, partition: bytes, entry: Entry) -> None:
        """Hand over an entry; returns at once, never raises."""
        name = self._name_of(partition)
        sealed = self._sealed(partition, entry)
        if sealed:
            self._redis.tell(b"SET", name, secrets.token_bytes(_MARK_BYTES), b"NX", b"PX", self._ttl)
            self._redis.tell(b"APPEND", name, sealed)
            self._redis.tell(b"PEXPIRE", name, self._ttl)

    def rewrite(self, partition: bytes, entries: Sequence[Entry]) -> None:
        """Put these entries in the place of all; what another worker appended at the same moment may be lost."""
        parts = [self._sealed(partition, entry) for entry in entries]
        value = b"".join((secrets.token_bytes(_MARK_BYTES), *parts))
        self._redis.tell(b"SET", self._name_of(partition), value, b"PX", self._ttl)

    def opened(self, partition: bytes, data: bytes) -> Iterator[Entry]:
        """Yield the entries that are ours; others are counted in `refused`."""
        at = 0
        while at < len(data):
            end = at + _HEAD_BYTES + int.from_bytes(data[at : at + _LENGTH_BYTES], "little")
            entry = self._entry(partition, data[at + _LENGTH_BYTES : end])
            if entry is None:
                self.refused += 1
            else:
                yield entry
            at = end

    def _entry(self, partition: bytes, sealed: bytes) -> Entry | None:
        payload = sealed[_MAC_BYTES:]
        if not hmac.compare_digest(sealed[:_MAC_BYTES], self._mac(partition, payload)):
            return None
        try:
            stored = self._decode(payload)
        except msgspec.MsgspecError:  # ours, but of another shape
            return None
        vector = np.frombuffer(stored.vector, np.float16).astype(np.float32)
        return Entry(stored.name, stored.facts, vector, stored.words)

    def _sealed(self, partition: bytes, entry: Entry) -> bytes:
        vector = entry.vector.astype(np.float16).tobytes()
        payload = self._encode(_Stored(entry.name, entry.facts, vector, entry.words))
        if len(payload) >= _LONGEST:
            return b""
        return b"".join((len(payload).to_bytes(_LENGTH_BYTES, "little"), self._mac(partition, payload), payload))

    def _mac(self, partition: bytes, payload: bytes) -> bytes:
        mac = blake2b(partition, key=self._secret, digest_size=_MAC_BYTES)
        mac.update(payload)
        return mac.digest()

    def _name_of(self, partition: bytes) -> bytes:
        return blake2b(partition + self._source, key=self._secret, digest_size=32).digest()

    async def _range(self, name: bytes, begin: int, size: int) -> bytes:
        answer = await self._redis.ask(b"GETRANGE", name, b"%d" % begin, b"%d" % (begin + size - 1))
        if isinstance(answer, bytes):
            return answer
        raise StoreAway("redis answered with no bytes")


def _whole(data: bytes) -> int:
    """Return how many of the bytes are whole entries."""
    at = 0
    while at + _HEAD_BYTES <= len(data):
        end = at + _HEAD_BYTES + int.from_bytes(data[at : at + _LENGTH_BYTES], "little")
        if end > len(data):
            break
        at = end
    return at
