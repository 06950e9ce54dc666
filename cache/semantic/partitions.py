"""Entries of all partitions, in this process, bounded in bytes and by time.

Forgets the partition that was not used for longest.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from cache.semantic.local_index import LocalIndex

_PARTITION_BYTES: Final = 2_048  # of a partition without entries


class Place:
    """One partition and how far its shared entries were read.

    Attributes:
        index: its entries.
        generation, offset: of what was read last.
        read_at: when; in seconds of the same clock as all.
        is_reading: somebody does now.
    """

    __slots__ = ("generation", "index", "is_reading", "offset", "read_at")

    def __init__(self, index: LocalIndex) -> None:
        self.index = index
        self.generation = b""
        self.offset = 0
        self.read_at = float("-inf")
        self.is_reading = False


class Partitions:
    """All partitions of this process.

    Args:
        max_entries: of one partition.
        max_bytes: of all together.
        clock: seconds, never going back.
        ttl: seconds after which a partition that nobody used is forgotten: its replies are gone as well.
    """

    def __init__(self, *, max_entries: int, max_bytes: int, ttl: float, clock: Callable[[], float]) -> None:
        self._max_entries, self._max_bytes, self._ttl = max_entries, max_bytes, ttl
        self._clock = clock
        self._places: OrderedDict[bytes, Place] = OrderedDict()
        self._used: dict[bytes, float] = {}

    def __len__(self) -> int:
        return len(self._places)

    @property
    def entries(self) -> int:
        """Return how many entries there are."""
        return sum(len(place.index) for place in self._places.values())

    @property
    def bytes_held(self) -> int:
        """Return what they take."""
        return sum(place.index.bytes_held + _PARTITION_BYTES for place in self._places.values())

    def at(self, partition: bytes) -> Place:
        """Return a partition, an empty one where there is none."""
        now = self._clock()
        place = self._places.get(partition)
        if place is None:
            place = self._places[partition] = Place(LocalIndex(self._max_entries))
        self._places.move_to_end(partition)
        self._used[partition] = now
        while (oldest := next(iter(self._places))) != partition and now - self._used[oldest] > self._ttl:
            self._forget(oldest)
        return place

    def trim(self, partition: bytes) -> None:
        """Forget others, least used first, then this partition's own entries, until all fit."""
        excess = self.bytes_held - self._max_bytes
        while excess > 0:
            oldest = next(iter(self._places))
            index = self._places[oldest].index
            if oldest != partition:
                excess -= index.bytes_held + _PARTITION_BYTES
                self._forget(oldest)
            elif len(index) > 1:
                before = index.bytes_held
                index.forget(index.entries()[0].name)
                excess -= before - index.bytes_held
            else:
                return

    def _forget(self, partition: bytes) -> None:
        del self._places[partition], self._used[partition]
