"""An error as OpenAI words it -> the same as Anthropic does.

Source: Anthropic API reference, "Errors".
"""

from typing import Any, Final

import msgspec
from msgspec import Struct

from backends.dialects.reading import UNREADABLE

OVERLOADED: Final = 529
"""The status of a refusal for lack of room; a client of Messages knows it, and comes again."""

_NO_ROOM: Final = 503
_SERVER: Final = 500
_KINDS: Final = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    OVERLOADED: "overloaded_error",
}
_STATUS_OF_CODE: Final = {"overloaded": OVERLOADED, "upstream_timeout": 504}


class _Told(Struct):
    message: Any = None
    type: Any = None
    code: Any = None


class _Answer(Struct):
    error: _Told | str | None = None


_read_answer: Final = msgspec.json.Decoder(_Answer).decode


def message_error(status: int, body: bytes) -> tuple[int, bytes]:
    """Return status and body of an answer that is an error.

    Args:
        body: with an error's object of either dialect; of anything else the status alone is told.
    """
    told = _told(body)
    if status == _NO_ROOM and told.code == "overloaded":
        status = OVERLOADED
    words = told.message if isinstance(told.message, str) and told.message else f"the request failed with {status}"
    return status, _encoded(status, words)


def error_event(data: bytes) -> bytes:
    """Return the event by which a stream of Messages tells that it failed.

    Args:
        data: of the event by which a stream of chunks told.
    """
    told = _told(data)
    status = _STATUS_OF_CODE.get(told.code, _SERVER) if isinstance(told.code, str) else _SERVER
    words = told.message if isinstance(told.message, str) and told.message else "the reply broke off"
    return b"event: error\ndata: " + _encoded(status, words) + b"\n\n"


def failure(words: str) -> bytes:
    """Return the event by which a stream of Messages tells that it failed here."""
    return b"event: error\ndata: " + _encoded(_SERVER, words) + b"\n\n"


def _encoded(status: int, words: str) -> bytes:
    kind = _KINDS.get(status, "invalid_request_error" if status < _SERVER else "api_error")
    return msgspec.json.encode({"type": "error", "error": {"type": kind, "message": words}})


def _told(body: bytes) -> _Told:
    try:
        error = _read_answer(body).error
    except UNREADABLE:
        return _Told()
    return _Told(message=error) if isinstance(error, str) else error or _Told()
