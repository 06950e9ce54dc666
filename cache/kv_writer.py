"""Values, uses and removals handed over -> Redis, by a thread of its own.

Holds what waits in bounded memory: what does not fit is dropped, and counted. The thread also finds out whether a
server that was away is back.
"""

import threading
from collections import deque
from itertools import zip_longest
from typing import Final, NamedTuple

from cache.guarded_redis import GuardedRedis
from cache.kv_index import LOADING, drop, keep, touch

_BATCH_BYTES: Final = 4 << 20  # of one write, so that a reader waits for a few milliseconds of it at most
_BATCH_SECONDS: Final = 2.0
_NAMES: Final = 10_000  # uses that wait to be noted; one that is not noted costs a little fairness of eviction
_CLOSE_SECONDS: Final = 1.0


class _Job(NamedTuple):
    command: tuple[bytes, ...]
    value_bytes: int = 0  # of the value that it keeps, which is never empty


class KvWriter:
    """What waits to be written; thread-safe.

    Args:
        ttl: seconds that a value is kept after its last use.
        cap: bytes of all values in Redis.
        max_waiting: bytes of values that may wait.

    Attributes:
        written, evicted, dropped: values.
        bytes_written: of values.
        bytes_held: in Redis, of all who write there, when it last said so.
    """

    def __init__(self, redis: GuardedRedis, *, ttl: float, cap: int, max_waiting: int) -> None:
        self.written = self.bytes_written = self.bytes_held = self.evicted = self.dropped = 0
        self._redis = redis
        self._ttl = ttl
        self._cap = cap
        self._max_waiting = max_waiting
        self._values: deque[tuple[bytes, bytes, int]] = deque()
        self._waiting = 0
        self._used: dict[bytes, None] = {}
        self._unwanted: dict[bytes, None] = {}
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="prefix kv writer", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"<KvWriter {len(self._values)} values, {self._waiting} bytes waiting>"

    def put(self, name: bytes, value: bytes, *, place: int) -> None:
        """Take a value, or drop it where it does not fit."""
        with self._changed:
            if self._closing or len(value) > self._cap or self._waiting + len(value) > self._max_waiting:
                self.dropped += 1
                return
            self._values.append((name, value, place))
            self._waiting += len(value)
            self._changed.notify()

    def touch(self, names: list[bytes]) -> None:
        """Take note that these were used."""
        with self._changed:
            if len(self._used) < _NAMES:
                self._used.update(dict.fromkeys(names))
                self._changed.notify()

    def drop(self, names: list[bytes]) -> None:
        """Remove these."""
        with self._changed:
            if len(self._unwanted) < _NAMES:
                self._unwanted.update(dict.fromkeys(names))
                self._changed.notify()

    def close(self) -> None:
        """Write what waits, for a second at most, and end."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(_CLOSE_SECONDS)

    def _run(self) -> None:
        wait = self._redis.mend()
        while True:
            with self._changed:
                if not self._closing and not self._can_work():
                    self._changed.wait(wait)
                if self._closing and not self._can_work():
                    self.dropped += len(self._values)
                    return
                jobs = self._take() if self._can_work() else []
            if jobs:
                self._write(jobs)
            wait = self._redis.mend()

    def _can_work(self) -> bool:
        return bool(self._values or self._used or self._unwanted) and not self._redis.is_away

    def _take(self) -> list[_Job]:
        jobs: list[_Job] = []
        # What is unwanted goes first: a value of the same name was put after the bad one had been seen.
        if self._unwanted:
            jobs.append(_Job(drop(list(self._unwanted))))
        size = 0
        while self._values and (not size or size + len(self._values[0][1]) <= _BATCH_BYTES):
            name, value, place = self._values.popleft()
            jobs.append(_Job(keep(name, value, ttl=self._ttl, cap=self._cap, place=place), len(value)))
            size += len(value)
        self._waiting -= size
        if self._used:
            jobs.append(_Job(touch(list(self._used), ttl=self._ttl)))
        self._used, self._unwanted = {}, {}
        return jobs

    def _write(self, jobs: list[_Job]) -> None:
        commands = [*LOADING, *(job.command for job in jobs)]
        answers = self._redis.ask(commands, within=_BATCH_SECONDS)[len(LOADING) :]
        for job, answer in zip_longest(jobs, answers):
            match answer:
                case [int(evicted), int(held)]:
                    self.evicted += evicted
                    self.bytes_held = held
                    self.bytes_written += job.value_bytes
                    self.written += bool(job.value_bytes)
                case _:  # a server that is full, or may only be read, still reads: its refusals open no circuit
                    self.dropped += bool(job.value_bytes)
