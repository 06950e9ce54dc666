"""Calls -> replies of a server that speaks the OpenAI API.

One server or several replicas of it: who holds the prompt's prefix, or the least loaded, in turn. One that could not
be reached, or has no room, is left out for a moment. The body goes out as it is, but for a salt in front where the
server takes one: this file reads neither requests nor replies, and does not try again.
"""

import asyncio
import re
import ssl
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from time import monotonic, time
from typing import Final
from urllib.parse import urlsplit

from backends.balancing import chosen
from backends.base import BackendError, Broken, Call, ConnectFailed, Overloaded, Rejected, Reply
from backends.pool import Answer, Pool, Spans

COOL_DOWN: Final = 2.0
"""Seconds for which a replica that could not be reached, or has no room, is asked last."""

READY_WITHIN: Final = 1.0
"""Seconds that a server has to say that it is ready."""

MAX_RETRY_AFTER: Final = 120.0
"""Seconds; a backend that asks for more is asked again after these."""

_SECONDS: Final = re.compile(rb"\d+(?:\.\d+)?")


@dataclass(slots=True)
class _Replica:
    pool: Pool
    name: str
    root: str  # the path of the base URL, such as "/v1"
    cool_until: float = 0.0
    asked: int = 0  # calls without an answer yet

    @property
    def load(self) -> int:
        """Return how many calls it is busy with; those that still connect are in no pool."""
        return max(len(self.pool.in_flight), self.asked)


class OpenAIHttp:
    """A backend behind one or several base URLs.

    Args:
        urls: http or https, checked by whoever configures them.
        api_key: printable ASCII; None where the server asks for none.
        connect_timeout, first_byte_timeout, idle_timeout: seconds.
        sends_cache_salt: the servers know the field `cache_salt` and share prefix KV only where it is the same.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        api_key: str | None,
        connect_timeout: float,
        first_byte_timeout: float,
        idle_timeout: float,
        sends_cache_salt: bool = False,
    ) -> None:
        spans = Spans(connect=connect_timeout, first_byte=first_byte_timeout, idle=idle_timeout)
        tls = ssl.create_default_context() if any(url.startswith("https:") for url in urls) else None
        self._replicas = tuple(_replica(url, spans=spans, tls=tls) for url in urls)
        self._sends_cache_salt = sends_cache_salt
        self._turn = 0
        self._key = f"authorization: Bearer {api_key}\r\n".encode() if api_key else b""
        constant = b"content-type: application/json\r\n" + self._key
        self._stream_head = constant + b"accept: text/event-stream\r\n"
        self._whole_head = constant + b"accept: application/json\r\n"

    def __repr__(self) -> str:
        return f"<OpenAIHttp {', '.join(repr(replica.pool) for replica in self._replicas)}>"

    async def send(self, call: Call) -> Reply:
        """Return a reply as soon as the first byte of its body is there; all of it where the call does not stream."""
        replica = self._next(call)
        replica.asked += 1
        try:
            answer = await replica.pool.send(
                "POST",
                replica.root + call.path,
                self._head_of(call),
                salted(call.body, call.salt) if self._sends_cache_salt and call.salt else call.body,
                deadline=call.deadline,
                whole=not call.stream,
            )
        except ConnectFailed:
            replica.cool_until = monotonic() + COOL_DOWN
            raise
        finally:
            replica.asked -= 1
        if not answer.is_success:
            error = await _refusal(answer)
            if isinstance(error, Overloaded):  # or the conversations whose prefixes it holds would find no room
                replica.cool_until = monotonic() + min(error.retry_after or COOL_DOWN, COOL_DOWN)
            raise error
        if answer.chunks.is_empty:
            raise Broken("answer has no body", status=answer.status)
        encoding = answer.headers.get(b"content-encoding", b"identity")
        if encoding != b"identity":
            await answer.chunks.aclose()
            raise Broken(f"answer is encoded as {encoding!r} though none was asked for", status=answer.status)
        return Reply(chunks=answer.chunks, media_type=answer.media_type, replica=replica.name)

    async def is_ready(self) -> bool:
        """Tell whether a replica says that it is ready, within a second; never raises."""
        deadline = monotonic() + READY_WITHIN
        return any(await asyncio.gather(*(self._says_ready(replica, deadline) for replica in self._replicas)))

    async def aclose(self) -> None:
        """Close all connections."""
        await asyncio.gather(*(replica.pool.aclose() for replica in self._replicas))

    def _next(self, call: Call) -> _Replica:
        if len(self._replicas) == 1:
            return self._replicas[0]
        now = monotonic()
        turned = (*self._replicas[self._turn :], *self._replicas[: self._turn])
        warm = [replica for replica in turned if replica.cool_until <= now] or list(turned)
        names = [replica.name for replica in warm]
        holder = names.index(call.holder) if call.holder in names else None
        at = chosen([replica.load for replica in warm], holder=holder, matched=call.matched)
        self._turn = (self._replicas.index(warm[at]) + 1) % len(self._replicas)
        return warm[at]

    def _head_of(self, call: Call) -> bytes:
        head = self._stream_head if call.stream else self._whole_head
        if not (call.request_id.isascii() and call.request_id.isprintable()):
            return head  # a line end within would make a header of its own
        return b"%bx-request-id: %b\r\n" % (head, call.request_id.encode())

    async def _says_ready(self, replica: _Replica, deadline: float) -> bool:
        try:
            answer = await replica.pool.send("GET", "/health", self._key, b"", deadline=deadline, whole=True)
            if answer.status in (404, 405):
                models = replica.root + "/models"
                answer = await replica.pool.send("GET", models, self._key, b"", deadline=deadline, whole=True)
        except BackendError:
            return False
        return answer.is_success


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


def _replica(url: str, *, spans: Spans, tls: ssl.SSLContext | None) -> _Replica:
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    pool = Pool(parts.hostname or "", port, tls=tls if secure else None, spans=spans)
    return _Replica(pool=pool, name=f"{parts.hostname}:{port}", root=parts.path.rstrip("/"))


async def _refusal(answer: Answer) -> BackendError:
    async with aclosing(answer.chunks) as chunks:
        body = b"".join([chunk async for chunk in chunks])
    status = answer.status
    if status in (429, 503):
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
