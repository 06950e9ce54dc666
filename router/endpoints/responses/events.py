"""Events of an answer that is being made -> rows below it, and back to whoever follows it.

They are written a few at a time, and are read from where they are written alone: what a follower has seen is stored,
whichever process makes the answer, and whoever comes again goes on behind the event that was the last.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from typing import Final

import msgspec
from msgspec import Struct

from backends.dialects.reading import Fields
from backends.dialects.responses.replaying import events_of, last_event
from backends.dialects.responses.writing import UNTIL, event
from router.base import Unavailable
from router.endpoints.responses.dialect import KIND
from router.stored.base import ObjectStore, StoredObject, kind_below
from router.stored.runs import Name

WRITES_EVERY: Final = 0.05  # seconds between two writes of one answer
LOOKS_EVERY: Final = 0.2  # seconds between looks for what another process has written
PINGS_EVERY: Final = 10.0  # seconds
ROWS: Final = 200  # at once

_PING: Final = b": ping\n\n"
_ERROR: Final = "error"  # the event of a stream that breaks, whatever becomes of the answer
_LAST: Final = frozenset(UNTIL.values())


class _Event(Struct):
    type: str
    sequence_number: int


_read_event: Final = msgspec.json.Decoder(_Event).decode


class EventLog:
    """Events of one answer on their way into the store.

    Attributes:
        moved: is done when there are new ones; another one stands in its place then.
    """

    def __init__(self, objects: ObjectStore, name: Name) -> None:
        self._objects, self._name = objects, name
        self._data = bytearray()
        self._rows = 0
        self._has_more = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None
        self.moved = asyncio.get_running_loop().create_future()

    def write(self, data: bytes) -> None:
        """Take whole events, which are written soon."""
        self._data += data
        if data:
            self._has_more.set()

    def begin(self, lost: Callable[[Unavailable | None], None]) -> None:
        """Write from now on.

        Args:
            lost: told that nothing can be written any more: why, or None where the answer was deleted.
        """
        self._writing = asyncio.create_task(self._write_on(lost))

    def pulse(self) -> None:
        """Let followers look."""
        moved, self.moved = self.moved, self.moved.get_loop().create_future()
        moved.set_result(None)

    async def aclose(self) -> None:
        """Write the rest, as far as it can be."""
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.wait({self._writing})
        try:
            await self._write()
        except Unavailable:
            return  # how the answer ended is told by what is stored of it

    async def _write_on(self, lost: Callable[[Unavailable | None], None]) -> None:
        try:
            while await self._has_more.wait():
                if not await self._write():
                    lost(None)
                    return
                await asyncio.sleep(WRITES_EVERY)
        except Unavailable as error:
            lost(error)

    async def _write(self) -> bool:
        """Write what is there; False where the answer is no more."""
        if not self._data:
            return True
        data = bytes(self._data)
        self._data.clear()
        self._has_more.clear()
        self._rows += 1
        tenant, identifier = self._name
        row = StoredObject(
            tenant=tenant,
            kind=kind_below(KIND, identifier),
            id=f"{self._rows:08d}",
            created=time.time(),
            model="",
            metadata={},
            asked=b"",
            body=data,
        )
        is_there = await asyncio.shield(self._objects.add(tenant, KIND, identifier, [row]))
        self.pulse()
        return is_there


class Following:
    """Reads the events of one answer for one follower.

    Args:
        after: the number of the last event that is not wanted.
    """

    def __init__(self, objects: ObjectStore, name: Name, *, after: int) -> None:
        self._objects, self._name, self._after = objects, name, after
        self._row = ""
        self._number, self._type = -1, ""  # of the last event that was read
        self._silent_since = time.monotonic()

    async def fresh(self) -> AsyncGenerator[bytes, None]:
        """Yield the events that nobody has read here yet."""
        tenant, identifier = self._name
        below = kind_below(KIND, identifier)
        while page := await self._objects.page(tenant, below, after=self._row, limit=ROWS):
            self._row = page[-1].id
            wanted = b"".join(self._wanted(each.body) for each in page)
            if wanted:
                self._silent_since = time.monotonic()
                yield wanted

    async def wait(self, moved: "asyncio.Future[None] | None") -> bytes:
        """Return when there may be more; a ping where nothing has come for long.

        Args:
            moved: is done then; None where another process makes the answer.
        """
        if moved is None:
            await asyncio.sleep(LOOKS_EVERY)
        else:
            await asyncio.wait({moved}, timeout=PINGS_EVERY)
        if time.monotonic() - self._silent_since < PINGS_EVERY:
            return b""
        self._silent_since = time.monotonic()
        return _PING

    def rest(self, response: Fields) -> bytes:
        """Return what is missing of the events of an answer that has ended."""
        if not self._row:
            return events_of(response, after=self._after)
        if self._type in _LAST:
            return b""
        number = self._number + 1  # the same for whoever asks, so that nobody gets it twice
        return last_event(response, number=number) if number > self._after else b""

    def broken_off(self, message: str, code: str) -> bytes:
        """Return what ends the stream where nobody can tell how the answer does; nothing where that was told."""
        if self._type in _LAST:
            return b""
        number = max(self._number, self._after) + 1
        return event(_ERROR, number, {"code": code, "message": message, "param": None})

    def _wanted(self, events: bytes) -> bytes:
        return b"".join(each + b"\n\n" for each in events.split(b"\n\n") if self._is_wanted(each))

    def _is_wanted(self, data: bytes) -> bool:
        _, found, data = data.partition(b"\ndata: ")
        if not found:
            return False  # a comment
        told = _read_event(data)
        self._number, self._type = told.sequence_number, told.type
        return self._number > self._after
