"""Requests -> answers of one engine: the table of endpoints and what catches every error.

It answers from the first moment on, while the engine still loads, and says so. The completions stand in front, since
they are the hot path; everything else goes through starlette.
"""

import asyncio
import logging
import time
from contextlib import suppress
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Raw, Struct
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from backends.engines.base import CHAT, TEXT, Engine, EngineError, NotReady, Refused, UnknownModel
from backends.engines.serving.admission import Admission
from backends.engines.serving.asks import Offer, read_ask
from backends.engines.serving.completions import Completions, read_body
from backends.engines.serving.errors import JSON, Receive, Scope, Send, answer_of, error_body, send_answer
from backends.engines.serving.metrics import Metrics

MAX_TEXT: Final = 1024 * 1024
"""Bytes of a text to be cut into tokens: cutting a longer one holds up everybody's prompts for seconds."""

HEALTH_WITHIN: Final = 1.0
"""Seconds that an engine has to say that it is well."""

_COMPLETIONS: Final = frozenset((f"/v1{CHAT}", f"/v1{TEXT}"))
_METRICS_TYPE: Final = "text/plain; version=1.0.0; charset=utf-8"
_NOT_ALLOWED: Final = 405
_NONE: Final = Raw(b"null")
_log = logging.getLogger(__name__)


class _Text(Struct):
    """A text to be cut into tokens, under the name that callers of either engine know, or a chat to be counted."""

    prompt: str | None = None
    content: str | None = None
    messages: Raw = _NONE
    model: Annotated[str, Meta(max_length=1024)] | None = None


class EngineApp:
    """The application.

    Args:
        offer: what it can be asked for; known before the engine is.
    """

    def __init__(self, offer: Offer, admission: Admission, metrics: Metrics) -> None:
        self._offer, self._admission, self._metrics = offer, admission, metrics
        self._engine: Engine | None = None
        self._completions: Completions | None = None
        self._began = int(time.time())
        self._rest = Starlette(routes=self._routes(), exception_handlers=_HANDLERS)
        self._rest.router.redirect_slashes = False

    def serve(self, engine: Engine) -> None:
        """Answer with this engine from now on; it is loaded."""
        self._engine = engine
        self._completions = Completions(engine, self._offer, self._admission, self._metrics)

    def retire(self) -> None:
        """Answer that the engine is not ready, as before it was loaded."""
        self._engine = self._completions = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; no exception leaves this function."""
        try:
            if scope["path"] not in _COMPLETIONS:
                await self._rest(scope, receive, send)
            elif scope["method"] != "POST":
                await send_answer(send, *_not_allowed(scope["method"], "POST"))
            elif self._completions is None:
                await send_answer(send, *answer_of(_loading()))
            else:
                await self._completions.answer(scope, receive, send)
        except Exception as error:  # noqa: BLE001 - whatever fails here must become an answer, not a dropped line
            _log.exception("request to %s failed", scope["path"])
            with suppress(RuntimeError):  # what the server raises when an answer has begun; it then cuts that one
                await send_answer(send, *answer_of(error))

    def _routes(self) -> list[Route]:
        return [
            Route("/health", self._health),
            Route("/metrics", self._figures),
            Route("/v1/models", self._list_models),
            Route("/v1/models/{model:path}", self._get_model),
            Route("/tokenize", self._tokenize, methods=["POST"]),
            Route("/v1/tokenize", self._tokenize, methods=["POST"]),
        ]

    async def _health(self, _request: Request) -> Response:
        if self._engine is None:
            return JSONResponse({"status": "loading"}, status_code=503)
        is_healthy = False
        with suppress(TimeoutError):
            async with asyncio.timeout(HEALTH_WITHIN):
                is_healthy = await self._engine.is_healthy()
        return JSONResponse({"status": "ok" if is_healthy else "unwell"}, status_code=200 if is_healthy else 503)

    async def _figures(self, _request: Request) -> Response:
        return Response(self._metrics.text(), media_type=_METRICS_TYPE)

    async def _list_models(self, _request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [self._model(name) for name in self._offer.models()]})

    async def _get_model(self, request: Request) -> Response:
        name = request.path_params["model"]
        if name not in self._offer.models():
            raise UnknownModel(f"the model {name[:80]!a} does not exist", param="model")
        return JSONResponse(self._model(name))

    def _model(self, name: str) -> dict[str, object]:
        model: dict[str, object] = {"id": name, "object": "model", "created": self._began, "owned_by": "tandem"}
        if self._engine is not None:
            model["max_model_len"] = self._engine.context
        return model if name == self._offer.name else {**model, "parent": self._offer.name}

    async def _tokenize(self, request: Request) -> Response:
        engine = self._engine
        if engine is None:
            raise _loading()
        try:
            body = await read_body(request.receive, limit=MAX_TEXT)
            asked = msgspec.json.decode(body, type=_Text)
        except ConnectionAbortedError:
            return Response(status_code=408)  # nobody is there to read it
        except (msgspec.DecodeError, RecursionError) as error:
            raise Refused(f"the body is no object with a text: {error}", param=None) from error
        if asked.messages != _NONE:
            chat = read_ask(body, CHAT, offer=self._offer, request_id="")
            return JSONResponse({"count": await engine.count(chat), "max_model_len": engine.context})
        text = asked.content if asked.prompt is None else asked.prompt
        if text is None:
            raise Refused("the field prompt is missing", param="prompt")
        tokens = list(await engine.tokenize(text))
        return JSONResponse({"tokens": tokens, "count": len(tokens), "max_model_len": engine.context})


def _loading() -> NotReady:
    return NotReady("the engine is loading its model: try again in a moment")


def _refused_by_path(request: Request, error: Exception) -> Response:
    """Answer what starlette refuses itself: a path that is none, a method that is not the path's."""
    if not isinstance(error, HTTPException):
        raise error
    if error.status_code == _NOT_ALLOWED:
        status, headers, body = _not_allowed(request.method, (error.headers or {}).get("Allow", ""))
    else:
        status, headers = error.status_code, [JSON]
        body = error_body(f"there is no {request.url.path[:80]!a} here", status=status, code="not_found")
    return Response(body, status, {name.decode(): value.decode() for name, value in headers})


def _failed(_request: Request, error: Exception) -> Response:
    status, headers, body = answer_of(error)
    return Response(body, status, {name.decode(): value.decode() for name, value in headers})


def _not_allowed(method: str, allowed: str) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    body = error_body(f"{method} is not done here: use {allowed}", status=_NOT_ALLOWED, code="method_not_allowed")
    return _NOT_ALLOWED, [JSON, (b"allow", allowed.encode())], body


_HANDLERS: Final = {HTTPException: _refused_by_path, EngineError: _failed, Exception: _failed}
