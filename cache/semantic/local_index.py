"""Entries of one partition, in this process: those nearest to a reading, found by an exact scan.

Only entries with the same facts are scanned, which are few. Forgets what was not found for longest.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import numpy as np

from cache.semantic.base import Entry, Reading, Vector

_COMPARED: Final = 8  # nearest entries of which the exact similarity is worked out
_FIRST_ROOM: Final = 4
_ENTRY_BYTES: Final = 640
"""What an entry takes beside its vector and its words: the struct, the array's head, three byte strings, two places in
dictionaries; rounded up from sys.getsizeof."""


class LocalIndex:
    """One partition.

    Args:
        max_entries: above it the one that was not found for longest is forgotten.

    Attributes:
        least: similarity from which on an entry is a hit here; 0.0 where nothing but the common threshold counts.
        bytes_held: of its entries.
    """

    def __init__(self, max_entries: int) -> None:
        self.least = 0.0
        self.bytes_held = 0
        self._max_entries = max_entries
        self._entries: OrderedDict[bytes, Entry] = OrderedDict()
        self._rows: dict[bytes, _Rows] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: bytes) -> bool:
        return name in self._entries

    def entries(self) -> list[Entry]:
        """Return all entries, the one that was found last at the end."""
        return list(self._entries.values())

    def add(self, entry: Entry) -> None:
        """Take an entry; one of the same name stays as it is."""
        if entry.name in self._entries:
            self._entries.move_to_end(entry.name)
            return
        rows = self._rows.get(entry.facts)
        if rows is None or rows.width != len(entry.vector):
            rows = self._rows[entry.facts] = _Rows(len(entry.vector))
        rows.add(entry)
        self._entries[entry.name] = entry
        self.bytes_held += _size(entry)
        while len(self._entries) > self._max_entries:
            self.forget(next(iter(self._entries)))

    def forget(self, name: bytes) -> None:
        """Drop an entry, where there is one."""
        entry = self._entries.pop(name, None)
        if entry is None:
            return
        self.bytes_held -= _size(entry)
        rows = self._rows[entry.facts]
        rows.remove(entry)
        if not rows.entries:
            del self._rows[entry.facts]

    def nearest(
        self, reading: Reading, similarity: Callable[[Reading, Reading], float], *, least: float
    ) -> tuple[float, Entry] | None:
        """Return the most similar entry, at `least` or above, and how similar it is; None where there is none."""
        rows = self._rows.get(reading.facts)
        if rows is None or rows.width != len(reading.vector):
            return None
        least = max(least, self.least)
        best: tuple[float, Entry] | None = None
        for entry in rows.near(reading.vector, least):
            found = similarity(reading, entry)
            if found >= least and (best is None or found > best[0]):
                best = found, entry
        if best is not None:
            self._entries.move_to_end(best[1].name)
        return best


class _Rows:
    """Vectors of entries with the same facts, side by side in one array that grows by doubling."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.entries: list[Entry] = []
        self._places: dict[bytes, int] = {}
        self._vectors = np.empty((_FIRST_ROOM, width), np.float32)

    def add(self, entry: Entry) -> None:
        count = len(self.entries)
        if count == len(self._vectors):
            self._vectors = np.concatenate((self._vectors, np.empty_like(self._vectors)))
        self._vectors[count] = entry.vector
        self._places[entry.name] = count
        self.entries.append(entry)

    def remove(self, entry: Entry) -> None:
        """Drop an entry; the last one takes its place."""
        place = self._places.pop(entry.name)
        last = self.entries.pop()
        if last is not entry:
            self.entries[place] = last
            self._places[last.name] = place
            self._vectors[place] = self._vectors[len(self.entries)]

    def near(self, vector: Vector, least: float) -> list[Entry]:
        """Return the entries with the highest cosines, those at `least` or above."""
        cosines = self._vectors[: len(self.entries)] @ vector
        if len(cosines) > _COMPARED:
            places = np.argpartition(cosines, -_COMPARED)[-_COMPARED:]
        else:
            places = np.arange(len(cosines))
        return [self.entries[place] for place in places if cosines[place] >= least - _ROUNDING]


_ROUNDING: Final = 1e-4  # vectors were stored with 11 bits


def _size(entry: Entry) -> int:
    return _ENTRY_BYTES + 2 * entry.vector.nbytes + len(entry.words)
