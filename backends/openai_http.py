"""Calls -> replies of a server that speaks the OpenAI API.

One server. The body goes out as it is, but for a salt in front where the server takes one: this file reads neither
requests nor replies, does not try again, and knows of no other server that could answer.
"""

import re
import ssl
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from time import monotonic, time
from typing import Final
from urllib.parse import urlsplit

from backends.base import BackendError, Broken, Call, Overloaded, Rejected, Reply
from backends.pool import Answer, Pool, Spans
from backends.server_paths import server_path

READY_WITHIN: Final = 1.0
"""Seconds that a server has to say that it is ready."""

MAX_RETRY_AFTER: Final = 120.0
"""Seconds; a backend that asks for more is asked again after these."""

_NO_ROOM: Final = 529  # what Anthropic's servers say where others say 503
_SECONDS: Final = re.compile(rb"\d+(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class Access:
    """How a server is asked; the same for all servers of one model.

    Attributes:
        api_key: printable ASCII; None where the servers ask for none.
        spans: how long they may take.
        sends_cache_salt: they know the field `cache_salt` and share prefix KV only where it is the same.
        key_header: how the header begins that carries the key.
        more_headers: what every request bears beside, each line with its end.
    """

    api_key: str | None = None
    spans: Spans = field(default_factory=Spans)
    sends_cache_salt: bool = False
    key_header: str = "authorization: Bearer"
    more_headers: str = ""


class OpenAIHttp:
    """A backend behind one base URL.

    Args:
        url: http or https, checked by whoever configures it.
        access: how it is asked.
        name: what replies call it; None for "host:port".
        tls: for https; None for what the system trusts.

    Attributes:
        name: what replies call it.
    """

    def __init__(
        self,
        url: str,
        access: Access = Access(),
        *,
        name: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        if secure and tls is None:
            tls = ssl.create_default_context()
        self.name = name or f"{parts.hostname}:{port}"
        self._pool = Pool(parts.hostname or "", port, tls=tls if secure else None, spans=access.spans)
        self._root = parts.path.rstrip("/")  # such as "/v1"
        self._sends_cache_salt = access.sends_cache_salt
        key = f"{access.key_header} {access.api_key}\r\n" if access.api_key else ""
        self._key = (key + access.more_headers).encode()
        constant = b"content-type: application/json\r\n" + self._key
        self._stream_head = constant + b"accept: text/event-stream\r\n"
        self._whole_head = constant + b"accept: application/json\r\n"

    def __repr__(self) -> str:
        return f"<OpenAIHttp {self._pool!r}>"

    async def send(self, call: Call) -> Reply:
        """Return a reply as soon as the first byte of its body is there; all of it where the call does not stream."""
        answer = await self._pool.send(
            "POST",
            server_path(self._root, call.path),
            self._head_of(call),
            salted(call.body, call.salt) if self._sends_cache_salt and call.salt else call.body,
            deadline=call.deadline,
            whole=not call.stream,
        )
        if not answer.is_success:
            raise await _refusal(answer)
        if answer.chunks.is_empty:
            raise Broken("answer has no body", status=answer.status)
        encoding = answer.headers.get(b"content-encoding", b"identity")
        if encoding != b"identity":
            await answer.chunks.aclose()
            raise Broken(f"answer is encoded as {encoding!r} though none was asked for", status=answer.status)
        return Reply(chunks=answer.chunks, media_type=answer.media_type, replica=self.name)

    async def is_ready(self) -> bool:
        """Tell whether the server says that it is ready, within a second; never raises."""
        deadline = monotonic() + READY_WITHIN
        try:
            answer = await self._pool.send("GET", "/health", self._key, b"", deadline=deadline, whole=True)
            if answer.status in (404, 405):
                models = self._root + "/models"
                answer = await self._pool.send("GET", models, self._key, b"", deadline=deadline, whole=True)
        except BackendError:
            return False
        return answer.is_success

    async def aclose(self) -> None:
        """Close all connections."""
        await self._pool.aclose()

    def _head_of(self, call: Call) -> bytes:
        head = self._stream_head if call.stream else self._whole_head
        if not (call.request_id.isascii() and call.request_id.isprintable()):
            return head  # a line end within would make a header of its own
        place = b"traceparent: %b\r\n" % call.traceparent.encode() if call.traceparent else b""
        return b"%bx-request-id: %b\r\n%b" % (head, call.request_id.encode(), place)


def servers_of(urls: Sequence[str], access: Access) -> tuple[OpenAIHttp, ...]:
    """Return a backend for each URL, all with names of their own; no URL stands there twice."""
    tls = ssl.create_default_context() if any(url.startswith("https:") for url in urls) else None
    servers = tuple(OpenAIHttp(url, access, tls=tls) for url in urls)
    names = [server.name for server in servers]
    return tuple(
        server if names.count(server.name) == 1 else OpenAIHttp(url, access, tls=tls, name=url.partition("//")[2])
        for url, server in zip(urls, servers, strict=True)
    )


def salted(body: bytes, salt: str) -> bytes:
    """Return the body with the salt as its first field.

    Args:
        body: a JSON object that has a field and no `cache_salt`: no caller may set one.
        salt: letters and digits.
    """
    return b'{"cache_salt":"%b",%b' % (salt.encode(), body[1:])


def retry_after_of(headers: dict[bytes, bytes]) -> float | None:
    """Return the seconds that a server asks to be left alone, 0.0 to 120.0; None where it does not say.

    A date is compared with the date of the answer itself, where it has one: the two clocks need not agree.
    """
    value = headers.get(b"retry-after", b"")
    if _SECONDS.fullmatch(value):
        return min(float(value), MAX_RETRY_AFTER)
    until = _instant(value)
    if until is None:
        return None
    now = _instant(headers.get(b"date", b""))
    return min(max(until - (time() if now is None else now), 0.0), MAX_RETRY_AFTER)


async def _refusal(answer: Answer) -> BackendError:
    async with aclosing(answer.chunks) as chunks:
        body = b"".join([chunk async for chunk in chunks])
    status = answer.status
    if status in (429, 503, _NO_ROOM):
        return Overloaded(f"backend answered {status}", retry_after=retry_after_of(answer.headers))
    if status in (401, 403):  # the gateway's own credentials are wrong, which is no caller's business
        return Broken(f"backend answered {status}: check its api_key", status=status)
    if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return Rejected(status, body, answer.media_type)
    return Broken(f"backend answered {status}", status=status)


def _instant(value: bytes) -> float | None:
    try:
        return parsedate_to_datetime(value.decode("ascii")).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
