"""Requests to one server -> answers, over kept connections.

HTTP/1.1 with the parser of httptools. A request goes out in one write; an idle connection is used again, the one used
last first; all spans of time are kept by one sweeper, which runs only while something is in flight.

It follows no redirect, reads no proxy environment, and knows nothing of models, tokens or events. What has come of an
answer belongs to its exchange and not to its connection: so a connection serves the next request while the reader of
the one before has not yet taken a byte.
"""

import asyncio
import ssl
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Final, cast

import httptools
import msgspec

from backends.base import (
    BackendError,
    Broken,
    Chunks,
    ConnectFailed,
    DeadlineExceeded,
    FirstTokenTimeout,
    IdleTimeout,
    Sink,
    StreamBroken,
)

MAX_HEAD: Final = 64 * 1024
"""Bytes of a head, of trailers, or of anything else that is not yet body."""

MAX_WHOLE: Final = 64 * 1024 * 1024
"""Bytes of an answer that is handed over in one piece."""

MAX_UNREAD: Final = 256 * 1024
"""Bytes that wait for a slow reader before the server is held back."""

TICK: Final = 0.1
"""Seconds between two looks at the clock; no span of time is kept closer than this."""

KEEP_IDLE: Final = 60.0
"""Seconds that an unused connection is kept; one that a firewall forgot in silence would cost a first-byte timeout."""

_SUCCESS: Final = 200
_REDIRECT: Final = 300
_NO_HEADERS: Final[dict[bytes, bytes]] = {}


@dataclass(frozen=True, slots=True)
class Spans:
    """How long, in seconds, to wait for a connection, for the first byte of a body, and between two pieces of it."""

    connect: float = 1.0
    first_byte: float = 60.0
    idle: float = 30.0


class Exchange(Chunks):
    """One request and what has come of its answer; iterating gives the body.

    A class and not a generator function, for two reasons: closing a generator that was never started does not run
    it, so the connection would stay open; and this one is filled from outside, without a queue between.
    """

    __slots__ = (
        "_connection",
        "_is_full",
        "_loop",
        "_paused",
        "_pieces",
        "_pool",
        "_sink",
        "_trouble",
        "_waiter",
        "begun",
        "complete",
        "deadline",
        "ends_by_close",
        "error",
        "headers",
        "limit",
        "size",
        "status",
        "whole",
    )

    def __init__(self, pool: "Pool", connection: "Connection", *, deadline: float, whole: bool) -> None:
        self._pool = pool
        self._loop = connection.loop
        self._connection: Connection | None = connection
        self._pieces: list[bytes] = []
        self._waiter: asyncio.Future[None] | None = None
        self._paused = False
        self._sink: Sink | None = None
        self._is_full = False
        self._trouble: Exception | None = None
        self.begun = self.complete = self.ends_by_close = False
        self.error: BackendError | None = None
        self.headers: dict[bytes, bytes] = {}
        self.status = 0
        self.size = 0
        self.whole = whole
        self.deadline = deadline
        self.limit = min(deadline, monotonic() + pool.spans.first_byte)

    async def __anext__(self) -> bytes:
        while not self._pieces:
            if self.error is not None:
                raise self.error
            if self.complete:
                raise StopAsyncIteration
            self._waiter = self._loop.create_future()
            try:  # as in `arrival`, without the price of one more coroutine for each piece
                await self._waiter
            except (asyncio.CancelledError, GeneratorExit):
                self._abandon()
                raise
            finally:
                self._waiter = None
        return self._take()

    async def pour(self, sink: Sink) -> None:
        """See `Chunks.pour`: what comes goes on in the same callback of the socket, and nobody is woken for it."""
        self._sink = sink
        try:
            while not self._is_poured(sink):
                if self._is_full:
                    await sink.drain()
                    self._is_full = False
                else:
                    self._waiter = self._loop.create_future()  # as in `arrival`, without one more coroutine
                    await self._waiter
        except BaseException:
            self._abandon()
            raise
        finally:
            self._sink = self._waiter = None

    def _is_poured(self, sink: Sink) -> bool:
        """Give what is here; tells whether it was the end."""
        self._push(sink)
        if self._trouble is not None:
            raise self._trouble
        if self._is_full:
            return False
        if self.error is not None:
            raise self.error
        return self.complete

    def _push(self, sink: Sink) -> None:
        if self._pieces and not self._is_full:
            try:
                self._is_full = not sink.write(self._take())
            except Exception as error:  # noqa: BLE001 - for whoever pours, not for the socket's callback
                self._trouble = error

    async def aclose(self) -> None:
        """Leave the answer; the server sees at once that nobody waits for the rest."""
        self._abandon()
        self._pieces.clear()
        self.complete = self.complete or self.error is None

    @property
    def is_empty(self) -> bool:
        """Tell whether the answer ended without a byte of body."""
        return self.complete and not self.begun

    async def arrival(self) -> None:
        """Wait until there is something to read: a piece, the whole where it was asked for, the end or an error."""
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        except (asyncio.CancelledError, GeneratorExit):
            self._abandon()
            raise
        finally:
            self._waiter = None

    def add(self, piece: bytes) -> None:
        """Keep one piece of body."""
        self._pieces.append(piece)
        self.size += len(piece)
        self.begun = True

    def progress(self, connection: "Connection") -> None:
        """Set the next limit after more of the body came, and tell or hold back whom it concerns."""
        if self.whole:
            if self.size > MAX_WHOLE:
                self.fail(Broken(f"answer is longer than {MAX_WHOLE} bytes", status=self.status))
                return
        else:
            if self._sink is not None:
                self._push(self._sink)
            if self._sink is None or self._is_full or self._trouble is not None:
                self.wake()
            if self.size > MAX_UNREAD:
                self._paused = True
                connection.hold()
                self.limit = self.deadline  # the server is not to blame for a silence that was asked of it
                return
        self.limit = min(self.deadline, monotonic() + self._pool.spans.idle)

    def finish(self) -> None:
        """Mark the answer whole; its connection is no longer its own."""
        self.complete = True
        self._connection = None
        self._pool.in_flight.discard(self)
        self.wake()

    def fail(self, error: BackendError) -> None:
        """End with an error, after what has come until now, and close the connection."""
        if self.error is None and not self.complete:
            self.error = error
            self._abandon()
            self.wake()

    def expire(self, now: float) -> None:
        """Fail with the span of time that is over."""
        spans = self._pool.spans
        if now >= self.deadline:
            self.fail(DeadlineExceeded("the deadline passed before the answer was whole"))
        elif not self.begun:
            self.fail(FirstTokenTimeout(f"no byte of an answer in {spans.first_byte} s"))
        else:
            self.fail(IdleTimeout(f"no further byte in {spans.idle} s"))

    def wake(self) -> None:
        """Let the reader look again."""
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _take(self) -> bytes:
        pieces = self._pieces
        taken = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self.size = 0
        if self._paused:
            self._paused = False
            if self._connection is not None:
                self.limit = min(self.deadline, monotonic() + self._pool.spans.idle)
                self._connection.go_on()
        return taken

    def _abandon(self) -> None:
        if self._connection is not None:
            self._connection.abort()
            self._connection = None
            self._pool.in_flight.discard(self)


class Connection(asyncio.Protocol):
    """One connection, which serves one exchange after another; the callbacks of socket and parser."""

    __slots__ = ("_exchange", "_keep", "_parser", "_pool", "_silent", "_transport", "idle_since", "loop")

    def __init__(self, pool: "Pool", loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.idle_since = 0.0
        self._pool = pool
        self._exchange: Exchange | None = None
        self._keep = False
        self._silent = 0  # bytes received since the last byte of body

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Join the pool's open connections."""
        self._transport = cast("asyncio.Transport", transport)  # that of uvloop is none by its class
        self._parser = httptools.HttpResponseParser(self)
        self._pool.joined(self)

    def start(self, message: bytes, *, deadline: float, whole: bool) -> Exchange:
        """Send a request and return the exchange that its answer will fill."""
        exchange = Exchange(self._pool, self, deadline=deadline, whole=whole)
        self._exchange = exchange
        self._silent = 0
        self._transport.write(message)
        return exchange

    @property
    def is_usable(self) -> bool:
        """Tell whether another request may go out here."""
        return not self._transport.is_closing()

    def data_received(self, data: bytes) -> None:
        """Feed the parser, then settle with the exchange; the order matters, for one read may hold many parts."""
        exchange = self._exchange
        if exchange is None:
            self.abort()  # nobody asked: it would be taken for the next answer
            return
        before = exchange.size
        self._silent += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._keep = False  # where the answer is whole already, more came than was asked for
            if not exchange.complete:
                exchange.fail(_broken(exchange, f"answer is not HTTP: {error.__context__ or error}"))
        if exchange.complete:
            self._exchange = None
            if self._keep and not self._transport.get_write_buffer_size():
                self._pool.keep(self)
            else:
                self.abort()
            exchange.finish()
        elif exchange.size != before:
            self._silent = 0
            exchange.progress(self)
        elif self._silent > MAX_HEAD:
            exchange.fail(_broken(exchange, f"over {MAX_HEAD} bytes came that are no body"))

    def eof_received(self) -> None:
        """Take an answer without a stated length for whole; everything else is judged when the connection is lost."""
        self._pool.forget(self)
        exchange = self._exchange
        if exchange is not None and exchange.status >= _SUCCESS and exchange.error is None and exchange.ends_by_close:
            self._exchange = None
            exchange.finish()

    def connection_lost(self, error: Exception | None) -> None:
        """Leave the pool; an answer that was under way is broken."""
        self._pool.left(self)
        del self._parser  # it holds this object
        exchange, self._exchange = self._exchange, None
        if exchange is None:
            return
        cause = "" if error is None else f": {error}"
        if self._silent or exchange.begun:
            exchange.fail(_broken(exchange, f"connection closed before the answer was whole{cause}"))
        else:
            exchange.fail(ConnectFailed(f"connection closed before any byte of an answer{cause}"))

    def abort(self) -> None:
        """Close at once, in both directions."""
        self._pool.forget(self)
        self._transport.abort()

    def hold(self) -> None:
        """Let the server wait."""
        self._transport.pause_reading()

    def go_on(self) -> None:
        """Read again."""
        self._transport.resume_reading()

    def on_message_begin(self) -> None:
        """Refuse a second answer to one request."""
        if self._exchange is None or self._exchange.complete:
            raise ValueError("an answer that nobody asked for")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; of a repeated one, the last."""
        if self._exchange is not None and not self._exchange.status:
            self._exchange.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """Learn the status; only a success is handed on piece by piece."""
        exchange = self._exchange
        if exchange is not None:
            exchange.status = status = self._parser.get_status_code()
            headers = exchange.headers
            exchange.ends_by_close = b"content-length" not in headers and b"transfer-encoding" not in headers
            if status >= _REDIRECT:
                exchange.whole = True
            if self._silent > MAX_HEAD and sum(map(len, headers.values())) > MAX_HEAD:
                raise ValueError(f"head is longer than {MAX_HEAD} bytes")

    def on_body(self, piece: bytes) -> None:
        """Keep a piece of body."""
        if self._exchange is not None:
            self._exchange.add(piece)

    def on_message_complete(self) -> None:
        """Note that the answer is whole, and whether the connection may go on: the parser knows only here."""
        exchange = self._exchange
        if exchange is None:
            return
        if exchange.status < _SUCCESS:  # an interim answer; the final one follows
            exchange.status = 0
            exchange.headers.clear()
            return
        exchange.complete = True
        self._keep = self._parser.should_keep_alive()


def _broken(exchange: Exchange, message: str) -> BackendError:
    return StreamBroken(message) if exchange.begun else Broken(message, status=exchange.status or None)


class Answer(msgspec.Struct, frozen=True):
    """What a server answered.

    Attributes:
        headers: names in lower case; of a repeated one, the last.
        media_type: of the content type, as it came; "" when there is none.
        chunks: the body. Whoever receives the answer closes it (`aclosing`); read to its end, it gives back the
            connection by itself.
    """

    status: int
    headers: dict[bytes, bytes]
    media_type: str
    chunks: Exchange

    @property
    def is_success(self) -> bool:
        """Tell whether the status is 2xx."""
        return self.status < _REDIRECT


class Pool:
    """The connections to one server."""

    def __init__(self, host: str, port: int, *, tls: ssl.SSLContext | None = None, spans: Spans = Spans()) -> None:
        self.spans = spans
        self.opened = 0
        self.sent = 0
        self.in_flight: set[Exchange] = set()
        self._host, self._port, self._tls = host, port, tls
        self._name = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._idle: dict[Connection, None] = {}  # the one used last stands last
        self._open: set[Connection] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        self._all_left: asyncio.Future[None] | None = None  # set once: the pool is closing
        self._constant = f"host: {self._name}\r\nuser-agent: tandem\r\naccept-encoding: identity\r\n".encode()

    def __repr__(self) -> str:
        return (
            f"<Pool {self._name}: {len(self.in_flight)} in flight, {len(self._idle)} idle, "
            f"{self.opened} opened, {self.sent} sent>"
        )

    async def send(
        self,
        method: str,
        path: str,
        headers: bytes,
        body: bytes,
        *,
        deadline: float,
        whole: bool = False,
    ) -> Answer:
        r"""Send one request and return as soon as the first byte of its answer's body is there.

        Args:
            path: from the root, already quoted; it goes out as it is.
            headers: whole lines, each ended by `\r\n`; the caller vouches that no value holds a line end.
            deadline: on the clock of `time.monotonic`, seconds; for the whole answer, not only its begin.
            whole: return when the whole body is there, as one chunk. An answer that is no success always does.

        Raises:
            ConnectFailed: no connection, or it was closed before any byte came. Where that was a kept connection,
                the server may just have tired of it, and the request was sent once more on a new one.
            Broken: what came is not HTTP, or too long.
            StreamBroken: it ended within the body.
            FirstTokenTimeout, IdleTimeout, DeadlineExceeded: a span of time was over.
        """
        length = b"content-length: %d\r\n" % len(body) if body else b""
        message = b"%b %b HTTP/1.1\r\n%b%b%b\r\n%b" % (
            method.encode(),
            path.encode(),
            self._constant,
            headers,
            length,
            body,
        )
        if monotonic() >= deadline:
            raise DeadlineExceeded("the deadline had passed before the request was sent")
        self.sent += 1
        while self._idle:
            connection, _ = self._idle.popitem()
            if connection.idle_since < monotonic() - KEEP_IDLE:  # nobody sweeps while nothing is in flight
                connection.abort()
                continue
            exchange = self._begin(connection, message, deadline=deadline, whole=whole)
            await exchange.arrival()
            if type(exchange.error) is not ConnectFailed:
                return _answer(exchange)
            break
        connection = await self._connect(deadline)
        exchange = self._begin(connection, message, deadline=deadline, whole=whole)
        await exchange.arrival()
        return _answer(exchange)

    async def aclose(self) -> None:
        """Close all connections; what was in flight breaks."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        self._all_left = asyncio.get_running_loop().create_future()
        for connection in tuple(self._open):
            connection.abort()
        if self._open:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._all_left, self.spans.connect)

    def joined(self, connection: Connection) -> None:
        """Count a new connection; one that comes after the end is closed again."""
        self.opened += 1
        self._open.add(connection)
        if self._all_left is not None:
            connection.abort()

    def keep(self, connection: Connection) -> None:
        """Put by a connection whose answer has come whole."""
        connection.idle_since = monotonic()
        self._idle[connection] = None

    def forget(self, connection: Connection) -> None:
        """Send nothing more over a connection."""
        self._idle.pop(connection, None)

    def left(self, connection: Connection) -> None:
        """Take note that a connection is closed."""
        self.forget(connection)
        self._open.discard(connection)
        if self._all_left is not None and not self._open and not self._all_left.done():
            self._all_left.set_result(None)

    async def _connect(self, deadline: float) -> Connection:
        if self._all_left is not None:
            raise ConnectFailed("the pool is closed")
        loop = asyncio.get_running_loop()
        left = deadline - monotonic()
        try:
            async with asyncio.timeout(min(left, self.spans.connect)):  # one for each connection, not each request
                _, connection = await loop.create_connection(
                    lambda: Connection(self, loop), self._host, self._port, ssl=self._tls
                )
        except TimeoutError as error:
            if left <= self.spans.connect:
                raise DeadlineExceeded("the deadline passed before there was a connection") from error
            raise ConnectFailed(f"no connection in {self.spans.connect} s") from error
        except (OSError, UnicodeError) as error:
            raise ConnectFailed(f"no connection: {error}") from error
        if not connection.is_usable:
            raise ConnectFailed("connection closed as soon as it was opened")
        return connection

    def _begin(self, connection: Connection, message: bytes, *, deadline: float, whole: bool) -> Exchange:
        exchange = connection.start(message, deadline=deadline, whole=whole)
        self.in_flight.add(exchange)
        if self._sweeper is None:
            self._sweeper = connection.loop.call_later(TICK, self._sweep)
        return exchange

    def _sweep(self) -> None:
        now = monotonic()
        for exchange in [exchange for exchange in self.in_flight if exchange.limit <= now]:
            exchange.expire(now)
        while self._idle and next(iter(self._idle)).idle_since < now - KEEP_IDLE:
            next(iter(self._idle)).abort()
        if self.in_flight:
            self._sweeper = asyncio.get_running_loop().call_later(TICK, self._sweep)
        else:
            self._sweeper = None


def _answer(exchange: Exchange) -> Answer:
    if exchange.error is not None and (exchange.whole or not exchange.begun):
        raise exchange.error
    headers, exchange.headers = exchange.headers, _NO_HEADERS  # a body may come for minutes
    media_type = headers.get(b"content-type", b"").decode("latin-1")
    return Answer(exchange.status, headers, media_type, exchange)
