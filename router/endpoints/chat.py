"""`POST /v1/chat/completions`: from ASGI messages to the pipeline and back.

A raw ASGI callable, since this is the hot path. Knows HTTP and nothing of how an answer comes about.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self

from msgspec.structs import replace

from backends.base import BackendError, Rejected, Sink
from router.base import GatewayError, RateLimited, Request, RoutesFailed
from router.endpoints.deadlines import Deadlines
from router.endpoints.errors import Header, WireError, error_event, wire_error
from router.endpoints.headers import answer_headers
from router.endpoints.storing import Keeping, Storing
from router.endpoints.wire import (
    ADMITTED,
    LEFT,
    RELEASE,
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
from router.guards.overload import Crowd, Overload, full
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
        deadlines: of streams.
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
    deadlines: Deadlines = field(default_factory=Deadlines)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; every failure becomes an OpenAI error object."""
        received = time.monotonic()
        headers = dict(scope["headers"])
        crowd: Crowd | None = scope.get("extensions", {}).get(ADMITTED, {}).get("crowd")
        try:
            try:
                request = await self._read(scope, headers, receive, received)
                keeping = None if self.storing is None else self.storing.wanted(request)
                crowd = crowd or self.overload.enter(request.tenant)
                if crowd is None:
                    raise full()
            except ConnectionAbortedError:
                return  # nothing was parsed, nobody is there
            except GatewayError as error:
                self.metrics.refuse(error.status)
                await send_error(send, wire_error(error), request_id=caller_id(headers) or new_id())
                return
            with _Caller(scope, self.deadlines) as caller:
                if request.stream:
                    caller.release()
                give = self._stream if request.stream else self._whole
                answered = self._answer(request, send, caller, crowd)
                del scope, receive, headers, request  # a stream may run for minutes, and needs none of them
                answer = await answered
                if answer is not None:
                    given = give(*answer, send, caller, keeping)
                    del answer, answered, give  # likewise
                    await given
        finally:
            if crowd is not None:
                crowd.leave()

    async def _read(self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, received: float) -> Request:
        tenant = self.keys.tenant_of(scope["headers"])
        if ADMITTED not in scope.get("extensions", ()):
            self.overload.admit(tenant)
        refuse_repeated(scope["headers"], headers)
        body = await read_body(receive, headers, limit=self.max_body, is_here=WHOLE in scope.get("extensions", ()))
        request = self.read(
            body, headers, tenant=tenant, received=received, timeout=self.timeout, keep_sampled=self.keep_sampled
        )
        priority = self.priorities.of(tenant, headers)
        return replace(request, priority=priority) if priority else request

    async def _answer(
        self, request: Request, send: Send, caller: "_Caller", crowd: Crowd
    ) -> tuple[Answer, list[Header]] | None:
        """Return the answer and its head; None where there was none, and the caller has been told why."""
        request_id = request.caller_id or request.id
        try:
            answer = await self.pipeline.answer(request)
        except (GatewayError, BackendError) as error:
            if isinstance(error, RoutesFailed) and error.is_overload:
                self.overload.note(crowd, request.wanted)
            elif not isinstance(error, (Rejected, RateLimited)):
                _log.warning("request %s failed: %r", request.id, error)
            await send_error(send, wire_error(error), request_id=request_id)
            caller.is_served = True
            return None
        if request.stream:
            caller.bind(until=request.deadline + _GRACE)
        return answer, answer_headers(answer, request_id=request_id, config=self.config)

    async def _whole(
        self, answer: Answer, head: list[Header], send: Send, caller: "_Caller", keeping: Keeping | None
    ) -> None:
        async with aclosing(answer.rest) as rest:
            if keeping is not None:
                head.append(await keeping.keep(answer.first))
            head.append((b"content-length", b"%d" % len(answer.first)))
            try:
                await send({"type": "http.response.start", "status": 200, "headers": head})
                await send({"type": "http.response.body", "body": answer.first})
            except BackendError as error:  # what says it in another dialect could not, and has told the caller
                await _break(rest, error)
            caller.is_served = True
            async for _ in rest:
                pass  # an unstreamed answer is one piece; this ends its record

    async def _stream(
        self, answer: Answer, head: list[Header], send: Send, caller: "_Caller", keeping: Keeping | None
    ) -> None:
        """Send events as they come; a stream that breaks ends with an error event and an aborted body."""
        sink = caller.sink if keeping is None else keeping.beside(caller.sink)
        async with aclosing(answer.rest) as rest:
            await send({"type": "http.response.start", "status": 200, "headers": head})
            chunk = answer.first
            del answer, head  # as above
            try:
                while True:
                    if keeping is not None:
                        keeping.hear(chunk)
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                    chunk = b""
                    chunk = await rest.asend(sink)
            except StopAsyncIteration:
                pass
            except BackendError as error:
                await _break(rest, error)
                await send({"type": "http.response.body", "body": error_event(error), "more_body": True})
                return  # without a last message the server closes the connection in the middle of the body
            if keeping is not None:
                keeping.keep_heard()
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _break(rest: AsyncGenerator[bytes, Sink | None], error: BackendError) -> None:
    """Let the record say that the reply was no good, where whoever was to send it found that out."""
    with suppress(BackendError, StopAsyncIteration):
        await rest.athrow(error)


class _Caller:
    """Cancels the block when the caller hangs up or stops reading, so that the backend does not work for nobody.

    Args:
        scope: of the request; holds what tells of it where our own listener serves.
        deadlines: that it may be bound by.

    Attributes:
        is_served: the caller has everything; set in the same step in which the last byte was handed over.
        sink: takes the rest of a stream; None where another server than ours serves.
    """

    __slots__ = ("_answering", "_deadlines", "_has_left", "_left", "_release", "is_served", "sink")

    def __init__(self, scope: Scope, deadlines: Deadlines) -> None:
        extensions = scope.get("extensions", {})
        self._left: asyncio.Future[None] | None = extensions.get(LEFT, {}).get("future")
        self.sink: Sink | None = extensions.get(SINK, {}).get("sink")
        self._release: Callable[[], None] | None = extensions.get(RELEASE, {}).get("release")
        self._deadlines = deadlines
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
        self._deadlines.free(self)
        if self._left is not None:
            self._left.remove_done_callback(self._leave)
        if kind is not asyncio.CancelledError or not self._has_left or self._answering is None:
            return False  # nothing was raised, or the server itself cancels
        self._answering.uncancel()
        return True

    def bind(self, *, until: float) -> None:
        """Give the caller up after this moment: who reads so slowly has left, whatever the connection says."""
        self._deadlines.bind(self, until=until)

    def expire(self) -> None:
        """Give the caller up; the connection is closed in the middle of the body."""
        self._give_up("the caller has stopped reading")

    def release(self) -> None:
        """Let the listener forget what was asked; nobody reads it any more."""
        release, self._release = self._release, None
        if release is not None:
            release()

    def _leave(self, _left: asyncio.Future[None]) -> None:
        self._give_up("the caller left")

    def _give_up(self, why: str) -> None:
        if not (self.is_served or self._has_left) and self._answering is not None:
            self._has_left = True
            self._answering.cancel(why)


async def send_error(send: Send, error: WireError, *, request_id: str) -> None:
    """Send a whole answer that is an error."""
    headers = [*error.headers, (b"content-length", b"%d" % len(error.body))]
    if request_id:
        headers.append((b"x-request-id", request_id.encode()))
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": error.body})
