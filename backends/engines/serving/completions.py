"""`POST /v1/chat/completions` and `/v1/completions`: from ASGI messages to the engine and back.

A raw ASGI callable, since this is the hot path: a stream's bytes go on as they come. A caller who leaves cancels all
that was begun for him, and so frees the engine's slot.
"""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import msgspec

from backends.base import BackendError
from backends.engines.base import Ask, Engine, EngineError, Refused
from backends.engines.serving.admission import Admission
from backends.engines.serving.asks import Offer, fit, read_ask
from backends.engines.serving.errors import (
    JSON,
    Header,
    Receive,
    Scope,
    Send,
    answer_of,
    code_of,
    error_event,
    send_answer,
)
from backends.engines.serving.metrics import Metrics
from backends.engines.serving.passing import Passing

MAX_BODY: Final = 16 * 1024 * 1024
"""Bytes of a request."""

BODY_WITHIN: Final = 30.0
"""Seconds in which a request's body must be there."""

IDLE_WITHIN: Final = 60.0
"""Seconds between two pieces of a stream, be it that the engine is silent or that the caller does not read."""

LAST_WORD_WITHIN: Final = 1.0
"""Seconds in which a caller must take the word that a stream broke."""

_MAX_ID: Final = 128
_SSE: Final = (b"content-type", b"text/event-stream; charset=utf-8")
_NO_CACHE: Final = (b"cache-control", b"no-store")
_FAILURES: Final = (EngineError, BackendError, TimeoutError)
_log = logging.getLogger(__name__)


class BodyTooLarge(Refused):
    """The body has more bytes than are read."""

    status = 413
    code = "body_too_large"


class TooSlow(Refused):
    """The body did not come in time."""

    status = 408
    code = "request_timeout"


@dataclass(frozen=True, slots=True)
class Completions:
    """Both endpoints, for an engine that is ready."""

    engine: Engine
    offer: Offer
    admission: Admission
    metrics: Metrics

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; a failure that was foreseen becomes an OpenAI error object."""
        try:
            body = await read_body(receive, limit=MAX_BODY)
        except ConnectionAbortedError:
            return  # nobody is there
        except Refused as error:
            await self._refuse(error, send)
            return
        began = self.metrics.clock()
        with _Caller(receive) as caller:
            try:
                request_id = _request_id(scope["headers"])
                path = scope["path"].removeprefix("/v1")
                ask, wants_usage = _counted(read_ask(body, path, offer=self.offer, request_id=request_id))
                ask = await fit(ask, self.engine, size=len(body))
                async with self.admission.place(ask.choices):
                    passing = Passing(self.metrics, ask.choices, began=began, strip_usage=not wants_usage)
                    await self._compute(ask, passing, send, caller)
            except _FAILURES as error:
                caller.is_served = True
                await self._refuse(error, send)

    async def _refuse(self, error: Exception, send: Send) -> None:
        self.metrics.refused[code_of(error)] += 1
        if not isinstance(error, EngineError):
            _log.warning("the engine broke: %r", error)
        await send_answer(send, *answer_of(error))

    async def _compute(self, ask: Ask, passing: Passing, send: Send, caller: "_Caller") -> None:
        """Have an answer computed and send it.

        Raises:
            EngineError, BackendError, TimeoutError: there is none, and nothing was sent yet.
        """
        head = (b"x-request-id", ask.request_id.encode())
        try:
            reply = await self.engine.answer(ask)
            async with aclosing(reply.chunks) as chunks:
                if ask.stream:
                    await _stream(chunks, passing, head, send, caller)
                    return
                whole = b"".join([piece async for piece in chunks])
            passing.take_whole(whole)
        except asyncio.CancelledError:
            passing.abort("abort")
            raise
        caller.is_served = True
        await send_answer(send, 200, [JSON, head], whole)


def _counted(ask: Ask) -> tuple[Ask, bool]:
    """Return the ask with its usage told, which is counted here, and whether the caller wants it as well."""
    if ask.wants_usage or not ask.stream:
        return ask, True
    return msgspec.structs.replace(ask, wants_usage=True), False


async def _stream(
    chunks: AsyncGenerator[bytes, None], passing: Passing, head: Header, send: Send, caller: "_Caller"
) -> None:
    """Send events as they come; a stream that breaks ends with an error event and an aborted body."""
    await send({"type": "http.response.start", "status": 200, "headers": [_SSE, _NO_CACHE, head]})
    clock = asyncio.get_running_loop().time
    try:
        async with asyncio.timeout(IDLE_WITHIN) as limit:
            async for piece in chunks:
                passed = passing.take(piece)
                if passed:
                    await send({"type": "http.response.body", "body": passed, "more_body": True})
                limit.reschedule(clock() + IDLE_WITHIN)
            rest = passing.end()
            caller.is_served = True
            await send({"type": "http.response.body", "body": rest, "more_body": False})
    except _FAILURES as error:
        _log.warning("the engine broke in the middle of an answer: %r", error)
        passing.abort("error")
        if not passing.has_failed:  # otherwise its own words have gone out
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_WORD_WITHIN):
                    await send({"type": "http.response.body", "body": error_event(error), "more_body": True})
        # without a last message the server closes the connection in the middle of the body


async def read_body(receive: Receive, *, limit: int) -> bytes:
    """Return a request's whole body.

    Args:
        limit: bytes.

    Raises:
        Refused: it is too long, or does not come in time.
        ConnectionAbortedError: the caller left before its end.
    """
    parts, size, more = list[bytes](), 0, True
    try:
        async with asyncio.timeout(BODY_WITHIN):
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ConnectionAbortedError("the caller left before the end of the body")
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > limit:
                    raise BodyTooLarge(f"the body is larger than {limit} bytes", param=None)
                more = message.get("more_body", False)
    except TimeoutError:
        raise TooSlow(f"the body was not sent within {BODY_WITHIN:g} s", param=None) from None
    return parts[0] if len(parts) == 1 else b"".join(parts)


class _Caller:
    """Cancels the block when the caller leaves.

    Attributes:
        is_served: the caller has, or gets with the next message, all that there is for him.
    """

    __slots__ = ("_answering", "_has_left", "_receive", "_watch", "is_served")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._has_left = self.is_served = False

    def __enter__(self) -> Self:
        self._answering = asyncio.current_task()
        self._watch = asyncio.create_task(self._wait())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self.is_served = True
        self._watch.cancel()
        if kind is not asyncio.CancelledError or not self._has_left or self._answering is None:
            return False  # nothing was raised, or the server itself cancels
        self._answering.uncancel()
        return True

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self.is_served and self._answering is not None:
            self._has_left = True
            self._answering.cancel("the caller left")


def _request_id(headers: Iterable[Header]) -> str:
    """Return the caller's own id where it is short and plain, or else a new one."""
    for name, value in headers:
        if name == b"x-request-id" and 0 < len(value) <= _MAX_ID:
            sent = value.decode("latin-1")
            if sent.isascii() and sent.isprintable():
                return sent
    return os.urandom(12).hex()
