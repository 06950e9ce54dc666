"""A question -> the kept reply to another one that means the same; off unless it is switched on.

A partition is everything of a request but its last user turn, and whose it is: nothing is ever found across two.
Within one, entries are scanned in this process; those of other workers come from Redis, in the background, so that no
request waits for them. Whatever is away or wrong is a miss. Some hits are verified afterwards, by whoever serves them;
what they find can only make this stricter.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from hashlib import blake2b
from typing import Final

from cache.base import KeptReply, Store, StoreAway
from cache.replies import Replies
from cache.semantic.base import Entry, Found, Look, Reader, Reading
from cache.semantic.figures import SemanticStats
from cache.semantic.options import SemanticOptions
from cache.semantic.partitions import Partitions, Place
from cache.semantic.probes import fault_of
from cache.semantic.shared_index import SharedIndex
from cache.semantic.trust import Trust

_READ_EVERY: Final = 1.0  # seconds between looks at what others have added
_AT_ONCE: Final = 8  # entries that are opened before others get their turn: some 100 microseconds
_NAME_BYTES: Final = 16
_KEY_BYTES: Final = 32
_INDEX_ENTRY_BYTES: Final = 512  # more than an entry with 16-bit vectors takes in Redis
_REFUSALS_LOGGED: Final = 60.0  # seconds between log lines of one kind

_log = logging.getLogger(__name__)


class Semantic:
    """Kept replies by what was meant; made by `open_semantic`.

    Args:
        replies: where whole replies lie; its store stays the caller's.
        index: entries that others share; None where nobody does.
        threshold: similarity from which on something is a hit.
    """

    def __init__(
        self,
        reader: Reader,
        replies: Replies,
        index: SharedIndex | None,
        *,
        options: SemanticOptions,
        threshold: float,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._reader, self._replies, self._index = reader, replies, index
        self._verify = options.verify
        self._max_index = options.max_entries * _INDEX_ENTRY_BYTES
        self._partitions = Partitions(
            max_entries=options.max_entries, max_bytes=options.max_bytes, ttl=options.ttl, clock=clock
        )
        self._trust = Trust(threshold=threshold, tolerated=options.disagreements)
        self._clock, self._chance = clock, chance
        self._readings: set[asyncio.Task[None]] = set()
        self._refused_at = float("-inf")
        self._hits = self._misses = self._unread = self._gone = self._skipped = self._untold = 0
        self.off = ""

    async def check(self) -> str:
        """Try the reader on sentences whose meaning is known; switch off and say why where it fails."""
        fault = await fault_of(self._reader, threshold=self._trust.threshold)
        if fault:
            self._switch_off(f"{self._reader.source} cannot be used: {fault}")
        return fault

    async def look(self, partition: bytes, text: str) -> Look | None:
        """Return what was found and what is needed to keep the reply; None where the text is not to be looked up.

        Never raises, cancellation aside.

        Args:
            partition: 32 bytes; equal only where everything is but the text.
        """
        if self.off:
            self._skipped += 1
            return None
        reading = await self._reader.read(text)
        if reading is None:
            self._unread += 1
            return None
        place = self._partitions.at(partition)
        self._begin_reading(partition, place)
        nearest = place.index.nearest(reading, self._reader.similarity, least=self._trust.threshold)
        if nearest is None:
            self._misses += 1
            return Look(partition, reading, None)
        similarity, entry = nearest
        reply = await self._replies.get(_reply_key(partition, entry.name))
        if reply is None:
            self._gone += 1
            place.index.forget(entry.name)
            return Look(partition, reading, None)
        self._hits += 1
        return Look(partition, reading, Found(reply, min(similarity, 1.0), entry.name))

    def keep(self, look: Look, reply: KeptReply) -> None:
        """Hand over the reply to what was looked up; returns at once, never raises."""
        if self.off:
            return
        entry = _entry_of(look.reading)
        self._replies.put(_reply_key(look.partition, entry.name), reply)
        place = self._partitions.at(look.partition)
        is_new = entry.name not in place.index
        place.index.add(entry)
        self._partitions.trim(look.partition)
        if is_new and self._index is not None:
            self._index.append(look.partition, entry)

    def draws(self) -> bool:
        """Tell by chance alone whether a hit is to be verified."""
        return self._chance() < self._verify

    def verified(self, look: Look, *, agreed: bool | None) -> None:
        """Take note of what a backend said to a text that was answered by a hit; None where that cannot be told."""
        found = look.found
        if agreed is None or found is None:
            self._untold += 1
            return
        index = self._partitions.at(look.partition).index
        index.least = max(index.least, self._trust.note(found.similarity, agreed=agreed))
        if not agreed:
            index.forget(found.name)
        if self._trust.is_lost and not self.off:
            stats = self._trust
            self._switch_off(f"of {stats.agreed + stats.disagreed} verified hits {stats.disagreed} were wrong")

    def stats(self) -> SemanticStats:
        """Return the figures as they are now."""
        trust, partitions = self._trust, self._partitions
        return SemanticStats(
            hits=self._hits,
            misses=self._misses,
            unread=self._unread,
            gone=self._gone,
            switched_off=self._skipped,
            refused=0 if self._index is None else self._index.refused,
            agreed=trust.agreed,
            disagreed=trust.disagreed,
            untold=self._untold,
            entries=partitions.entries,
            partitions=len(partitions),
            bytes=partitions.bytes_held,
            threshold=trust.threshold,
            evidence=trust.evidence,
            is_off=bool(self.off),
        )

    async def aclose(self) -> None:
        """End what runs in the background."""
        for task in self._readings:
            task.cancel()
        await asyncio.gather(*self._readings, return_exceptions=True)

    def _switch_off(self, why: str) -> None:
        self.off = why
        _log.warning("the semantic cache switched itself off: %s", why)

    def _begin_reading(self, partition: bytes, place: Place) -> None:
        """See what others have added, where the last look is long ago; nobody waits for it."""
        if self._index is None or place.is_reading or self._clock() - place.read_at < _READ_EVERY:
            return
        place.is_reading = True
        task = asyncio.create_task(self._read(self._index, partition, place), name="semantic index")
        self._readings.add(task)
        task.add_done_callback(self._readings.discard)

    async def _read(self, index: SharedIndex, partition: bytes, place: Place) -> None:
        refused = index.refused
        try:
            while True:
                part = await index.read(partition, generation=place.generation, offset=place.offset)
                for count, entry in enumerate(index.opened(partition, part.data)):
                    if entry.name not in place.index:
                        place.index.add(entry)
                    if count % _AT_ONCE == _AT_ONCE - 1:
                        await asyncio.sleep(0)
                place.generation, place.offset = part.generation, part.offset
                if part.is_all:
                    break
        except StoreAway:
            pass  # a miss; the store counts it
        finally:
            place.is_reading, place.read_at = False, self._clock()
        self._partitions.trim(partition)
        if place.offset > self._max_index:
            index.rewrite(partition, place.index.entries())
        if index.refused > refused and self._clock() - self._refused_at > _REFUSALS_LOGGED:
            self._refused_at = self._clock()
            _log.warning("entries of the semantic cache that we did not write: see who else writes to this redis")


def open_semantic(
    options: SemanticOptions,
    store: Store,
    reader: Reader,
    *,
    secret: bytes,
    threshold: float,
    max_reply_bytes: int,
    index: SharedIndex | None = None,
) -> Semantic:
    """Return a semantic cache whose replies lie in a store; `check` it, and close it before the store.

    Args:
        secret: for all who share the store.
        threshold: similarity from which on something is a hit.
        index: of entries in the same Redis; None where the store is not shared.
    """
    own = blake2b(secret, person=b"tandem-sem-1").digest()
    replies = Replies(store, own, ttl=options.ttl, max_bytes=max_reply_bytes)
    return Semantic(reader, replies, index, options=options, threshold=threshold)


def _entry_of(reading: Reading) -> Entry:
    told = b"".join((reading.facts, len(reading.words).to_bytes(4, "little"), reading.words, reading.vector.tobytes()))
    return Entry(blake2b(told, digest_size=_NAME_BYTES).digest(), reading.facts, reading.vector, reading.words)


def _reply_key(partition: bytes, name: bytes) -> bytes:
    return blake2b(name, key=partition[:64], digest_size=_KEY_BYTES, person=b"tandem-sem-key-1").digest()
