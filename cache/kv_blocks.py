"""Bytes by key, in host memory and in a Redis that processes share, for threads of engines.

A value that is not ours, is of another version, or comes too late is a miss; Redis is never needed. What the bytes
mean, and who may read them, is in the keys, which are the caller's.
"""

import hmac
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Final

from cache.addresses import read_address
from cache.blocking import Answer
from cache.connection import Fault
from cache.guarded_redis import GuardedRedis
from cache.kv_index import PREFIX
from cache.kv_writer import KvWriter
from cache.recent import Recent

# Changes whenever the bytes behind it would be read differently; what another version wrote is then not read.
_VERSION: Final = b"\x01"
_MAC_BYTES: Final = 16
_HEAD_BYTES: Final = len(_VERSION) + _MAC_BYTES
_NAME_BYTES: Final = 20
_VALUE_BYTES: Final = 512 << 20  # more than this Redis takes in no one value
_TOGETHER: Final = 16  # keys of one MGET; all leave in one write, and those that were answered in time count
_ALARM_SECONDS: Final = 60.0  # between two log lines about values that are not ours

_log = logging.getLogger(__name__)


def open_store(
    url: str,
    *,
    secret: bytes,
    ttl: float = 3600.0,
    cap_bytes: int = 1 << 30,
    host_bytes: int = 64 << 20,
    waiting_bytes: int = 64 << 20,
) -> "KvBlocks":
    """Return a store that is ready, whether or not the server is there; whoever asked closes it.

    Args:
        url: as `cache.addresses.read_address` reads it.
        secret: hides keys and proves values; processes that share values share it.
        ttl: seconds that a value is kept after its last use.
        cap_bytes: of all values in Redis, whoever wrote them; each write holds its own writer's cap.
        host_bytes: of values held in this process.
        waiting_bytes: of values that may wait to be written.

    Raises:
        ValueError: the URL names no server, or there is no secret.
    """
    if not secret:
        raise ValueError("secret for prefix kv is empty: give one, the same to all who share the values")
    redis = GuardedRedis(read_address(url))
    writer = KvWriter(redis, ttl=ttl, cap=cap_bytes, max_waiting=waiting_bytes)
    return KvBlocks(redis, writer, Recent(host_bytes), secret=secret, max_value=min(cap_bytes, _VALUE_BYTES))


class KvBlocks:
    """A store of prefix KV; made by `open_store`, used by any thread."""

    def __init__(self, redis: GuardedRedis, writer: KvWriter, recent: Recent, *, secret: bytes, max_value: int) -> None:
        self._redis = redis
        self._writer = writer
        self._recent = recent
        self._max_value = max_value  # with its head; a larger one is none of ours, and is not fetched
        self._mac_key = blake2b(secret, person=b"tandem-kv-mac-1").digest()
        self._name_key = blake2b(secret, person=b"tandem-kv-key-1").digest()
        self._lock = threading.Lock()  # for what is counted
        self._hits = self._host_hits = self._misses = self._refused = self._bytes_read = 0
        self._seconds = 0.0
        self._alarmed_at = -_ALARM_SECONDS
        self._unsaid = 0

    def __repr__(self) -> str:
        return f"<KvBlocks {self._redis!r}, {self._recent!r}, {self._writer!r}>"

    def sizes(self, keys: Sequence[bytes], *, within: float) -> list[int | None]:
        """Return for each key the bytes to be fetched: 0 where they are in this process, None where there are none."""
        found: dict[bytes, int | None] = {key: 0 for key in keys if key in self._recent}
        asked = [key for key in keys if key not in found]
        if asked:
            answers = self._redis.ask([(b"STRLEN", self._name_of(key)) for key in asked], within=within)
            for key, answer in zip(asked, answers, strict=False):
                found[key] = answer if isinstance(answer, int) and _HEAD_BYTES < answer <= self._max_value else None
        return [found.get(key) for key in keys]

    def get(self, keys: Sequence[bytes], *, within: float) -> list[bytes | None]:
        """Return the values in the order of their keys, None for each miss, after `within` seconds at most."""
        began = time.monotonic()
        found = {key: value for key in keys if (value := self._recent.get(key)) is not None}
        at_hand = len(found)
        asked = [key for key in keys if key not in found]
        size = 0
        for key, value in self._fetch(asked, within=within) if asked else ():
            found[key] = value
            size += len(value)
            self._recent.set(key, value)
        if found:
            self._writer.touch([self._name_of(key) for key in keys if key in found])
        with self._lock:
            self._host_hits += at_hand
            self._hits += len(found) - at_hand
            self._misses += len(keys) - len(found)
            self._bytes_read += size
            self._seconds += time.monotonic() - began
        return [found.get(key) for key in keys]

    def put(self, values: Sequence[tuple[bytes, bytes]]) -> None:
        """Take (key, value) pairs, first of a chain first, to be written off the caller's time."""
        for place, (key, value) in enumerate(values):
            if value:  # one of nothing could not be told from none
                self._recent.set(key, value)
                self._writer.put(self._name_of(key), self._sealed(key, value), place=place)

    def gauges(self) -> dict[str, float]:
        """Return what it has done since it was opened, by metric name."""
        writer = self._writer
        return {
            "kv_store_hits_total": self._hits,
            "kv_store_host_hits_total": self._host_hits,
            "kv_store_misses_total": self._misses,
            "kv_store_refused_total": self._refused,
            "kv_store_late_total": self._redis.late,
            "kv_store_away": float(self._redis.is_away),
            "kv_store_read_bytes_total": self._bytes_read,
            "kv_store_read_seconds_total": self._seconds,
            "kv_store_written_total": writer.written,
            "kv_store_written_bytes_total": writer.bytes_written,
            "kv_store_dropped_total": writer.dropped,
            "kv_store_evicted_total": writer.evicted,
            "kv_store_held_bytes": writer.bytes_held,
            "kv_store_host_bytes": self._recent.bytes_held,
        }

    def close(self) -> None:
        """Write what waits, for a second at most, and close."""
        self._writer.close()
        self._redis.close()
        self._recent.clear()

    def _fetch(self, keys: Sequence[bytes], *, within: float) -> Iterator[tuple[bytes, bytes]]:
        """Yield what came in time and is ours."""
        names = [self._name_of(key) for key in keys]
        parts = [(b"MGET", *names[i : i + _TOGETHER]) for i in range(0, len(names), _TOGETHER)]
        values: list[Answer] = []
        for answer in self._redis.ask(parts, within=within):
            if isinstance(answer, list):
                values += answer
            else:  # a refusal: loading, no right to read
                self._redis.fail(answer.text if isinstance(answer, Fault) else "redis answered with no values")
                break
        refused: list[bytes] = []
        for key, name, value in zip(keys, names, values, strict=False):
            if isinstance(value, bytes):
                if (payload := self._opened(key, value)) is not None:
                    yield key, payload
                else:
                    refused.append(name)
        if refused:
            self._refuse(refused)

    def _refuse(self, names: list[bytes]) -> None:
        self._writer.drop(names)
        now = time.monotonic()
        with self._lock:
            self._refused += len(names)
            self._unsaid += len(names)
            if now - self._alarmed_at < _ALARM_SECONDS:
                return
            self._alarmed_at = now
            said, self._unsaid = self._unsaid, 0
        _log.warning("values in redis that this version did not write, removed: %d; see who else writes there", said)

    def _sealed(self, key: bytes, payload: bytes) -> bytes:
        return b"".join((_VERSION, self._mac(key, payload), payload))

    def _opened(self, key: bytes, value: bytes) -> bytes | None:
        payload = value[_HEAD_BYTES:]
        ours = value[: len(_VERSION)] == _VERSION and hmac.compare_digest(
            value[len(_VERSION) : _HEAD_BYTES], self._mac(key, payload)
        )
        return payload if ours and payload else None

    def _mac(self, key: bytes, payload: bytes) -> bytes:
        mac = blake2b(_VERSION, key=self._mac_key, digest_size=_MAC_BYTES)
        mac.update(len(key).to_bytes(8, "little"))
        mac.update(key)
        mac.update(payload)
        return mac.digest()

    def _name_of(self, key: bytes) -> bytes:
        return PREFIX + blake2b(key, key=self._name_key, digest_size=_NAME_BYTES).digest()
