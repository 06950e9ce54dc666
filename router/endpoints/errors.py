"""Errors -> OpenAI's error object: the one table for every path.

Messages of gateway errors are written for callers; of anything else only the kind goes out, never a
path, an address or a stack.
"""

from dataclasses import dataclass

import msgspec

from backends.base import BackendError, Rejected, TimedOut
from router.base import GatewayError, RateLimited
from router.endpoints.limit_headers import limit_headers

Header = tuple[bytes, bytes]

_JSON = (b"content-type", b"application/json")
_DO_NOT_RETRY = (b"x-should-retry", b"false")
_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "invalid_request_error",
    405: "invalid_request_error",
}


@dataclass(frozen=True, slots=True)
class WireError:
    """An HTTP answer that is an error."""

    status: int
    headers: tuple[Header, ...]
    body: bytes


def wire_error(error: Exception) -> WireError:
    """Return what the caller gets for this error."""
    match error:
        case Rejected():
            media_type = (b"content-type", error.media_type.encode("latin-1", "replace"))
            return WireError(error.status, (media_type, _DO_NOT_RETRY), error.body)
        case RateLimited():
            again = (b"retry-after", b"%d" % max(1, round(error.retry_after or 1)))
            final = () if error.retryable else (_DO_NOT_RETRY,)
            headers = (again, *final, *limit_headers(error.remaining))
            return plain_error(error.status, str(error), code=error.code, kind=error.kind, headers=headers)
        case GatewayError():
            extra = () if error.retry_after is None else ((b"retry-after", b"%d" % max(1, round(error.retry_after))),)
            return plain_error(
                error.status, str(error), code=error.code, param=error.param, kind=error.kind, headers=extra
            )
        case TimedOut():
            return plain_error(504, "the backend stopped answering", code="upstream_timeout")
        case BackendError():
            return plain_error(502, "the backend's answer broke off", code="upstream_error")
        case _:
            return plain_error(500, "the gateway failed; the request id tells its log line", code="internal_error")


def plain_error(
    status: int,
    message: str,
    *,
    code: str,
    param: str | None = None,
    kind: str = "",
    headers: tuple[Header, ...] = (),
) -> WireError:
    """Return an error of our own; a status below 429 says that a repeat cannot help."""
    kind = kind or _KINDS.get(status, "invalid_request_error" if status < 500 else "server_error")  # noqa: PLR2004
    retry = () if status in (408, 409) or status >= 429 else (_DO_NOT_RETRY,)  # noqa: PLR2004
    return WireError(status, (_JSON, *retry, *headers), error_body(message, kind=kind, code=code, param=param))


def error_body(message: str, *, kind: str, code: str, param: str | None = None) -> bytes:
    """Return `{"error": {...}}`."""
    return msgspec.json.encode({"error": {"message": message, "type": kind, "param": param, "code": code}})


def error_event(error: Exception) -> bytes:
    """Return the last event of a stream that failed; nothing may follow it."""
    return b"data: " + wire_error(error).body + b"\n\n"
