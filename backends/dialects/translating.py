"""Chat completions -> the same, answered by a backend that speaks another dialect.

A `Backend` around a `Backend`: what it is sent stands in the other dialect, and what comes back stands in chat
completions again, whole or streamed. Knows neither dialect, only their translation.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final

import msgspec
from msgspec import Raw, Struct, structs

from backends.base import Backend, Broken, Call, Chunks, Rejected, Reply, StreamBroken
from backends.dialects.base import DialectError, Translation

CHAT: Final = "/chat/completions"
BAD_REQUEST: Final = 400

_JSON: Final = "application/json"


class Translating:
    """Sends chat completions in another dialect; calls of other paths pass as they came.

    Args:
        backend: speaks the dialect; closed with this one.
        path: of the dialect's endpoint, such as "/responses".
        translate: chat completions to the dialect; raises `DialectError` for what it cannot say.
        name: what the backend's replies call it, where it is one server.

    Attributes:
        name: as given.
    """

    def __init__(
        self, backend: Backend, *, path: str, translate: Callable[[bytes], Translation], name: str = ""
    ) -> None:
        self.name = name
        self._backend, self._path, self._translate = backend, path, translate

    def __repr__(self) -> str:
        return f"<Translating {self._path} to {self._backend!r}>"

    async def send(self, call: Call) -> Reply:
        """Return a reply in chat completions.

        Raises:
            BackendError: as the backend does; `Rejected` also for what cannot be said in its dialect.
        """
        if call.path != CHAT:
            return await self._backend.send(call)
        try:
            translation = self._translate(call.body)
        except DialectError as error:
            body = openai_error(str(error), code=error.code, param=error.param)
            raise Rejected(BAD_REQUEST, body, _JSON) from error
        try:
            reply = await self._backend.send(structs.replace(call, path=self._path, body=translation.body))
        except Rejected as error:
            raise in_openai_shape(error) from error
        if call.stream:
            chunks: Chunks = _Stream(reply.chunks, translation)
        else:  # here and not where it is read, so that what cannot be read is a failure that is tried again
            async with aclosing(reply.chunks) as pieces:
                body = b"".join([piece async for piece in pieces])
            chunks = _Whole(_translated(translation.whole, body, Broken))
        return structs.replace(reply, chunks=chunks)

    async def is_ready(self) -> bool:
        """Ask the backend."""
        return await self._backend.is_ready()

    async def aclose(self) -> None:
        """Close the backend."""
        await self._backend.aclose()


class _Whole(Chunks):
    """An unstreamed reply, in one piece."""

    __slots__ = ("_body",)

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __anext__(self) -> bytes:
        body, self._body = self._body, b""
        if not body:
            raise StopAsyncIteration
        return body

    async def aclose(self) -> None:
        """Leave the reply."""
        self._body = b""


class _Stream(Chunks):
    """A stream; each piece is translated as it comes."""

    __slots__ = ("_has_ended", "_spoken", "_translation")

    def __init__(self, spoken: AsyncGenerator[bytes, None], translation: Translation) -> None:
        self._spoken, self._translation = spoken, translation
        self._has_ended = False

    async def __anext__(self) -> bytes:
        while not self._has_ended:
            try:
                piece = await self._spoken.__anext__()
            except StopAsyncIteration:
                self._has_ended = True
                said = _translated(lambda _: self._translation.finish(), b"", StreamBroken)
            else:
                said = _translated(self._translation.feed, piece, StreamBroken)
            if said:
                return said
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Leave the reply."""
        self._has_ended = True
        await self._spoken.aclose()


def _translated(translate: Callable[[bytes], bytes], spoken: bytes, failure: type[Broken | StreamBroken]) -> bytes:
    try:
        return translate(spoken)
    except DialectError as error:
        raise failure(f"the backend's reply cannot be read: {error}") from error


def translating(backend: Backend, dialect: str, *, name: str) -> Translating:
    """Return a server that speaks a dialect as one of chat completions.

    Args:
        dialect: "responses" or "messages".
        name: what its replies call it.
    """
    translate: Callable[[bytes], Translation]
    if dialect == "responses":
        from backends.dialects.responses.to_responses import PATH, ToResponses  # noqa: PLC0415 - where it is chosen

        path, translate = PATH, ToResponses
    else:
        from backends.dialects.messages.to_messages import PATH as MESSAGES  # noqa: PLC0415 - likewise
        from backends.dialects.messages.to_messages import translate as to_messages  # noqa: PLC0415 - likewise

        path, translate = MESSAGES, to_messages
    return Translating(backend, path=path, translate=translate, name=name)


class _Error(Struct):
    message: str
    type: str | None = None
    param: Raw = Raw(b"null")
    code: Raw = Raw(b"null")


_read_answer: Final = msgspec.json.Decoder(dict[str, Raw]).decode
_read_error: Final = msgspec.json.Decoder(_Error).decode


def in_openai_shape(error: Rejected) -> Rejected:
    """Return a refusal as OpenAI words one; what is worded so already, or is no such object, as it came."""
    try:
        answer = _read_answer(error.body)
        if answer.keys() == {"error"} or "error" not in answer:
            return error
        told = _read_error(answer["error"])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return error
    body = openai_error(told.message, kind=told.type or "invalid_request_error", code=told.code, param=told.param)
    return Rejected(error.status, body, _JSON)


def openai_error(
    message: str, *, kind: str = "invalid_request_error", code: Raw | str | None, param: Raw | str | None
) -> bytes:
    """Return `{"error": {...}}`."""
    return msgspec.json.encode({"error": {"message": message, "type": kind, "param": param, "code": code}})
