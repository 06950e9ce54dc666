"""A server that answers from a script, and calls to it; for what no real server does at the same moment each time."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass, field

from backends.base import BackendError, Call, Chunks, Reply


@dataclass
class Played:
    """One server.

    Attributes:
        failures: what the next calls fail with; then they are answered.
        takes: seconds until the first byte.
        pieces: of a stream; an error among them breaks it, a number is a silence in seconds.
        calls: all that came.
        stopped: calls that were left before their answer was whole.
        flying: calls under way, until their last byte.
    """

    name: str
    failures: list[BackendError] = field(default_factory=list)
    takes: float = 0.0
    pieces: tuple[bytes | float | BackendError, ...] = (b"data: one\n\n", b"data: [DONE]\n\n")
    ready: bool = True
    calls: list[Call] = field(default_factory=list)
    stopped: int = 0
    flying: int = 0
    most: int = 0
    is_closed: bool = False

    async def send(self, call: Call) -> Reply:
        self.calls.append(call)
        self.flying += 1
        self.most = max(self.most, self.flying)
        is_handed_on = False
        try:
            await asyncio.sleep(self.takes)
            if self.failures:
                raise self.failures.pop(0)
            is_handed_on = call.stream
        except asyncio.CancelledError:
            self.stopped += 1
            raise
        finally:
            self.flying -= not is_handed_on
        if call.stream:
            return Reply(_Stream(self), "text/event-stream", self.name)
        return Reply(_whole(), "application/json", self.name)

    async def is_ready(self) -> bool:
        return self.ready

    async def aclose(self) -> None:
        self.is_closed = True


class _Stream(Chunks):
    """Plays pieces; no generator, since one that was never begun does not learn that it was closed."""

    def __init__(self, server: Played) -> None:
        self._server, self._pieces, self._has_ended = server, iter(server.pieces), False

    async def __anext__(self) -> bytes:
        try:
            for piece in self._pieces:
                if isinstance(piece, BackendError):
                    self._end(stopped=False)
                    raise piece
                if isinstance(piece, bytes):
                    return piece
                await asyncio.sleep(piece)
        except asyncio.CancelledError:
            self._end(stopped=True)
            raise
        self._end(stopped=False)
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self._end(stopped=True)

    def _end(self, *, stopped: bool) -> None:
        if not self._has_ended:
            self._has_ended = True
            self._server.flying -= 1
            self._server.stopped += stopped


async def _whole() -> AsyncGenerator[bytes, None]:
    yield b"{}"


def call_of(  # noqa: PLR0913 - as many as a call has
    *,
    body: bytes = b"{}",
    stream: bool = False,
    within: float = 5.0,
    holder: str = "",
    matched: float = 0.0,
    salt: str = "",
    tenant: str = "",
    priority: int = 0,
    avoid: tuple[str, ...] = (),
) -> Call:
    """Return a call."""
    return Call(
        path="/chat/completions",
        body=body,
        stream=stream,
        deadline=time.monotonic() + within,
        request_id="r",
        holder=holder,
        matched=matched,
        salt=salt,
        tenant=tenant,
        priority=priority,
        avoid=avoid,
    )


async def body_of(reply: Reply) -> bytes:
    """Read a reply to its end."""
    async with aclosing(reply.chunks) as chunks:
        return b"".join([chunk async for chunk in chunks])


async def until(condition: "object", *, within: float = 2.0) -> None:
    """Wait until something is true."""
    assert callable(condition)
    ends = time.monotonic() + within
    while not condition():
        assert time.monotonic() < ends, "it did not become true in time"
        await asyncio.sleep(0.005)


async def left_alone(task: "asyncio.Task[Reply]") -> None:
    """Cancel a call, as whoever leaves does."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
