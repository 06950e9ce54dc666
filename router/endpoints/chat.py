"""`POST /v1/chat/completions`: from ASGI messages to the pipeline and back.

A raw ASGI callable, since this is the hot path. Knows HTTP and nothing of how an answer comes about.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self

from msgspec.structs import replace

from backends.base import BackendError, Rejected, Sink
from router.base import GatewayError, RateLimited, Request, RoutesFailed
from router.endpoints.errors import Header, WireError, error_event, wire_error
from router.endpoints.headers import answer_headers
from router.endpoints.storing import Keeping, Storing
from router.endpoints.wire import (
    LEFT,
    SINK,
    WHOLE,
    Headers,
    Receive,
    caller_id,
    new_id,
    read_body,
    read_chat,
    refuse_repeated,
)
from router.guards.keys import Keys
from router.guards.overload import Overload
from router.guards.priorities import Priorities
from router.metrics.counters import Metrics
from router.pipeline import Answer, Pipeline

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Scope = MutableMapping[str, Any]

_GRACE = 1.0  # seconds beyond the deadline, in which a backend's own timeout is told to the caller

_log = logging.getLogger(__name__)


class ReadRequest(Protocol):
    """Body and headers -> a request; see `router.endpoints.wire.read_chat`, whose signature it is."""

    def __call__(
        self, body: bytes, headers: Headers, *, tenant: str, received: float, timeout: float, keep_sampled: bool
    ) -> Request:
        """Return the request, or raise a `GatewayError`."""
        ...


@dataclass(frozen=True, slots=True)
class ChatCompletions:
    """The endpoint, for one configuration.

    Attributes:
        read: what is asked here; completions are answered in the same way, but read by another function.
        max_body: bytes.
        timeout: seconds that a whole answer may take.
        config: version of the configuration, for `x-tandem-config`.
        storing: keeps what callers want stored; None where nothing is.
    """

    pipeline: Pipeline
    keys: Keys
    metrics: Metrics
    max_body: int
    timeout: float
    keep_sampled: bool
    config: str
    overload: Overload = field(default_factory=Overload)
    priorities: Priorities = field(default_factory=Priorities)
    read: ReadRequest = read_chat
    storing: Storing | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; every failure becomes an OpenAI error object."""
        received = time.monotonic()
        headers = dict(scope["headers"])
        try:
            request = await self._read(scope, headers, receive, received)
            keeping = None if self.storing is None else self.storing.wanted(request)
        except ConnectionAbortedError:
            return  # nothing was parsed, nobody is there
        except GatewayError as error:
            self.metrics.refuse(error.status)
            await send_error(send, wire_error(error), request_id=caller_id(headers) or new_id())
            return
        with _Caller(scope) as caller:
            await self._answer(request, send, caller, keeping)

    async def _read(self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, received: float) -> Request:
        tenant = self.keys.tenant_of(scope["headers"])
        self.overload.admit(tenant)
        refuse_repeated(scope["headers"], headers)
        body = await read_body(receive, headers, limit=self.max_body, is_here=WHOLE in scope.get("extensions", ()))
        request = self.read(
            body, headers, tenant=tenant, received=received, timeout=self.timeout, keep_sampled=self.keep_sampled
        )
        priority = self.priorities.of(tenant, headers)
        return replace(request, priority=priority) if priority else request

    async def _answer(self, request: Request, send: Send, caller: "_Caller", keeping: Keeping | None) -> None:
        request_id = request.caller_id or request.id
        try:
            answer = await self.pipeline.answer(request)
        except (GatewayError, BackendError) as error:
            if isinstance(error, RoutesFailed) and error.is_overload:
                self.overload.note(request.tenant, request.wanted)
            elif not isinstance(error, (Rejected, RateLimited)):
                _log.warning("request %s failed: %r", request.id, error)
            await send_error(send, wire_error(error), request_id=request_id)
            caller.is_served = True
            return
        async with aclosing(answer.rest):
            head = answer_headers(answer, request_id=request_id, config=self.config)
            if request.stream:
                seconds = request.deadline - time.monotonic() + _GRACE
                sink = caller.sink if keeping is None else keeping.beside(caller.sink)
                await self._stream(answer, head, send, sink=sink, seconds=seconds, keeping=keeping)
            else:
                if keeping is not None:
                    head.append(await keeping.keep(answer.first))
                head.append((b"content-length", b"%d" % len(answer.first)))
                try:
                    await send({"type": "http.response.start", "status": 200, "headers": head})
                    await send({"type": "http.response.body", "body": answer.first})
                except BackendError as error:  # what says it in another dialect could not, and has told the caller
                    await _break(answer, error)
                caller.is_served = True
                async for _ in answer.rest:
                    pass  # an unstreamed answer is one piece; this ends its record
                return
        caller.is_served = True

    async def _stream(
        self,
        answer: Answer,
        head: list[Header],
        send: Send,
        *,
        sink: Sink | None,
        seconds: float,
        keeping: Keeping | None,
    ) -> None:
        """Send events as they come; a stream that breaks ends with an error event and an aborted body."""
        await send({"type": "http.response.start", "status": 200, "headers": head})
        try:
            async with asyncio.timeout(seconds):
                if keeping is not None:
                    keeping.hear(answer.first)
                await send({"type": "http.response.body", "body": answer.first, "more_body": True})
                with suppress(StopAsyncIteration):
                    while True:
                        chunk = await answer.rest.asend(sink)
                        if keeping is not None:
                            keeping.hear(chunk)
                        await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except TimeoutError:
            return  # the caller has stopped reading: the connection is closed in the middle of the body
        except BackendError as error:
            await _break(answer, error)
            await send({"type": "http.response.body", "body": error_event(error), "more_body": True})
            return  # without a last message the server closes the connection in the middle of the body
        if keeping is not None:
            keeping.keep_heard()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _break(answer: Answer, error: BackendError) -> None:
    """Let the record say that the reply was no good, where whoever was to send it found that out."""
    with suppress(BackendError, StopAsyncIteration):
        await answer.rest.athrow(error)


class _Caller:
    """Cancels the block when the caller hangs up, so that the backend stops working for nobody.

    Args:
        scope: of the request; holds what tells of it where our own listener serves.

    Attributes:
        is_served: the caller has everything; set in the same step in which the last byte was handed over.
        sink: takes the rest of a stream; None where another server than ours serves.
    """

    __slots__ = ("_answering", "_has_left", "_left", "is_served", "sink")

    def __init__(self, scope: Scope) -> None:
        extensions = scope.get("extensions", {})
        self._left: asyncio.Future[None] | None = extensions.get(LEFT, {}).get("future")
        self.sink: Sink | None = extensions.get(SINK, {}).get("sink")
        self._has_left = self.is_served = False

    def __enter__(self) -> Self:
        self._answering = asyncio.current_task()
        if self._left is not None:
            self._left.add_done_callback(self._leave)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self.is_served = True  # the word of a caller who leaves now may be under way already
        if self._left is not None:
            self._left.remove_done_callback(self._leave)
        if kind is not asyncio.CancelledError or not self._has_left or self._answering is None:
            return False  # nothing was raised, or the server itself cancels
        self._answering.uncancel()
        return True

    def _leave(self, _left: asyncio.Future[None]) -> None:
        if not self.is_served and self._answering is not None:
            self._has_left = True
            self._answering.cancel("the caller left")


async def send_error(send: Send, error: WireError, *, request_id: str) -> None:
    """Send a whole answer that is an error."""
    headers = [*error.headers, (b"content-length", b"%d" % len(error.body))]
    if request_id:
        headers.append((b"x-request-id", request_id.encode()))
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": error.body})
