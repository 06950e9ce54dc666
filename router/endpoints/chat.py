"""`POST /v1/chat/completions`: from ASGI messages to the pipeline and back.

A raw ASGI callable, since this is the hot path. Knows HTTP and nothing of how an answer comes about.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from backends.base import BackendError, Rejected
from router.base import GatewayError, Request
from router.endpoints.errors import Header, WireError, error_event, wire_error
from router.endpoints.headers import answer_headers
from router.endpoints.wire import Receive, caller_id, read_body, read_chat
from router.guards.keys import Keys
from router.metrics import Metrics
from router.pipeline import Answer, Pipeline

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Scope = MutableMapping[str, Any]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ChatCompletions:
    """The endpoint, for one configuration.

    Attributes:
        max_body: bytes.
        timeout: seconds that a whole answer may take.
        config: version of the configuration, for `x-tandem-config`.
    """

    pipeline: Pipeline
    keys: Keys
    metrics: Metrics
    max_body: int
    timeout: float
    keep_sampled: bool
    config: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; every failure becomes an OpenAI error object."""
        received = time.monotonic()
        headers = dict(scope["headers"])
        echo = caller_id(headers)
        try:
            request = await self._read(scope, headers, receive, received)
        except ConnectionAbortedError:
            return  # nothing was parsed, nobody is there
        except GatewayError as error:
            self.metrics.refuse(error.status)
            await send_error(send, wire_error(error), request_id=echo)
            return
        async with _cancelled_when_the_caller_leaves(receive) as caller:
            await self._answer(request, send, caller)

    async def _read(self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, received: float) -> Request:
        tenant = self.keys.tenant_of(scope["headers"])
        body = await read_body(receive, headers, limit=self.max_body)
        return read_chat(
            body, headers, tenant=tenant, received=received, timeout=self.timeout, keep_sampled=self.keep_sampled
        )

    async def _answer(self, request: Request, send: Send, caller: "_Caller") -> None:
        request_id = request.caller_id or request.id
        try:
            answer = await self.pipeline.answer(request)
        except (GatewayError, BackendError) as error:
            if not isinstance(error, Rejected):
                _log.warning("request %s failed: %r", request.id, error)
            await send_error(send, wire_error(error), request_id=request_id)
            caller.is_served = True
            return
        async with aclosing(answer.rest):
            head = answer_headers(answer, request_id=request_id, config=self.config)
            if request.stream:
                await self._stream(answer, head, send)
            else:
                head.append((b"content-length", b"%d" % len(answer.first)))
                await send({"type": "http.response.start", "status": 200, "headers": head})
                await send({"type": "http.response.body", "body": answer.first})
                caller.is_served = True
                async for _ in answer.rest:
                    pass  # an unstreamed answer is one piece; this ends its record
                return
        caller.is_served = True

    async def _stream(self, answer: Answer, head: list[Header], send: Send) -> None:
        """Send events as they come; a stream that breaks ends with an error event and an aborted body."""
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": answer.first, "more_body": True})
        try:
            async for chunk in answer.rest:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except BackendError as error:
            await send({"type": "http.response.body", "body": error_event(error), "more_body": True})
            return  # without a last message the server closes the connection in the middle of the body
        await send({"type": "http.response.body", "body": b"", "more_body": False})


@dataclass(slots=True)
class _Caller:
    """Whether the caller has everything; set in the same step in which the last byte was handed over."""

    is_served: bool = False


@asynccontextmanager
async def _cancelled_when_the_caller_leaves(receive: Receive) -> AsyncGenerator[_Caller, None]:
    """Cancel the block when the caller hangs up, so that the backend stops working for nobody."""
    caller, answering = _Caller(), asyncio.current_task()

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        if not caller.is_served and answering is not None:
            answering.cancel("the caller left")

    watching = asyncio.create_task(watch())
    try:
        yield caller
    except asyncio.CancelledError:
        if not watching.done() or watching.cancelled():
            raise  # cancelled by the server, not by the caller
        if answering is not None:
            answering.uncancel()
    finally:
        watching.cancel()


async def send_error(send: Send, error: WireError, *, request_id: str) -> None:
    """Send a whole answer that is an error."""
    headers = [*error.headers, (b"content-length", b"%d" % len(error.body))]
    if request_id:
        headers.append((b"x-request-id", request_id.encode()))
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": error.body})
