"""A real HTTP server on the loopback, whose every answer a test writes byte by byte."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field

import pytest

from backends.pool import Pool, Spans


@dataclass(slots=True)
class Visit:
    """One request as the server saw it, and the way to answer."""

    head: bytes
    body: bytes
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, *pieces: bytes, gap: float = 0.0) -> None:
        """Write pieces, each in a write of its own."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            await asyncio.sleep(gap)

    async def hung_up(self) -> None:
        """Return when the client has closed its side."""
        with suppress(ConnectionError):
            while await self.reader.read(65_536):
                pass


Script = Callable[[Visit], Awaitable[object]]


@dataclass(slots=True)
class Upstream:
    """The server.

    Attributes:
        script: answers one request; a connection that it closed is not read again.
        opened: connections since the start.
        visits: requests since the start.
    """

    script: Script
    port: int = 0
    opened: int = 0
    visits: list[Visit] = field(default_factory=list)
    running: set[asyncio.Task[None]] = field(default_factory=set)
    listener: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen."""
        self.listener = await asyncio.start_server(self.serve, "127.0.0.1", self.port, backlog=1024)
        self.port = self.listener.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and end what runs."""
        if self.listener is not None:
            self.listener.close()
        for task in self.running:
            task.cancel()
        await asyncio.gather(*self.running, return_exceptions=True)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        self.opened += 1
        task = asyncio.current_task()
        assert task is not None
        self.running.add(task)
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                length = next((int(line[15:]) for line in head.split(b"\r\n") if line[:15] == b"content-length:"), 0)
                visit = Visit(head, await reader.readexactly(length), reader, writer)
                self.visits.append(visit)
                await self.script(visit)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self.running.discard(task)
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


Serve = Callable[[Script], Awaitable[Upstream]]
Connect = Callable[..., Pool]


def answer(body: bytes, *, status: str = "200 OK", headers: bytes = b"", media: bytes = b"application/json") -> bytes:
    """Return a whole answer with its length."""
    head = b"HTTP/1.1 %b\r\ncontent-type: %b\r\ncontent-length: %d\r\n%b\r\n"
    return head % (status.encode(), media, len(body), headers) + body


def chunked(*pieces: bytes, media: bytes = b"text/event-stream") -> bytes:
    """Return a whole answer in the chunked coding."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ntransfer-encoding: chunked\r\n\r\n" % media
    return head + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


@pytest.fixture
async def serve() -> AsyncGenerator[Serve]:
    """Start servers, each with a script."""
    async with AsyncExitStack() as stack:

        async def start(script: Script) -> Upstream:
            upstream = Upstream(script)
            await upstream.open()
            stack.push_async_callback(upstream.close)
            return upstream

        yield start


@pytest.fixture
async def connect() -> AsyncGenerator[Connect]:
    """Open pools to servers."""
    async with AsyncExitStack() as stack:

        def open_pool(upstream: Upstream, **spans: float) -> Pool:
            pool = Pool("127.0.0.1", upstream.port, spans=Spans(**spans))
            stack.push_async_callback(pool.aclose)
            return pool

        yield open_pool
