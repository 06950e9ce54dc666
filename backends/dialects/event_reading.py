"""Bytes of an event stream, split anywhere -> its events.

Knows names and data of events, not what they mean.

Source: WHATWG HTML, section 9.2 "Server-sent events".
"""

import re
from typing import Final, NamedTuple

from backends.dialects.base import DialectError

MAX_EVENT: Final = 1024 * 1024
"""Bytes of one event."""

# A CR counts only once the next byte shows that it is not half of a CRLF.
_BLANK_LINE: Final = re.compile(rb"(?:\r\n|\n|\r(?=[^\n]))(?:\r\n|\n|\r(?=[^\n]))")
_LONGEST_BLANK_LINE: Final = 4
_LINE_END: Final = re.compile(rb"\r\n|\n|\r")


class Event(NamedTuple):
    """One event.

    Attributes:
        name: b"" where it has none.
        data: b"" where it has none, as a comment.
    """

    name: bytes
    data: bytes


class EventReader:
    """Reads one stream."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, piece: bytes) -> list[Event]:
        """Return the events that have become whole.

        Raises:
            DialectError: one is longer than `MAX_EVENT`.
        """
        held = self._held
        searched = max(0, len(held) - _LONGEST_BLANK_LINE + 1)
        held += piece
        ends = [match.end() for match in _BLANK_LINE.finditer(held, searched)]
        if not ends:
            _check_size(len(held))
            return []
        whole = bytes(held[: ends[-1]])
        del held[: ends[-1]]
        _check_size(len(held))
        starts = [0, *ends]
        return [event for start, end in zip(starts, ends, strict=False) if (event := _event(whole[start:end]))]

    def finish(self) -> list[Event]:
        """Return what was held back: at the end of a stream an event counts without its blank line."""
        rest = bytes(self._held)
        self._held.clear()
        event = _event(rest) if rest else None
        return [event] if event else []


def _event(whole: bytes) -> Event | None:
    """Return an event; None for mere blank lines."""
    _check_size(len(whole))
    if whole.startswith(b"data: ") and whole.find(b"\n") == len(whole) - 2 and whole.find(b"\r") < 0:
        return Event(b"", whole[6:-2])
    lines = [line for line in _LINE_END.split(whole) if line]
    names = [line[6:].strip() for line in lines if line.startswith(b"event:")]
    data = [line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:")]
    return Event(names[-1] if names else b"", b"\n".join(data)) if lines else None


def _check_size(size: int) -> None:
    if size > MAX_EVENT:
        raise DialectError(f"one event is longer than {MAX_EVENT} bytes")
