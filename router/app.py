"""Gateway -> one ASGI application: the table of endpoints and what catches every error.

The chat endpoint stands in front, since it is the hot path; everything else goes through starlette.
"""

import gc
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from router import __version__
from router.base import GatewayError
from router.config.models import Config
from router.dashboard.base import BackendHealth, DashboardView
from router.dashboard.pages import dashboard_routes
from router.endpoints.chat import ChatCompletions, Scope, Send, send_error
from router.endpoints.decisions import Decisions
from router.endpoints.errors import WireError, plain_error, wire_error
from router.endpoints.feedback import Feedback
from router.endpoints.models import get_model, list_models
from router.endpoints.ops import Ops
from router.endpoints.wire import Receive, caller_id
from router.gateway import Gateway, open_gateway
from router.guards.password import Password

CHAT = "/v1/chat/completions"
GARBAGE_AFTER = 20_000  # objects more than were freed

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


class Tandem:
    """The application; opens its gateway with the server's lifespan.

    Attributes:
        failure: why the gateway could not be opened; None as long as nothing failed.
    """

    def __init__(self, config: Config) -> None:
        self.failure: Exception | None = None
        self._config = config
        self._chat: ChatCompletions | None = None
        self._rest = Starlette(lifespan=self._lifespan, exception_handlers=_HANDLERS)
        self._rest.router.redirect_slashes = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; no exception leaves this function."""
        if scope["type"] != "http":
            await self._rest(scope, receive, send)
            return
        try:
            if scope["path"] != CHAT or self._chat is None:
                refusal = self._refusal(scope)
                await (self._rest(scope, receive, send) if refusal is None else _send_error(scope, send, refusal))
            elif scope["method"] == "POST":
                await self._chat(scope, receive, send)
            else:
                await _send_error(scope, send, _method_not_allowed(scope["method"], "POST"))
        except Exception as error:  # noqa: BLE001  (whatever fails here must become an answer, not a dropped line)
            _log.exception("request to %s failed", scope["path"])
            with suppress(RuntimeError):  # what the server raises when an answer has begun; it then cuts that one
                await _send_error(scope, send, wire_error(error))

    def _refusal(self, scope: Scope) -> WireError | None:
        """Return why this caller may not see the dashboard; None for every other path."""
        if not scope["path"].startswith("/dashboard"):
            return None
        password = self._config.dashboard.password
        if password is None:
            return None if self._config.server.is_loopback else _CLOSED
        admitted = Password(password.get_secret_value()).admits(scope["headers"])
        return None if admitted else _ASKS_PASSWORD

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
            yield

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None, None]:
        """Open the gateway for as long as the block runs."""
        async with open_gateway(self._config) as gateway:
            server = self._config.server
            self._chat = ChatCompletions(
                pipeline=gateway.pipeline,
                keys=gateway.keys,
                metrics=gateway.metrics,
                max_body=server.max_body_bytes,
                timeout=server.request_timeout,
                keep_sampled=self._config.cache.sampled,
                config=self._config.version,
            )
            self._rest.router.routes.extend(_routes(gateway, self._chat))
            _log.info("ready on %s:%s; replies are kept in: %s", server.host, server.port, gateway.cache_kind)
            yield
            self._chat = None


def _settle_garbage() -> None:
    """Look for cycles seldom, and not among what was loaded and opened at the start: a request leaves none behind."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_AFTER)


async def _send_error(scope: Scope, send: Send, error: WireError) -> None:
    await send_error(send, error, request_id=caller_id(dict(scope["headers"])))


def _routes(gateway: Gateway, chat: ChatCompletions) -> list[Route]:
    ops = Ops(gateway.backends, gateway.metrics)
    decisions = Decisions(gateway.pipeline, gateway.keys, chat.max_body)
    feedback = Feedback(gateway.pipeline.ledger, gateway.keys, gateway.metrics)
    view = DashboardView(
        ledger_path=gateway.ledger_path,
        version=__version__,
        backends=lambda: _health(gateway, ops),
        cache_kind=gateway.cache_kind,
        policy=gateway.pipeline.policy.version,
        threshold=gateway.pipeline.policy.threshold,
    )
    return [
        Route("/healthz", ops.health),
        Route("/readyz", ops.ready),
        Route("/metrics", ops.figures),
        Route("/v1/models", list_models),
        Route("/v1/models/{model:path}", get_model),
        Route("/v1/route", decisions.decide, methods=["POST"]),
        Route("/v1/feedback", feedback.rate, methods=["POST"]),
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
