"""Errors -> the OpenAI error object, as an answer or as the last event of a stream."""

import math
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

import msgspec

from backends.base import BackendError, Rejected
from backends.engines.base import EngineError, NotReady, QueueFull, Refused

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Scope = MutableMapping[str, Any]
Header = tuple[bytes, bytes]

JSON: Final = (b"content-type", b"application/json")
LOADED_SOON: Final = 1.0
"""Seconds after which who came too early may come again."""

_TOO_MANY: Final = 429
_SERVER: Final = 500


def error_body(message: str, *, status: int, code: str, param: str | None = None) -> bytes:
    """Return `{"error": {...}}`."""
    kind = "invalid_request_error" if status < _TOO_MANY else "server_error"
    kind = "rate_limit_error" if status == _TOO_MANY else kind
    return msgspec.json.encode({"error": {"message": message, "type": kind, "param": param, "code": code}})


def answer_of(error: Exception) -> tuple[int, list[Header], bytes]:
    """Return (status, headers, body) for whoever asked; of a fault of our own only that there is one."""
    match error:
        case Rejected():
            return error.status, [(b"content-type", error.media_type.encode("latin-1", "replace"))], error.body
        case EngineError():
            param = error.param if isinstance(error, Refused) else None
            body = error_body(str(error), status=error.status, code=error.code, param=param)
            return error.status, [JSON, *_retry_after(error)], body
        case BackendError() | TimeoutError():
            return _SERVER, [JSON], error_body("the engine broke off", status=_SERVER, code="engine_error")
        case _:
            return _SERVER, [JSON], error_body("the engine server failed", status=_SERVER, code="internal_error")


def code_of(error: Exception) -> str:
    """Return the word that the figures count the error under."""
    return error.code if isinstance(error, EngineError) else "engine_error"


def error_event(error: Exception) -> bytes:
    """Return the last event of a stream that broke; nothing may follow it."""
    return b"data: %b\n\n" % answer_of(error)[2]


async def send_answer(send: Send, status: int, headers: list[Header], body: bytes) -> None:
    """Send a whole answer."""
    head = [*headers, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


def _retry_after(error: EngineError) -> list[Header]:
    match error:
        case QueueFull():
            seconds = error.retry_after
        case NotReady():
            seconds = LOADED_SOON
        case _:
            return []
    return [(b"retry-after", b"%d" % max(1, math.ceil(seconds)))]
