"""Gateway -> one ASGI application: the table of endpoints and what catches every error.

The chat endpoint stands in front, since it is the hot path; everything else goes through starlette. Which gateway
answers may change: each request is answered to its end by the one that it began with.
"""

import asyncio
import gc
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any

from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from router import __version__
from router.base import GatewayError, Unavailable
from router.config.models import Config
from router.dashboard.base import BackendHealth, DashboardView
from router.dashboard.pages import dashboard_routes
from router.endpoints.at_once import AtOnce, WholeAnswer
from router.endpoints.chat import ChatCompletions, Scope, Send, send_error
from router.endpoints.completions import read_completion
from router.endpoints.decisions import Decisions
from router.endpoints.embeddings import read_embedding
from router.endpoints.errors import WireError, error_event, plain_error, wire_error
from router.endpoints.explain import Explain
from router.endpoints.feedback import Feedback
from router.endpoints.idempotent import Idempotent
from router.endpoints.identified import Identified
from router.endpoints.messages import message_routes
from router.endpoints.models import Models
from router.endpoints.ops import Ops
from router.endpoints.responses.background import Background
from router.endpoints.responses.conversations import conversation_routes
from router.endpoints.responses.dialect import Responses
from router.endpoints.responses.stored import response_routes
from router.endpoints.stored import stored_routes
from router.endpoints.storing import Storing
from router.endpoints.translated import Translated
from router.endpoints.wire import Receive, caller_id, read_chat
from router.gateway import Gateway, open_gateway
from router.guards.overload import Overload
from router.guards.password import Password
from router.guards.priorities import Priorities
from router.metrics.event_loop import LoopMonitor
from router.metrics.families import Family, exposition, families_of, lasting, total
from router.metrics.reloads import Reloads
from router.resources.shared import Inherited, Resources, open_resources
from router.tracing.base import Spans
from router.tracing.wrappers import Serves, TracedApplication

CHAT = "/v1/chat/completions"
GARBAGE_AFTER = 20_000  # objects more than were freed
LOOKED_AFTER = 5.0  # seconds that backends have to become ready before somebody is told that they are not
BEYOND = 5.0  # seconds beyond a request's longest time, after which nobody waits for it

_STOPPING = Unavailable("the gateway is stopping; send the request again", code="stopping", retry_after=1)
_CLOSED = plain_error(
    403, "the dashboard is shown on loopback only, until dashboard.password is configured", code="dashboard_closed"
)
_ASKS_PASSWORD = plain_error(
    401,
    "the dashboard wants its password",
    code="invalid_password",
    headers=((b"www-authenticate", b'Basic realm="tandem", charset="UTF-8"'),),
)

_log = logging.getLogger(__name__)


class Opened:
    """A gateway with its endpoints, under one configuration.

    Attributes:
        running: requests that it is answering.
        is_replaced: another gateway has taken its place.
    """

    def __init__(
        self, config: Config, gateway: Gateway, scrape: Callable[[], Awaitable[bytes]], tandem: "Tandem"
    ) -> None:
        self.config, self.gateway = config, gateway
        self.running = 0
        self.is_replaced = False
        self.ended = asyncio.Event()
        chat = ChatCompletions(
            pipeline=gateway.pipeline,
            keys=gateway.keys,
            metrics=gateway.metrics,
            max_body=config.server.max_body_bytes,
            timeout=config.server.request_timeout,
            keep_sampled=config.cache.sampled,
            config=config.version,
            read=partial(read_chat, names=gateway.names, addresses=config.server.content_urls),
            priorities=Priorities({name: tenant.priority for name, tenant in config.tenants.items()}),
            storing=Storing(gateway.objects, count=gateway.metrics.store),
        )
        self._ops = ops = Ops(gateway.backends, scrape, lambda: tandem.is_stopping, tandem.is_ledger_refused)
        responses = Translated(chat, Responses(gateway.objects))
        self.background = Background(responses, gateway.objects, gateway.runs, self.answering)
        routes = [
            *_routes(gateway, chat, ops),
            *response_routes(responses, gateway.objects, self.background),
            *conversation_routes(gateway.objects, gateway.keys, max_body=config.server.max_body_bytes),
        ]
        rest = Starlette(routes=routes, exception_handlers=_HANDLERS)
        rest.router.redirect_slashes = False
        keyed = partial(
            Idempotent,
            answers=gateway.first_answers,
            keys=gateway.keys,
            max_body=config.server.max_body_bytes,
            results=Counter[str](),
        )
        self.chat = _traced(keyed(chat), gateway.spans)
        self.at_once = AtOnce(chat, CHAT if gateway.spans is None else "")  # a refusal has its span, too
        self.rest = _traced(keyed(Identified(rest)), gateway.spans)
        results = keyed.keywords["results"]
        gateway.metrics.watch("tandem_idempotent_requests", "Requests with idempotency keys", "result", results)
        ended = self.background.ended
        gateway.metrics.watch("tandem_background_responses", "Answers made in the background", "status", ended)

    async def tell_who_is_away(self) -> None:
        """Say which tiers do not answer, soon after the start and not with the first request alone."""
        await asyncio.sleep(LOOKED_AFTER)
        for tier, is_ready in (await self._ops.readiness()).items():
            if not is_ready:
                _log.warning("the backend of %s is not ready; see ./tandem check --live", tier)

    @contextmanager
    def answering(self) -> Generator[None, None, None]:
        """Keep the gateway open for as long as the block runs."""
        self.running += 1
        try:
            yield
        finally:
            self.leave()

    def leave(self) -> None:
        """Take note that a request is answered."""
        self.running -= 1
        if self.is_replaced and not self.running:
            self.ended.set()

    def refusal(self, path: str, scope: Scope) -> WireError | None:
        """Return why this caller may not see the dashboard; None for every other path."""
        if not path.startswith("/dashboard"):
            return None
        password = self.config.dashboard.password
        if password is None:
            return None if self.config.server.is_loopback else _CLOSED
        admitted = Password(password.get_secret_value()).admits(scope["headers"])
        return None if admitted else _ASKS_PASSWORD

    def replace(self) -> None:
        """Take no new requests; `ended` is set when the last one is answered, or should be."""
        self.is_replaced = True
        if not self.running:
            self.ended.set()
        asyncio.get_running_loop().call_later(self.config.server.request_timeout + BEYOND, self.ended.set)


class Tandem:
    """The application; opens its gateway with the server's lifespan.

    Attributes:
        failure: why the gateway could not be opened; None as long as nothing failed.
        is_stopping: no new requests are wanted, and one that is cancelled is told why.
        loop_monitor, reloads: what is counted beside requests.
        collectors: of what else is counted in this process.
        gather: own figures -> those of all workers together; where there are no others, they are all.
    """

    def __init__(self, config: Config, inherited: Inherited | None = None) -> None:
        """Take the first configuration; a worker is also told where its parent has opened what all share."""
        self.failure: Exception | None = None
        self.is_stopping = False
        self.reloads, self.loop_monitor = Reloads(), LoopMonitor()
        self.collectors: list[Collector] = [self.loop_monitor, self.reloads]
        self.gather: Callable[[Iterable[Family]], Awaitable[Iterable[Family]]] = _alone
        self._config, self._inherited = config, inherited
        self._resources: Resources
        self._opened: Opened | None = None
        self._keepers: dict[asyncio.Task[None], Opened | None] = {}
        self._left: tuple[Family, ...] = ()  # what gateways have counted that are closed
        self._is_settled = False
        self._life = Starlette(lifespan=self._lifespan)

    @property
    def config(self) -> Config:
        """Return the configuration of new requests."""
        return self._config

    @property
    def gateways(self) -> int:
        """Return how many are open: more than one while an earlier one has requests to answer."""
        return len(self._keepers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; no exception leaves this function."""
        opened = self._opened
        if scope["type"] != "http" or opened is None:
            await self._life(scope, receive, send)
            return
        opened.running += 1
        try:
            if scope["path"] != CHAT or scope["method"] != "POST":
                refusal = opened.refusal(scope["path"], scope)
                await (opened.rest(scope, receive, send) if refusal is None else _send_error(scope, send, refusal))
            else:
                await opened.chat(scope, receive, send)
        except asyncio.CancelledError:
            if not self.is_stopping:
                raise
            await _cut(scope, send)
        except Exception as error:  # noqa: BLE001  (whatever fails here must become an answer, not a dropped line)
            _log.exception("request to %s failed", scope["path"])
            with suppress(RuntimeError):  # what the server raises when an answer has begun; it then cuts that one
                await _send_error(scope, send, wire_error(error))
        finally:
            opened.leave()

    def at_once(self, scope: Scope) -> WholeAnswer | None:
        """Answer what needs no task; None where that is `__call__`'s to do."""
        return None if self._opened is None else self._opened.at_once(scope)

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncGenerator[None, None]:
        """Run for as long as the server does; what fails before is kept for whoever started it."""
        async with AsyncExitStack() as owned:
            try:
                await owned.enter_async_context(self.running())
            except Exception as error:
                self.failure = error
                raise
            _settle_garbage()
            self._is_settled = True
            yield

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None, None]:
        """Open the gateway for as long as the block runs."""
        ledger = self._config.ledger
        async with open_resources(ledger.place, self._inherited, retention=ledger.retention) as self._resources:
            try:
                self.collectors += (self._resources.alerts, self._resources.cache)
                await self.change(self._config, self._inherited)
                self.loop_monitor.start()
                yield
            finally:
                self._opened = None
                self.loop_monitor.stop()
                for keeper in self._keepers:
                    keeper.cancel()
                await asyncio.gather(*self._keepers, return_exceptions=True)

    async def change(self, config: Config, inherited: Inherited | None = None) -> None:
        """Answer by this configuration from the next request on; whatever is raised, nothing has changed then.

        What cannot change while it runs must be as it was; see `router.running.reloading`.
        """
        begun: asyncio.Future[Opened] = asyncio.get_running_loop().create_future()
        self._resources.inherited = inherited
        keeper = asyncio.create_task(self._keep(config, begun))
        self._keepers[keeper] = None
        keeper.add_done_callback(self._keepers.pop)
        try:
            opened = await begun
        except BaseException:
            keeper.cancel()
            raise
        self._keepers[keeper] = opened
        before, self._opened, self._config = self._opened, opened, config
        self.reloads.version = config.version
        if before is not None:
            before.replace()
        server = config.server
        _log.info("ready on %s:%s; replies are kept in: %s", server.host, server.port, opened.gateway.cache_kind)

    def is_ledger_refused(self) -> bool:
        """Tell whether the ledger takes nothing now, so that no request is answered."""
        return self._resources.is_refused()

    def figures(self) -> tuple[Family, ...]:
        """Return what this process has counted."""
        own = [*self.collectors, *(each.gateway.metrics.registry for each in self._keepers.values() if each)]
        return total([*map(families_of, own), self._left])

    async def _keep(self, config: Config, begun: asyncio.Future[Opened]) -> None:
        """Own one gateway from its beginning to its last request, in one task."""
        try:
            async with open_gateway(config, self._resources) as gateway:
                opened = Opened(config, gateway, self._scrape, self)
                async with aclosing(opened.background):
                    begun.set_result(opened)
                    looking = asyncio.create_task(opened.tell_who_is_away())
                    with suppress(asyncio.CancelledError):  # where all ends
                        await opened.ended.wait()
                    looking.cancel()
        except asyncio.CancelledError:
            begun.cancel()
            raise
        except Exception as error:
            if begun.done():
                raise
            begun.set_exception(error)
            return
        self._left = lasting(total([self._left, families_of(gateway.metrics.registry)]))
        for keeper, each in self._keepers.items():
            if each is opened:
                self._keepers[keeper] = None
        if self._is_settled and self._opened is not None:
            gc.unfreeze()  # the gateway that has ended is among what was set aside
            _settle_garbage()

    async def _scrape(self) -> bytes:
        return exposition(tuple(await self.gather(self.figures())))


async def _alone(own: Iterable[Family]) -> Iterable[Family]:
    return own


async def _cut(scope: Scope, send: Send) -> None:
    """End an answer for which there is no time left: by an error, or within a stream by its last event."""
    try:
        await _send_error(scope, send, wire_error(_STOPPING))
    except RuntimeError:  # it has begun; without a last message the server closes the connection within the body
        with suppress(RuntimeError):
            await send({"type": "http.response.body", "body": error_event(_STOPPING), "more_body": True})


def _traced(serves: Serves, spans: Spans | None) -> Serves:
    return serves if spans is None else TracedApplication(serves, spans)


def _settle_garbage() -> None:
    """Look for cycles seldom, and not among what was loaded and opened at the start: a request leaves none behind."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_AFTER)


async def _send_error(scope: Scope, send: Send, error: WireError) -> None:
    await send_error(send, error, request_id=caller_id(dict(scope["headers"])))


def _routes(gateway: Gateway, chat: ChatCompletions, ops: Ops) -> list[Route]:
    decisions = Decisions(gateway.pipeline, gateway.keys, chat.max_body, gateway.names)
    feedback = Feedback(gateway.pipeline.books.ledger, gateway.keys, gateway.metrics)
    models = Models(gateway.names, gateway.keys)
    read = partial(read_embedding, names=gateway.names)
    embeddings = replace(chat, pipeline=gateway.embeddings or gateway.pipeline, read=read, overload=Overload())
    completions = replace(chat, read=partial(read_completion, names=gateway.names))
    view = DashboardView(
        ledger=gateway.ledger_place,
        version=__version__,
        backends=lambda: _health(gateway, ops),
        cache_kind=gateway.cache_kind,
        policy=gateway.pipeline.policy.version,
        threshold=gateway.pipeline.policy.threshold,
        alarms=gateway.firing,
        standings=gateway.prices.standings,
    )
    return [
        Route("/healthz", ops.health),
        Route("/readyz", ops.ready),
        Route("/metrics", ops.figures),
        Route("/v1/models", models.page),
        Route("/v1/models/{model:path}", models.one),
        Route("/v1/route", decisions.decide, methods=["POST"]),
        Route("/v1/feedback", feedback.rate, methods=["POST"]),
        Route("/v1/explain/{id:path}", Explain(gateway.ledger_place, gateway.keys).one),
        *stored_routes(CHAT, gateway.objects, gateway.keys),
        *message_routes(chat),
        Route("/v1/completions", completions, methods=["POST"]),
        Route("/v1/embeddings", embeddings, methods=["POST"]),
        *dashboard_routes(view),
    ]


async def _health(gateway: Gateway, ops: Ops) -> list[BackendHealth]:
    ready = await ops.readiness()
    routes = gateway.pipeline.routes.by_tier
    return [BackendHealth(tier, routes[tier].model, is_ready, routes[tier].price) for tier, is_ready in ready.items()]


def _method_not_allowed(method: str, allowed: str) -> WireError:
    return plain_error(
        405,
        f"{method[:16]} is not allowed here: use {allowed}",
        code="method_not_allowed",
        headers=((b"allow", allowed.encode()),),
    )


def _answer(request: Request, error: WireError) -> Response:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in error.headers}
    echo = caller_id(dict(request.scope["headers"]))
    if echo:
        headers["x-request-id"] = echo
    return Response(error.body, error.status, headers=headers)


async def _on_error(request: Request, error: Exception) -> Response:
    """Give our refusals and starlette's own (unknown path, wrong method) the one shape of an error."""
    if not isinstance(error, HTTPException):
        return _answer(request, wire_error(error))
    if error.status_code == 405:  # noqa: PLR2004
        allowed = (error.headers or {}).get("Allow", "GET")
        return _answer(request, _method_not_allowed(request.method, allowed))
    path = request.url.path[:80]
    message = f"there is nothing at {path!a}: see /v1/models, /v1/chat/completions, /dashboard"
    return _answer(request, plain_error(error.status_code, message, code="not_found"))


_HANDLERS: dict[Any, Callable[[Request, Exception], Awaitable[Response]]] = {
    HTTPException: _on_error,
    Exception: _on_error,
    GatewayError: _on_error,
}
