"""Keeps whole replies in a store and gives back only what it kept itself.

Never raises: whatever is wrong with the store or with what lies in it is a miss, and is counted.
"""

import hmac
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

import msgspec

from cache.base import CacheError, KeptReply, Store

MAX_BYTES: Final = 1 << 20

# Changes whenever the bytes below it would be read differently; what another version wrote is then not read.
_VERSION: Final = b"\x01"
_MAC_BYTES: Final = 16
_HEAD_BYTES: Final = len(_VERSION) + _MAC_BYTES


@dataclass(frozen=True, slots=True)
class RepliesStats:
    """Counted since the start; each `get` is one of the first four.

    Attributes:
        away: the store could not be asked.
        alarms: values that we did not write, or not under this key, or not in this version.
        kept: replies handed to the store.
        too_large: replies that were not.
    """

    hits: int
    misses: int
    away: int
    alarms: int
    kept: int
    too_large: int


class Replies:
    """Replies by key, in any store.

    Args:
        store: stays the caller's, who closes it.
        secret: proves that a value is ours; whoever shares the store shares it.
        ttl: seconds that a reply is kept.
        max_bytes: of a reply's body; a longer one is not kept.
    """

    def __init__(self, store: Store, secret: bytes, *, ttl: float, max_bytes: int = MAX_BYTES) -> None:
        self._store = store
        self._secret = blake2b(secret, person=b"tandem-mac-1").digest()
        self._ttl = ttl
        self._max_bytes = max_bytes
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(KeptReply).decode
        self._hits = self._misses = self._away = self._alarms = self._kept = self._too_large = 0

    async def get(self, key: bytes) -> KeptReply | None:
        """Return the reply, or None when there is none that can be trusted; never raises."""
        try:
            value = await self._store.get(key)
        except CacheError:
            self._away += 1
            return None
        if value is None:
            self._misses += 1
            return None
        reply = self._open(key, value)
        if reply is None:
            self._alarms += 1
        else:
            self._hits += 1
        return reply

    def put(self, key: bytes, reply: KeptReply) -> None:
        """Hand over a reply to be kept; returns at once, never raises."""
        if len(reply.body) > self._max_bytes:
            self._too_large += 1
            return
        payload = self._encode(reply)
        self._store.set(key, b"".join((_VERSION, self._mac(key, payload), payload)), ttl=self._ttl)
        self._kept += 1

    def stats(self) -> RepliesStats:
        """Return the counters as they are now."""
        return RepliesStats(
            hits=self._hits,
            misses=self._misses,
            away=self._away,
            alarms=self._alarms,
            kept=self._kept,
            too_large=self._too_large,
        )

    def _open(self, key: bytes, value: bytes) -> KeptReply | None:
        payload = memoryview(value)[_HEAD_BYTES:]
        proof = value[len(_VERSION) : _HEAD_BYTES]
        if value[: len(_VERSION)] != _VERSION or not hmac.compare_digest(proof, self._mac(key, payload)):
            return None
        try:
            return self._decode(payload)
        except msgspec.MsgspecError:  # ours, but of a `KeptReply` with other fields
            return None

    def _mac(self, key: bytes, payload: bytes | memoryview) -> bytes:
        mac = blake2b(_VERSION, key=self._secret, digest_size=_MAC_BYTES)
        mac.update(len(key).to_bytes(8, "little"))
        mac.update(key)
        mac.update(payload)
        return mac.digest()
