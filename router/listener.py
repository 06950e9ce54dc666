"""Bytes of a connection -> requests for the application, within limits, and its answers -> bytes.

uvicorn's own HTTP protocol, but for what it leaves open: a bound on the head, refusals in the one shape
that every error of the gateway has, word of a caller who leaves without a task that waits for it, answers in as few
writes as they need, and an end of the connection that loses no answer: who is refused while a body is still on its way
would meet a reset, and the refusal would be gone.
"""

import asyncio
import re
from collections.abc import Iterable, MutableMapping
from typing import Any
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from router.endpoints.errors import plain_error
from router.endpoints.wire import LEFT, SINK, WHOLE

HEAD_WITHIN = 5.0  # seconds for a head, from its first byte or from the connection on
MAX_HEADERS = 100
MAX_HEAD = 32 * 1024  # bytes
MAX_URL = 8 * 1024  # bytes
MAX_REST = 64 * 1024  # bytes of a body that may be read behind its answer so that the connection can be kept
LINGER_WITHIN = 5.0  # seconds that a caller who was answered may go on sending
LINGER_BYTES = 64 * 1024 * 1024  # and how much
LINGER_LOOK = 0.8  # seconds between two looks whether something comes
LINGER_LEAST = 4 * 1024  # bytes between them: who only drips has had the time to read

_HOST = re.compile(rb"(?:[A-Za-z0-9._~-]*|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")
_HIDDEN = re.compile(rb"^[^?]*%(?:2[ef]|5c|00)", re.IGNORECASE)
_BODILESS = frozenset((204, 304))


class _HeadTooLargeError(Exception):
    """Stops the parser; the answer was already sent."""


class _Cycle(RequestResponseCycle):
    """One request and its answer: uvicorn's, but for how the answer is written.

    The head waits for the first piece of body, since each write is a call of the kernel; it is looked through once as
    a whole and not twice for each header; and a caller of HTTP/1.0, who cannot read chunks, gets the bare body.
    """

    _held = b""

    async def send(self, message: MutableMapping[str, Any]) -> None:  # type: ignore[override]  # wider than uvicorn's
        """Take one message of the application; returns when the caller can take more."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        if message["type"] == "http.response.body" and self.response_started and not self.response_complete:
            body, is_last = message.get("body", b""), not message.get("more_body", False)
            if self.chunked_encoding and not is_last and not self._held:
                self.transport.write(b"%x\r\n%b\r\n" % (len(body), body))  # the way of most pieces
            else:
                self._write(self._framed(body, is_last=is_last), is_last=is_last)
        elif message["type"] == "http.response.start" and not self.response_started:
            self._begin(message["status"], message.get("headers", ()))
        else:
            raise RuntimeError(f"{message['type']} has no place here")

    def write(self, data: bytes) -> bool:
        """Take the next piece of a body that has begun; see `backends.base.Sink`."""
        if not self.disconnected:
            chunk = b"%x\r\n%b\r\n" % (len(data), data) if self.chunked_encoding else data
            self.transport.write(chunk)
        return not self.flow.write_paused

    async def drain(self) -> None:
        """Wait until the caller can take more."""
        await self.flow.drain()

    def _begin(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self.response_started = True
        if self.more_body and self.keep_alive:
            self.keep_alive = self._ends_soon()
        self.waiting_for_100_continue = False
        parts = [STATUS_LINE[status]]
        for name, value in (*self.default_headers, *headers):
            if name == b"connection":
                self.keep_alive = self.keep_alive and value != b"close"
                continue
            parts += (name, b": ", value, b"\r\n")
            if name == b"content-length":
                self.expected_content_length = int(value)
                self.chunked_encoding = False
        if not self.keep_alive:
            parts += (b"connection: close", b"\r\n")
        if self.chunked_encoding is None and status not in _BODILESS and self.scope["http_version"] != "1.0":
            self.chunked_encoding = True
            parts += (b"transfer-encoding: chunked", b"\r\n")
        head = b"".join(parts)
        ours = 2 * parts.count(b"\r\n") + len(b"\r\n")  # those between the headers, and that of the status line
        if len(head) - len(head.translate(None, b"\r\n\0")) != ours:
            raise RuntimeError("a header has a line break in it")
        self._held = head + b"\r\n"

    def _ends_soon(self) -> bool:
        """Tell whether the rest of the body is short enough to be read for nothing, and will surely come."""
        if self.waiting_for_100_continue:
            return False
        for name, value in self.scope["headers"]:
            if name == b"content-length":
                return int(value) <= MAX_REST
        return False

    def _framed(self, body: bytes, *, is_last: bool) -> bytes:
        if self.scope["method"] == "HEAD":
            return b""
        if self.chunked_encoding:
            framed = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            return framed + b"0\r\n\r\n" if is_last else framed
        if self.chunked_encoding is False:
            self.expected_content_length -= len(body)
            if self.expected_content_length < 0 or (is_last and self.expected_content_length):
                raise RuntimeError("the body has another length than its head says")
        return body

    def _write(self, data: bytes, *, is_last: bool) -> None:
        if self._held:
            data, self._held = self._held + data, b""
        if data:
            self.transport.write(data)
        if is_last:
            self.response_complete = True
            self.message_event.set()
            if not (self.keep_alive or self.more_body):
                self.transport.close()
            self.on_response()  # where more of the body is to come, it decides how the connection ends


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    _head = 0
    _linger_timer: asyncio.TimerHandle | None = None  # there while what comes is dropped
    _has_ended = False  # nothing more is said here
    _dropped = _seen = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Take note of a caller."""
        super().connection_made(transport)
        self._left: asyncio.Future[None] = self.loop.create_future()
        self._idle_timer: asyncio.TimerHandle | None = None
        self._awaits_head = True
        self._head_timer: asyncio.TimerHandle | None = self.loop.call_later(HEAD_WITHIN, self.transport.close)

    def data_received(self, data: bytes) -> None:
        """Take bytes; a head that began must end in time."""
        self._unset_keepalive_if_required()
        if self._linger_timer is not None and self._drops(data):
            return
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as asked:
            self._ignore_upgrade(data[asked.args[0] :])
        except httptools.HttpParserError:
            self.send_400_response("")
        if self._awaits_head:
            if self._head_timer is None:
                self._head_timer = self.loop.call_later(HEAD_WITHIN, self.transport.close)
        elif self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def on_response_complete(self) -> None:
        """Begin the next request that waits, or see to it that an idle connection ends.

        One timer for all pauses of a connection, which looks how long the last one has lasted: to start and cancel one
        for each costs as much as reading a request's head.
        """
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.cycle.more_body and self.cycle.response_complete:
            self._linger(ends=not self.cycle.keep_alive)
            return
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self._idle()

    def _end_idle(self) -> None:
        self._idle_timer = None
        is_idle = (self.cycle is None or self.cycle.response_complete) and self._head_timer is None
        left = self._idle_since + self.timeout_keep_alive - self.loop.time() if is_idle else self.timeout_keep_alive
        if left > 0:
            self._idle_timer = self.loop.call_later(left, self._end_idle)
        elif not self.transport.is_closing():
            self.transport.close()

    def _linger(self, *, ends: bool) -> None:
        """Drop what still comes behind an answer, within bounds: a close with bytes unread would be a reset.

        Args:
            ends: nothing more is said, and the caller is told so at once; otherwise the connection is kept where the
                body ends in time.
        """
        self._dropped = self._seen = 0
        self._idle_since = self.loop.time()
        self._linger_timer = self.loop.call_later(LINGER_LOOK, self._look)
        if not ends:
            return
        self._has_ended, self._awaits_head = True, False
        if self.cycle is not None and not self.cycle.response_complete:  # what was asked before has no answer any more
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            self._left.set_result(None)
        self.transport.write_eof()

    def _drops(self, data: bytes) -> bool:
        """Count what comes behind an answer; tells whether none of it is to be read."""
        self._dropped += len(data)
        if self._dropped > LINGER_BYTES:
            self.transport.close()
        return self._has_ended or self.transport.is_closing()

    def _look(self) -> None:
        """Go on reading while the caller goes on sending."""
        came, self._seen = self._dropped - self._seen, self._dropped
        if came >= LINGER_LEAST and self.loop.time() < self._idle_since + LINGER_WITHIN:
            self._linger_timer = self.loop.call_later(LINGER_LOOK, self._look)
        else:
            self.transport.close()

    def _idle(self) -> None:
        self._idle_since = self.loop.time()
        if self._idle_timer is None:
            self._idle_timer = self.loop.call_later(self.timeout_keep_alive, self._end_idle)

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Read a request again without its wish for another protocol, as whose bytes the parser would take the body.

        Java's own client asks for HTTP/2 with every request.
        """
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        if method == b"CONNECT":
            self.send_400_response("")
            return
        kept = b"".join([b"%b: %b\r\n" % header for header in self.headers if header[0] != b"upgrade"])
        self.parser = httptools.HttpRequestParser(self)
        self.data_received(b"%b %b HTTP/%b\r\n%b\r\n" % (method, self.url, version, kept) + rest)

    def on_headers_complete(self) -> None:
        """Start the request: its head is whole."""
        if self.parser.should_upgrade():
            return
        self._awaits_head = False
        version = self.parser.get_http_version()
        hosts = [value for name, value in self.headers if name == b"host"]
        if (len(hosts) != 1 and (hosts or version == "1.1")) or (hosts and _HOST.fullmatch(hosts[0]) is None):
            self._refuse(400, "a request names one host, without a path or a user", "invalid_host")
        if not self.url.startswith(b"/"):
            self._refuse(400, "the target must be a path", "invalid_target")
        if b"%" in self.url and _HIDDEN.search(self.url) is not None and not self.url.startswith(b"/v1/models/"):
            self._refuse(400, "the path hides a slash, a dot or a NUL", "invalid_target")
        url = httptools.parse_url(self.url)
        path = url.path.decode("ascii")
        self.scope["method"] = self.parser.get_method().decode("ascii")
        self.scope["http_version"] = version
        self.scope["path"] = unquote(path) if "%" in path else path
        self.scope["raw_path"] = url.path
        self.scope["query_string"] = url.query or b""
        before, self.cycle = (
            self.cycle,
            _Cycle(
                scope=self.scope,
                transport=self.transport,
                flow=self.flow,
                logger=self.logger,
                access_logger=self.access_logger,
                access_log=False,
                default_headers=self.server_state.default_headers,
                message_event=asyncio.Event(),
                expect_100_continue=self.expect_100_continue,
                keep_alive=version != "1.0" and self.parser.should_keep_alive(),
                on_response=self.on_response_complete,
            ),
        )
        self.scope["extensions"][SINK] = {"sink": self.cycle}
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def connection_lost(self, exc: Exception | None) -> None:
        """Say that the caller left."""
        for timer in (self._head_timer, self._idle_timer, self._linger_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)
        if not self._left.done():
            self._left.set_result(None)

    def on_message_begin(self) -> None:
        """Start counting anew for each request."""
        super().on_message_begin()
        self.scope["extensions"] = {LEFT: {"future": self._left}}
        self._head = 0
        self._awaits_head = True

    def on_message_complete(self) -> None:
        """Go on reading behind a long body too: otherwise nobody would see the caller leave."""
        if self.parser.should_upgrade():
            return
        if self._linger_timer is not None:  # behind its answer
            self._linger_timer.cancel()
            self._linger_timer = None
            self._idle()
        super().on_message_complete()
        self.scope["extensions"][WHOLE] = {}
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
        if not (self._has_ended or self.transport.is_closing()):
            self._write(400, "the request is not valid HTTP/1.1", "invalid_http")

    def _refuse(self, status: int, message: str, code: str) -> None:
        self._write(status, message, code)
        raise _HeadTooLargeError  # reaches the parser, which stops and reports an error

    def _write(self, status: int, message: str, code: str) -> None:
        error = plain_error(status, message, code=code)
        head = b"".join(b"%s: %s\r\n" % header for header in error.headers)
        length = b"content-length: %d\r\nconnection: close\r\n\r\n" % len(error.body)
        self.transport.write(STATUS_LINE[status] + head + length + error.body)
        if self.pipeline:  # whose answers would be written behind the end
            self.transport.close()
        else:
            self._linger(ends=True)
