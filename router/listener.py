"""Bytes of a connection -> requests for the application, within limits.

uvicorn's own HTTP protocol, but for what it leaves open: a bound on the head, refusals in the one shape
that every error of the gateway has, word of a caller who leaves without a task that waits for it, and head
and body in one write.
"""

import asyncio

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from router.endpoints.errors import plain_error
from router.endpoints.wire import LEFT

HEAD_WITHIN = 5.0  # seconds for a head, from its first byte or from the connection on
MAX_HEADERS = 100
MAX_HEAD = 32 * 1024  # bytes
MAX_URL = 8 * 1024  # bytes


class _HeadTooLargeError(Exception):
    """Stops the parser; the answer was already sent."""


class _JoiningTransport(asyncio.Transport):
    """A transport that holds back the head of an answer until its body comes, at most one turn of the loop.

    Each write is a call of the kernel, and a small answer's head and body are two.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._held = b""
        self.is_closing = transport.is_closing  # type: ignore[method-assign]
        self.get_extra_info = transport.get_extra_info  # type: ignore[method-assign]
        self.pause_reading = transport.pause_reading  # type: ignore[method-assign]
        self.resume_reading = transport.resume_reading  # type: ignore[method-assign]

    def write(self, data: bytes) -> None:  # type: ignore[override]  # uvicorn writes nothing else
        if self._held:
            self._held, data = b"", self._held + data
        elif data.startswith(b"HTTP/1.1 "):
            self._held = data
            self._loop.call_soon(self._flush)
            return
        self._transport.write(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._held:
            self._transport.write(self._held)
            self._held = b""


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    _head = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Take note of a caller."""
        super().connection_made(_JoiningTransport(transport, self.loop))
        self._left: asyncio.Future[None] = self.loop.create_future()
        self._awaits_head = True
        self._head_timer: asyncio.TimerHandle | None = self.loop.call_later(HEAD_WITHIN, self.transport.close)

    def data_received(self, data: bytes) -> None:
        """Take bytes; a head that began must end in time."""
        super().data_received(data)
        if self._awaits_head:
            if self._head_timer is None:
                self._head_timer = self.loop.call_later(HEAD_WITHIN, self.transport.close)
        elif self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def on_headers_complete(self) -> None:
        """Take note that the head is whole."""
        self._awaits_head = False
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Say that the caller left."""
        if self._head_timer is not None:
            self._head_timer.cancel()
        super().connection_lost(exc)
        self._left.set_result(None)

    def on_message_begin(self) -> None:
        """Start counting anew for each request."""
        super().on_message_begin()
        self.scope["extensions"] = {LEFT: {"future": self._left}}
        self._head = 0
        self._awaits_head = True

    def on_message_complete(self) -> None:
        """Go on reading behind a long body too: otherwise nobody would see the caller leave."""
        super().on_message_complete()
        if not self.pipeline:
            self.flow.resume_reading()

    def on_url(self, url: bytes) -> None:
        """Take a piece of the URL."""
        super().on_url(url)
        if len(self.url) > MAX_URL:
            self._refuse(414, f"the URL is longer than {MAX_URL} bytes", "url_too_long")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header."""
        super().on_header(name, value)
        self._head += len(name) + len(value)
        if self._head > MAX_HEAD or len(self.headers) > MAX_HEADERS:
            self._refuse(431, f"the head has over {MAX_HEADERS} headers or {MAX_HEAD} bytes", "head_too_large")

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  (the parser's words are not for callers)
        """Refuse what is not HTTP, unless it was refused already."""
        if not self.transport.is_closing():
            self._write(400, "the request is not valid HTTP/1.1", "invalid_http")

    def _refuse(self, status: int, message: str, code: str) -> None:
        self._write(status, message, code)
        raise _HeadTooLargeError  # reaches the parser, which stops and reports an error

    def _write(self, status: int, message: str, code: str) -> None:
        error = plain_error(status, message, code=code)
        head = b"".join(b"%s: %s\r\n" % header for header in error.headers)
        length = b"content-length: %d\r\nconnection: close\r\n\r\n" % len(error.body)
        self.transport.write(STATUS_LINE[status] + head + length + error.body)
        self.transport.close()
