"""Chats -> chats with a history that the model behind takes, and replies with the ids that the caller knows.

A `Backend` around a `Backend`. A conversation that moves between models brings along what another one left in it:
thoughts in another form, ids of another kind, roles in an order that its template refuses. Nothing is remembered from
one request to the next. Replies pass untouched where no id was rewritten, and with them everything but the ids of
tool calls: an id that a model quotes in a text stays as the model saw it.
"""

import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Final

import msgspec
from msgspec import structs

from backends.base import Backend, Call, Chunks, Reply
from backends.history.options import HistoryOptions
from backends.history.rewriting import rewritten
from backends.history.tool_ids import LENGTH

CHAT: Final = "/chat/completions"
_ASSISTANT: Final = b'"assistant"'

MAX_LINE: Final = 1024 * 1024
"""Bytes of a line that is waited for; a longer one is no event that anybody reads."""

# In JSON a quote inside a string is escaped, so this is the name of a member wherever it stands.
_ID: Final = re.compile(rb'("(?:id|tool_call_id)"\s*:\s*)"([A-Za-z0-9]{%d})"' % LENGTH)


class Normalising:
    """Shows its backend histories as the options say.

    Args:
        backend: closed with this one.
    """

    def __init__(self, backend: Backend, options: HistoryOptions) -> None:
        self._backend, self._options = backend, options
        self._marks, self._left_behind = _marks(options), _left_behind(options)

    def __repr__(self) -> str:
        return f"<Normalising {self._backend!r}>"

    async def send(self, call: Call) -> Reply:
        """Return a reply; see `Backend.send`."""
        if call.path != CHAT or not self._concerns(call.body):
            return await self._backend.send(call)
        found = rewritten(call.body, self._options, key=call.salt)
        reply = await self._backend.send(structs.replace(call, body=found.body))
        if not found.ids:
            return reply
        kind = _RestoredStream if call.stream else _RestoredWhole
        return structs.replace(reply, chunks=kind(reply.chunks, found.ids))

    async def is_ready(self) -> bool:
        """Ask the backend."""
        return await self._backend.is_ready()

    async def aclose(self) -> None:
        """Close the backend."""
        await self._backend.aclose()

    def _concerns(self, body: bytes) -> bool:
        """Tell whether something may have to be changed; without reading JSON, since mostly nothing has."""
        return _has_one_of(body, self._marks) or (
            bool(self._left_behind) and body.find(_ASSISTANT) >= 0 and _has_one_of(body, self._left_behind)
        )


def _has_one_of(body: bytes, marks: tuple[bytes, ...]) -> bool:
    for mark in marks:  # noqa: SIM110 - `any` takes three times as long
        if body.find(mark) >= 0:
            return True
    return False


def _marks(options: HistoryOptions) -> tuple[bytes, ...]:
    """Return what stands in a body that is to be changed, whoever has spoken."""
    if options.roles == "alternate":
        return (b"",)
    return (b'"developer"',) if options.developer == "system" else ()


def _left_behind(options: HistoryOptions) -> tuple[bytes, ...]:
    """Return what stands in a body that is to be changed, and that only an assistant can have left there."""
    ids = (b'"tool_call',) if options.tool_ids == "mistral" else ()
    return (*ids, b'"reasoning', b'"thinking') if options.reasoning == "drop" else ids


def restored(reply: bytes, ids: Mapping[bytes, str]) -> bytes:
    """Return a whole reply, or whole lines of a stream, with the caller's ids."""

    def own(match: re.Match[bytes]) -> bytes:
        name = ids.get(match[2])
        return match[0] if name is None else match[1] + msgspec.json.encode(name)

    return _ID.sub(own, reply)


class _RestoredWhole(Chunks):
    """An unstreamed reply in one piece."""

    __slots__ = ("_ids", "_is_given", "_reply")

    def __init__(self, reply: AsyncGenerator[bytes, None], ids: Mapping[bytes, str]) -> None:
        self._reply, self._ids = reply, ids
        self._is_given = False

    async def __anext__(self) -> bytes:
        if self._is_given:
            raise StopAsyncIteration
        self._is_given = True
        async with aclosing(self._reply) as reply:
            body = b"".join([piece async for piece in reply])
        return restored(body, self._ids)

    async def aclose(self) -> None:
        """Leave the reply."""
        self._is_given = True
        await self._reply.aclose()


class _RestoredStream(Chunks):
    """A stream; what is not yet a whole line is held back, since an id may be cut in it."""

    __slots__ = ("_has_ended", "_held", "_ids", "_reply")

    def __init__(self, reply: AsyncGenerator[bytes, None], ids: Mapping[bytes, str]) -> None:
        self._reply, self._ids = reply, ids
        self._held = bytearray()
        self._has_ended = False

    async def __anext__(self) -> bytes:
        while not self._has_ended:
            try:
                piece = await self._reply.__anext__()
            except StopAsyncIteration:
                self._has_ended = True
                piece = b""
            lines = self._whole_lines(piece)
            if lines:
                return restored(lines, self._ids)
        raise StopAsyncIteration

    def _whole_lines(self, piece: bytes) -> bytes:
        held = self._held
        end = max(piece.rfind(b"\n"), piece.rfind(b"\r")) + 1
        if self._has_ended or len(held) > MAX_LINE:
            end = len(piece)
        elif not end:
            held += piece
            return b""
        held += piece[:end]
        self._held = bytearray(piece[end:])
        return bytes(held)

    async def aclose(self) -> None:
        """Leave the reply."""
        self._has_ended = True
        await self._reply.aclose()
