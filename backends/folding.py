"""Events of one stream -> the few bytes in which they differ, and back to all of them.

The events of a stream stand in one frame: id, model and time, and a few letters of text within. So the frame is held
once, and of each event its text alone, which takes a tenth. What stands in no frame is held as it came. Knows nothing
of what events say.
"""

from typing import Final

_LEAST: Final = 32  # bytes of a frame that is worth one
_BLANK: Final = 2  # bytes, the line ends that an event has at its end at least
_MOST_STRAYS: Final = 16  # events that may stand in no frame, or in another one, until all are held as they come
_OBJECT: Final = 48  # bytes that it costs to hold some


class Folded:
    """The events of one stream; touched by the loop alone.

    Attributes:
        size: bytes that they take here.
    """

    __slots__ = ("_before", "_begin", "_end", "_less", "_start", "_strays", "_texts", "size")

    def __init__(self) -> None:
        self._before: list[bytes | tuple[bytes, bytes, bytes]] = []
        self._start = self._end = b""
        self._begin = self._less = 0  # their lengths
        self._texts = bytearray()  # of the events that stand in the present frame, each with a line end
        self._strays = self.size = 0

    def add(self, events: bytes) -> None:
        """Take some whole events, or what is left of one at the end."""
        begin, stop = self._begin, len(events) - self._less
        if (
            0 < begin <= stop
            and events.startswith(self._start)
            and events.endswith(self._end)
            and events.find(b"\n", begin, stop) < 0
        ):
            self._texts += events[begin:stop] + b"\n"
            self.size += stop - begin + 1
        else:
            self._add_others(events)

    def body(self) -> bytes:
        """Return all of them, as they came."""
        self._close_frame()
        return b"".join([each if isinstance(each, bytes) else _unfolded(*each) for each in self._before])

    def _add_others(self, events: bytes) -> None:
        """Take several events, or one that does not stand in the present frame."""
        at = 0
        while self._strays < _MOST_STRAYS and 0 <= (blank := events.find(b"\n\n", at)) < len(events) - _BLANK:
            self.add(events[at : blank + _BLANK])
            at = blank + _BLANK
        if at:
            self.add(events[at:])
        elif self._strays >= _MOST_STRAYS:
            self._hold(events)
        else:
            self._strays += 1
            self._learn(events)

    def _learn(self, event: bytes) -> None:
        frame = _shared(self._start, self._end, event)
        if frame is not None:
            self._close_frame()
            first = self._before.pop() if self._start is self._end else None
            self._frame(*frame)
            self.size += sum(map(len, frame)) + _OBJECT
            if isinstance(first, bytes):  # it was held whole until now
                self.size -= len(first) + _OBJECT
                self.add(first)
            self.add(event)
            return
        self._hold(event)
        if self._start is self._end:  # there is no frame yet: the next event will show what it shares with this one
            self._frame(event, event)

    def _frame(self, start: bytes, end: bytes) -> None:
        self._start, self._end, self._begin, self._less = start, end, len(start), len(end)

    def _hold(self, events: bytes) -> None:
        self._close_frame()
        self._before.append(events)
        self.size += len(events) + _OBJECT

    def _close_frame(self) -> None:
        """Put what stands in the present frame behind all before it."""
        if self._texts:
            self._before.append((self._start, self._end, bytes(self._texts)))
            self._texts = bytearray()


def _unfolded(start: bytes, end: bytes, texts: bytes) -> bytes:
    return start + texts[:-1].replace(b"\n", end + start) + end


def _shared(start: bytes, end: bytes, event: bytes) -> tuple[bytes, bytes] | None:
    """Return how an event begins and ends, as far as the frame does; None where that is too little to be one."""
    begins = _alike(start, event, most=min(len(start), len(event) - _BLANK))
    ends = _alike(end[::-1], event[::-1], most=min(len(end), len(event) - begins))
    has_text_alone = event.find(b"\n", begins, len(event) - ends) < 0
    return (event[:begins], event[len(event) - ends :]) if has_text_alone and begins + ends >= _LEAST else None


def _alike(one: bytes, other: bytes, *, most: int) -> int:
    """Return how many of the first bytes are the same."""
    fewest = 0
    while fewest < most:
        middle = (fewest + most + 1) // 2
        if other.startswith(one[:middle]):
            fewest = middle
        else:
            most = middle - 1
    return fewest
