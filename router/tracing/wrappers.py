"""Application, ledger and backends -> the same, whose requests and calls have spans.

Each is what it wraps. Where tracing is off none of them is there.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from functools import partial
from typing import Any, Final

from msgspec.structs import replace

from backends.base import Backend, Call, Reply
from backends.optional import figures_of, start
from backends.replicas.base import Figure
from backends.replicas.endings import Followed
from router.base import Intent, Record, Tier
from router.tracing.base import Spans
from router.tracing.traced_requests import SYSTEM, TracedCall, TracedRequest, at_hand
from router.wrapped_ledger import WrappedLedger

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Serves = Callable[[Message, Receive, Send], Awaitable[None]]

_OPERATIONS: Final[Mapping[str, str]] = {
    "/v1/chat/completions": "chat",
    "/v1/completions": "text_completion",
    "/v1/embeddings": "embeddings",
    "/v1/responses": "chat",
    "/v1/messages": "chat",
}
_FAULTS: Final = 500  # the first status that a server says of itself


class TracedApplication:
    """An application whose requests have spans."""

    def __init__(self, serves: Serves, spans: Spans) -> None:
        self._serves, self._spans = serves, spans

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        operation = _OPERATIONS.get(scope["path"])
        if operation is None:
            await self._serves(scope, receive, send)
            return
        sent = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        span = self._spans.request(operation, sent)
        span.tell(
            {
                "gen_ai.operation.name": operation,
                "gen_ai.provider.name": SYSTEM,
                "http.request.method": scope["method"],
                "url.path": scope["path"],
            }
        )

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                span.tell({"http.response.status_code": message["status"]})
                if message["status"] >= _FAULTS:
                    span.fail("")
            await send(message)

        token = at_hand.set(TracedRequest(self._spans, span, operation))
        try:
            await self._serves(scope, receive, noting)
        finally:
            at_hand.reset(token)
            span.end()


class TracedLedger(WrappedLedger):
    """A ledger that tells the request at hand, too; see `router.base.Ledger`."""

    def open(self, intent: Intent) -> Awaitable[None]:
        """Hand over an intent."""
        request = at_hand.get()
        if request is not None:
            request.choose(intent)
        return super().open(intent)

    def settle(self, record: Record) -> None:
        """Hand over a record."""
        super().settle(record)
        request = at_hand.get()
        if request is not None:
            request.settle(record)


class TracedBackend:
    """A backend whose calls have spans within that of the request at hand."""

    def __init__(self, backend: Backend, tier: Tier, model: str) -> None:
        self._backend, self._tier, self._model = backend, tier, model

    async def start(self) -> None:
        """Start what is behind it, where that can be started."""
        await start(self._backend)

    async def send(self, call: Call) -> Reply:
        """Return a reply; see `Backend.send`."""
        request = at_hand.get()
        if request is None:
            return await self._backend.send(call)
        step = request.step(self._tier, self._model)
        try:
            reply = await self._backend.send(replace(call, traceparent=step.span.traceparent))
        except BaseException as error:  # also when the caller leaves: the backend was at work
            step.answered(getattr(error, "replica", ""))
            step.end(error)
            raise
        step.answered(reply.replica)
        return replace(reply, chunks=Followed(reply.chunks, partial(_over, step)))

    def figures(self) -> Iterable[Figure]:
        """Return what is counted of calls."""
        return figures_of(self._backend)

    async def is_ready(self) -> bool:
        """Tell whether it is ready."""
        return await self._backend.is_ready()

    async def aclose(self) -> None:
        """Close it."""
        await self._backend.aclose()


def _over(step: TracedCall, error: BaseException | None) -> None:
    """Note the end of a reply; a caller who leaves it has not broken it."""
    step.end(None if isinstance(error, GeneratorExit) else error)
