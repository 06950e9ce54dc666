"""Bytes of a connection -> requests for the application, within limits, and its answers -> bytes.

uvicorn's own HTTP protocol, but for what it leaves open: a bound on the head, refusals in the one shape
that every error of the gateway has, word of a caller who leaves without a task that waits for it, answers in as few
writes as they need, and an end of the connection that loses no answer: who is refused while a body is still on its way
would meet a reset, and the refusal would be gone.
"""

import asyncio
import re
from collections import deque
from collections.abc import Callable, Iterable, MutableMapping
from functools import partial
from sys import intern
from typing import Any, Literal
from urllib.parse import unquote

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from router.endpoints.at_once import WholeAnswer
from router.endpoints.errors import plain_error
from router.endpoints.wire import LEFT, RELEASE, SINK, WHOLE

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
_EMPTY: deque[Any] = deque()  # of requests that wait, for all connections where none does


class _HeadTooLargeError(Exception):
    """Stops the parser; the answer was already sent."""


class _Signal(asyncio.Event):
    """An event that is small: asyncio's own holds a queue of 600 bytes for those who wait before anybody does."""

    __slots__ = ("_is_set", "_waiting")

    def __init__(self, *, is_set: bool = False) -> None:
        self._is_set = is_set
        self._waiting: tuple[asyncio.Future[None], ...] = ()

    def is_set(self) -> bool:
        """Tell whether nobody has to wait."""
        return self._is_set

    def set(self) -> None:
        """Let all who wait go on."""
        self._is_set = True
        waiting, self._waiting = self._waiting, ()
        for each in waiting:
            if not each.done():
                each.set_result(None)

    def clear(self) -> None:
        """Let those wait who come from now on."""
        self._is_set = False

    async def wait(self) -> Literal[True]:
        """Return as soon as it is set."""
        if not self._is_set:
            told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting = (*self._waiting, told)
            await told
        return True


class _Flow(FlowControl):
    """Who takes bytes now: uvicorn's, with a small event."""

    __slots__ = ("_is_writable_event", "_transport", "read_paused", "write_paused")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.read_paused = self.write_paused = False
        self._is_writable_event = _Signal(is_set=True)


def _nothing() -> None:
    pass


class _Cycle(RequestResponseCycle):
    """One request and its answer: uvicorn's, but for how the answer is written.

    The head waits for the first piece of body, since each write is a call of the kernel; it is looked through once as
    a whole and not twice for each header; and a caller of HTTP/1.0, who cannot read chunks, gets the bare body.
    """

    _held = b""
    is_head = False  # nothing but the head of the answer is wanted

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

    def tell(self, answer: WholeAnswer) -> None:
        """Take a whole answer."""
        self._begin(answer.status, (*answer.headers, (b"content-length", b"%d" % len(answer.body))))
        self._write(self._framed(answer.body, is_last=True), is_last=True)
        self.on_response = _nothing

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
        if self.is_head:
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
            self.scope.get("extensions", {}).clear()  # else the two would keep each other until they are collected
            self.response_complete = True
            self.message_event.set()
            if not (self.keep_alive or self.more_body):
                self.transport.close()
            self.on_response()  # where more of the body is to come, it decides how the connection ends


class BoundedProtocol(HttpToolsProtocol):
    """One connection.

    Its names have slots, also those that uvicorn sets: a dictionary of so many takes 1.6 KB for each connection.

    Args:
        config, server_state, app_state: uvicorn's.
        at_once: answers a whole request that needs no task; returns None for any other.
        connected: called with each connection.
    """

    __slots__ = (
        "_at_once",
        "_awaits_head",
        "_connected",
        "_dropped",
        "_has_ended",
        "_head",
        "_head_timer",
        "_idle_since",
        "_idle_timer",
        "_left",
        "_linger_timer",
        "_seen",
        "_unbegun",
        "client",
        "cycle",
        "expect_100_continue",
        "flow",
        "headers",
        "parser",
        "pipeline",
        "scheme",
        "scope",
        "server",
        "transport",
        "url",
    )

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        at_once: Callable[[Any], WholeAnswer | None] = lambda _scope: None,
        connected: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._at_once, self._connected = at_once, connected

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Take note of a caller; their address and ours are nobody's business here, and take half a kilobyte."""
        self.connections.add(self)
        self.transport, self.flow, self.scheme = transport, _Flow(transport), "http"
        self.pipeline = _EMPTY
        self._linger_timer: asyncio.TimerHandle | None = None  # there while what comes is dropped
        self._has_ended = False  # nothing more is said here
        self._head = self._dropped = self._seen = 0
        self._left: asyncio.Future[None] = self.loop.create_future()
        self._idle_timer: asyncio.TimerHandle | None = None
        self._awaits_head = True
        self._head_timer: asyncio.TimerHandle | None = self.loop.call_later(HEAD_WITHIN, self.transport.close)
        self._unbegun: _Cycle | None = None  # a request of which more may be among the same bytes
        self._connected()

    def data_received(self, data: bytes) -> None:
        """Take bytes; a head that began must end in time."""
        self._unset_keepalive_if_required()
        if self._linger_timer is not None and self._drops(data):
            return
        if self.parser is None:
            self.parser = _parser_of(self)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as asked:
            self._ignore_upgrade(data[asked.args[0] :])
        except httptools.HttpParserError:
            self.send_400_response("")
        if self._unbegun is not None:
            self._start()
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
        self.parser = _parser_of(self)
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
                message_event=_Signal(),
                expect_100_continue=self.expect_100_continue,
                keep_alive=version != "1.0" and self.parser.should_keep_alive(),
                on_response=self.on_response_complete,
            ),
        )
        self.cycle.is_head = self.scope["method"] == "HEAD"
        self.scope["extensions"][SINK] = {"sink": self.cycle}
        release = partial(self._release, self.scope)  # type: ignore[arg-type]  # a dictionary, whatever its type says
        self.scope["extensions"][RELEASE] = {"release": release}
        if before is None or before.response_complete:
            self._unbegun = self.cycle
        else:
            self.flow.pause_reading()
            if self.pipeline is _EMPTY:
                self.pipeline = deque()
            self.pipeline.appendleft((self.cycle, self.app))

    def _release(self, scope: MutableMapping[str, Any]) -> None:
        """Let go of a request's head, but for its id, and of the parser where nothing has begun behind the request."""
        kept = tuple([header for header in scope["headers"] if header[0] == b"x-request-id"])
        path, version = intern(scope["path"]), intern(scope["http_version"])  # thousands share them
        scope.clear()
        scope.update(type="http", path=path, http_version=version, headers=kept)
        if scope is self.scope and not self.cycle.more_body:
            self.headers, self.url = [], b""
            self.parser = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Say that the caller left."""
        for timer in (self._head_timer, self._idle_timer, self._linger_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)
        if self.cycle is not None:
            for name in (SINK, RELEASE):  # whose task may not have begun, so that it is to find the others
                self.cycle.scope.get("extensions", {}).pop(name, None)
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
        if self._unbegun is not None:
            self._start()

    def _start(self) -> None:
        """Answer a request at once, or start the task that will."""
        cycle, self._unbegun = self._unbegun, None
        if cycle is None or self.transport.is_closing():
            return
        waits = cycle.more_body or self.flow.write_paused  # who does not read what was said before is told no more yet
        answer = None if waits else self._at_once(cycle.scope)
        if answer is None:
            self._start_asgi_task(cycle, self.app)
        else:
            cycle.tell(answer)

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


def _parser_of(protocol: BoundedProtocol) -> httptools.HttpRequestParser:
    """Return a parser that begins with a request; it reads on behind one that asks to close, as uvicorn's does."""
    parser = httptools.HttpRequestParser(protocol)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser
