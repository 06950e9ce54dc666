"""Who waits, for whom and how urgently -> who is next, and who goes where there is no place for all.

The most urgent go first; among those as urgent, tenants take turns, each for as many as its weight. Pure: what waits is
not looked at.

Source of the turns: Katevenis et al. 1991, "Weighted round-robin cell multiplexing in a general-purpose ATM switch
chip"; who goes is found as in McKenney 1990, "Stochastic fairness queueing": the end of the longest line.
"""

from collections import deque
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Item = TypeVar("Item", bound=Hashable)


@dataclass(slots=True)
class _Line(Generic[Item]):
    weight: int
    turns: int
    items: deque[Item] = field(default_factory=deque)


class FairQueue(Generic[Item]):
    """Lines of tenants, by priority.

    Args:
        weights: turns of a tenant in each round; one that is not named has one.
    """

    def __init__(self, weights: Mapping[str, int] | None = None) -> None:
        self._weights = weights or {}
        self._levels: dict[int, dict[str, _Line[Item]]] = {}  # a tenant whose turn it is stands first
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Item]:
        for lines in self._levels.values():
            for line in lines.values():
                yield from line.items

    def push(self, item: Item, *, tenant: str, priority: int) -> None:
        """Let an item wait at the end of its tenant's line."""
        lines = self._levels.setdefault(priority, {})
        line = lines.get(tenant)
        if line is None:
            weight = self._weights.get(tenant, 1)
            line = lines[tenant] = _Line(weight, weight)
        line.items.append(item)
        self._length += 1

    def pop(self) -> Item:
        """Take out who is next; there must be one."""
        priority = max(self._levels)
        lines = self._levels[priority]
        tenant, line = next(iter(lines.items()))
        item = line.items.popleft()
        self._length -= 1
        line.turns -= 1
        if not line.items:
            self._forget(tenant, priority)
        elif not line.turns:
            line.turns = line.weight
            lines[tenant] = lines.pop(tenant)
        return item

    def discard(self, item: Item, *, tenant: str, priority: int) -> bool:
        """Take out an item that waits no longer; tells whether it was there."""
        line = self._levels.get(priority, {}).get(tenant)
        if line is None or item not in line.items:
            return False
        line.items.remove(item)
        self._length -= 1
        if not line.items:
            self._forget(tenant, priority)
        return True

    def displaced_by(self, *, tenant: str, priority: int) -> Item | None:
        """Take out who has to go so that a newcomer can wait; None where that is the newcomer.

        It is the last of the least urgent, and among these of the tenant with the most for its weight.
        """
        if not self._levels or min(self._levels) > priority:
            return None
        lowest = min(self._levels)
        lines = self._levels[lowest]
        longest = max(lines, key=lambda name: len(lines[name].items) / lines[name].weight)
        line = lines[longest]
        if lowest == priority:
            own = lines.get(tenant)
            waiting = 1 if own is None else len(own.items) + 1
            if waiting / self._weights.get(tenant, 1) >= len(line.items) / line.weight:
                return None
        item = line.items.pop()
        self._length -= 1
        if not line.items:
            self._forget(longest, lowest)
        return item

    def _forget(self, tenant: str, priority: int) -> None:
        lines = self._levels[priority]
        del lines[tenant]
        if not lines:
            del self._levels[priority]
