"""Events of streams -> whole bodies, for the cache and for those who look at replies, while there is room for them.

A body that is too long is let go, and so is one that grows while all of them together fill the room: what is gathered
is for later, and must not cost the memory that open streams need. What the events of a stream share is held once, so
that there is room for thousands. Touched by the loop alone.
"""

from typing import Final

from msgspec import Struct, field

from backends.folding import Folded

LONGEST: Final = 1 << 20  # bytes of one body
TO_KEEP: Final = 4 << 20  # bytes, folded, of all bodies that are gathered at once, for the cache or a comparison
TO_LOOK_AT: Final = 1 << 20  # bytes of those that nobody but the looks at replies wants: some of them are enough
_STEP: Final = 1024  # bytes that room is taken for at once: a stream has many events, and each of them is short


class Room(Struct):
    """What is left for bodies, in bytes; below zero, whoever asks for more lets go of all it has."""

    left: int


class Rooms(Struct, frozen=True):
    """The rooms of a process."""

    to_keep: Room = field(default_factory=lambda: Room(TO_KEEP))
    to_look_at: Room = field(default_factory=lambda: Room(TO_LOOK_AT))


class Gathered:
    """The events of one stream; whoever made it closes it.

    Attributes:
        length: bytes that came, gathered or not.
    """

    __slots__ = ("_folded", "_held", "_room", "length")

    def __init__(self, room: Room, *, wanted: bool) -> None:
        self._room, self._held, self.length = room, 0, 0
        self._folded = Folded() if wanted else None

    def add(self, data: bytes) -> None:
        """Take some events."""
        self.length += len(data)
        folded = self._folded
        if folded is not None:
            folded.add(data)
            if folded.size > self._held or self.length > LONGEST:
                self._hold(folded.size)

    def _hold(self, size: int) -> None:
        """Take room for what has come; let go of all where there is none."""
        more = size - self._held + _STEP
        self._held += more
        self._room.left -= more
        if self.length > LONGEST or self._room.left < 0:
            self.close()

    def body(self) -> bytes | None:
        """Return all of them; None where they were let go, or are not wanted."""
        return None if self._folded is None else self._folded.body()

    def close(self) -> None:
        """Let go of what was gathered."""
        self._folded = None
        self._room.left += self._held
        self._held = 0
