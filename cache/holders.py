"""Which replica of a model holds the KV of which beginning of a conversation.

Learned from what answers report; a replica is taken to hold what it has answered for a while. In memory, bounded in
bytes, forgetting what was not used for longest. A beginning that several replicas hold, or that many conversations
went on from, is nobody's in particular: so a system prompt that all share draws them to no replica.

Engines evict in silence. Each beginning therefore has a recall, the part of it that was still cached when it was asked
for again, which every report corrects, and by which it counts for less.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from cache.base import NOTHING_HELD, Holding, PrefixKeys

TTL: Final = 600.0
"""Seconds after its last use for which a beginning is taken to be held."""

ENTRY_BYTES: Final = 384
"""What one beginning takes, its key and its place among the others included; tests measure that it is not more."""

SHARED_FROM: Final = 8
"""Requests that went on from one beginning, after which each replica may as well hold it: a conversation goes on from
a turn once, or a few times where its answer is asked for again."""

PROVEN: Final = 4
"""Reports on what was expected, after which tokens are taken to be billed as cached."""

_LEAST_EXPECTED: Final = 64  # tokens; engines cache whole blocks, so that a short beginning proves nothing
_FAR_BELOW: Final = 0.5
_NEWEST: Final = 1 / 16  # weight of the newest report in the recall of the whole model
_FORGOTTEN_AT_ONCE: Final = 16  # entries for each that is learned; more come in never


class _Entry(Struct, gc=False):
    """One beginning.

    Attributes:
        salt: of whose conversation it is; whatever the names, nobody else ever finds it.
        replica: who holds it; "" for anybody.
        tokens: that it takes.
        recall: the part of them that is likely cached still, 0.0 to 1.0.
        expires: on the clock.
        uses: requests that went on from here.
    """

    salt: str
    replica: str
    tokens: int
    recall: float
    expires: float
    uses: int = 0


class HolderStats(Struct, frozen=True):
    """What is held now, and what was counted since the start.

    Attributes:
        held: beginnings.
        bytes: that they take.
        hits: answers of a replica that was taken to hold a beginning of the prompt.
        moved: answers of another replica than the one that was taken to hold it.
        misses: answers to prompts of which nothing was known.
        matched_tokens: of prompts, that were expected to be cached in hits.
        corrected: hits in which far less was cached than expected.
        evicted: beginnings that were forgotten for lack of room.
    """

    held: int
    bytes: int
    hits: int
    moved: int
    misses: int
    matched_tokens: int
    corrected: int
    evicted: int


class Holders:
    """What is known of one model's replicas; touched by the loop alone.

    Args:
        max_bytes: for all that is held.
        ttl: seconds.
        clock: seconds, never going back.
    """

    def __init__(self, max_bytes: int, *, ttl: float = TTL, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = max(max_bytes // ENTRY_BYTES, 1)
        self._ttl, self._clock = ttl, clock
        self._held: OrderedDict[int, _Entry] = OrderedDict()
        self._recall, self._reports = 1.0, 0
        self._hits = self._moved = self._misses = self._matched = self._corrected = self._evicted = 0

    def __repr__(self) -> str:
        return f"<Holders {len(self._held)} of {self._most}>"

    def holder(self, keys: PrefixKeys) -> Holding:
        """Return what is known of the longest beginning that is held; changes nothing."""
        held, now = self._held, self._clock()
        names, salt = keys.names, keys.salt
        for at in range(len(names) - 1, -1, -1):
            entry = held.get(names[at])
            if entry is not None and entry.expires > now and entry.salt == salt:
                part = (keys.sizes[-1] or 1) / (keys.sizes[at] or 1)  # pictures alone have no characters
                return Holding(
                    depth=at + 1,
                    replica=entry.replica,
                    share=min(entry.recall / part, 1.0),
                    tokens=int(entry.tokens * entry.recall) if self._reports >= PROVEN else 0,
                    prompt_tokens=int(entry.tokens * part),
                )
        return NOTHING_HELD

    def learn(
        self, keys: PrefixKeys, held: Holding, replica: str, *, prompt_tokens: int, cached_tokens: int | None
    ) -> None:
        """Take what an answer reports.

        Args:
            held: what was known when the request was sent.
            replica: who answered.
            prompt_tokens: of the whole prompt, cached ones included.
            cached_tokens: of those; None where the replica does not say.
        """
        now, table, depth, salt = self._clock(), self._held, held.depth, keys.salt
        recall = self._recall
        if depth == 0:
            self._misses += 1
        elif held.replica in ("", replica):
            recall = self._compared(table.get(keys.names[depth - 1]), cached_tokens, salt=salt)
        else:
            self._moved += 1
        expires, whole = now + self._ttl, keys.sizes[-1] or 1
        for at in range(max(depth - 1, 0), len(keys.names)):  # what is shorter than the longest stays as it is
            name = keys.names[at]
            entry = table.get(name)
            if entry is None or entry.expires <= now or entry.salt != salt:
                tokens = prompt_tokens * keys.sizes[at] // whole
                table[name] = entry = _Entry(salt, replica, tokens, recall, expires)
            elif entry.replica != replica or entry.uses >= SHARED_FROM:
                entry.replica = ""
            entry.expires = expires
            table.move_to_end(name)
        table[keys.names[-1]].tokens = prompt_tokens  # of the whole it is told, and not estimated
        self._forget(now)

    def stats(self) -> HolderStats:
        """Return the counters as they are now."""
        return HolderStats(
            held=len(self._held),
            bytes=len(self._held) * ENTRY_BYTES,
            hits=self._hits,
            moved=self._moved,
            misses=self._misses,
            matched_tokens=self._matched,
            corrected=self._corrected,
            evicted=self._evicted,
        )

    def _compared(self, entry: _Entry | None, cached_tokens: int | None, *, salt: str) -> float:
        """Correct the recall of what was expected to be cached, and return it."""
        self._hits += 1
        if entry is None or entry.salt != salt:  # it had to make room meanwhile
            return self._recall
        self._matched += entry.tokens
        entry.uses += 1
        if cached_tokens is not None and entry.tokens >= _LEAST_EXPECTED:
            found = min(cached_tokens / entry.tokens, 1.0)
            entry.recall += (found - entry.recall) / 2
            self._reports += 1
            self._recall += (found - self._recall) * _NEWEST
            self._corrected += found < _FAR_BELOW
        return entry.recall

    def _forget(self, now: float) -> None:
        """Forget what is too much and, a few at a time, what is too old; what was used last stands last."""
        held = self._held
        while len(held) > self._most:
            held.popitem(last=False)
            self._evicted += 1
        for _ in range(_FORGOTTEN_AT_ONCE):
            if not held or next(iter(held.values())).expires > now:
                break
            held.popitem(last=False)
