"""Who asks, and what -> the slot that computes it, and whether what stands there may be used.

llama.cpp's slots keep the KV of the last prompt and would give its prefix to whoever comes next. Here each slot
belongs to the owner of what it holds: one salt and one adapter. Only that owner's next prompt may build on it. No I/O
happens here, and the clock is the order of events.
"""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Final

Owner = tuple[str, str]
"""A salt and the name of an adapter."""

LEAST_SHARED: Final = 0.1
"""Share of a prompt that a slot must hold for the prompt to be put there rather than where it displaces least."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A slot of one's own until it is given back.

    Attributes:
        slot: its number.
        is_own: what it holds belongs to the same owner, and may be built on.
        shared: share of the prompt that it holds already, 0.0 to 1.0, as far as bytes tell.
        adapter: that the slot last computed with; None where it never did.
    """

    slot: int
    is_own: bool
    shared: float
    adapter: str | None


@dataclass(slots=True)
class _Slot:
    number: int
    owner: Owner | None = None  # None: nobody may build on what it holds
    adapter: str | None = None
    prompt: bytes = b""
    used: int = 0  # when, in the order of leases
    is_free: bool = True


@dataclass(frozen=True, slots=True)
class _Waiter:
    owner: Owner
    prompt: bytes
    found: asyncio.Future[Lease]


class Slots:
    """All slots of one engine."""

    def __init__(self, count: int) -> None:
        self._slots = tuple(_Slot(number) for number in range(count))
        self._waiters: deque[_Waiter] = deque()
        self._leases = 0

    def __repr__(self) -> str:
        return f"<Slots {self.running} of {len(self._slots)} taken, {self.waiting} waiting>"

    @property
    def running(self) -> int:
        """Return how many are taken."""
        return sum(not slot.is_free for slot in self._slots)

    @property
    def waiting(self) -> int:
        """Return how many wait for one."""
        return len(self._waiters)

    async def lease(self, owner: Owner, prompt: bytes) -> Lease:
        """Return a slot; who came first gets the next that is free.

        Args:
            prompt: its bytes, compared with those that the slots hold.
        """
        if not self._waiters and any(slot.is_free for slot in self._slots):
            return self._take(owner, prompt)
        waiter = _Waiter(owner, prompt, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        try:
            return await waiter.found
        except asyncio.CancelledError:
            if waiter.found.done() and not waiter.found.cancelled():
                self.give_back(waiter.found.result(), prompt=b"", owner=None)
            else:
                self._waiters.remove(waiter)
            raise

    def give_back(self, lease: Lease, *, prompt: bytes, owner: Owner | None) -> None:
        """Free a slot.

        Args:
            prompt: what it holds now.
            owner: whose that is; None where it is not certain, and nobody may build on it.
        """
        slot = self._slots[lease.slot]
        slot.owner, slot.prompt = owner, prompt if owner is not None else b""
        slot.adapter = owner[1] if owner is not None else None
        slot.is_free = True
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.found.done():
                waiter.found.set_result(self._take(waiter.owner, waiter.prompt))
                return

    def _take(self, owner: Owner, prompt: bytes) -> Lease:
        free = [slot for slot in self._slots if slot.is_free]
        shares = {
            slot.number: _shared(slot.prompt, prompt) / len(prompt) for slot in free if slot.owner == owner and prompt
        }
        slot = max(free, key=lambda slot: shares.get(slot.number, 0.0))
        if shares.get(slot.number, 0.0) < LEAST_SHARED:
            slot = min(free, key=lambda slot: (slot.owner is not None, slot.used))
        self._leases += 1
        slot.used, slot.is_free = self._leases, False
        return Lease(
            slot=slot.number,
            is_own=slot.owner == owner,
            shared=shares.get(slot.number, 0.0),
            adapter=slot.adapter,
        )


def _shared(ours: bytes, theirs: bytes) -> int:
    """Return the length of the common prefix, by halving: each step is one comparison of memory."""
    low, high = 0, min(len(ours), len(theirs))
    while low < high:
        middle = (low + high + 1) // 2
        if ours[low:middle] == theirs[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
