"""TCP connections -> the same bytes at another address, delayed, cut, reset or swallowed while a fault lasts.

Runs on the loop of whoever opens it. Knows nothing of what the bytes mean, so it stands before backends and Redis
alike.
"""

import asyncio
import contextlib
import socket
import struct
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Self, cast

_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER of no seconds: close() sends RST


class Fault(StrEnum):
    """What happens to connections."""

    REFUSE = "refuse"  # nobody listens, and what is open is reset
    RESET = "reset"  # new connections are reset at once
    BLACKHOLE = "blackhole"  # bytes go in and never come out
    DELAY = "delay"  # the way back takes `seconds` longer
    CUT = "cut"  # the way back ends after `bytes`
    SLOW_CLOSE = "slow close"  # ends arrive `seconds` later


@dataclass(frozen=True, slots=True)
class Weather:
    """What a proxy does now; `fault` is None where bytes just pass."""

    fault: Fault | None = None
    seconds: float = 0.0
    bytes: int = 0


class Proxy:
    """One address in front of another; `async with`."""

    def __init__(self, host: str, port: int) -> None:
        self.weather = Weather()
        self.target = (host, port)
        self.port = 0
        self.pairs: set[_Side] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        """Listen on a free port of 127.0.0.1."""
        await self._listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop listening, and close what is open."""
        self._stop_listening()
        for side in tuple(self.pairs):
            side.abort()
        await asyncio.sleep(0)  # what was aborted is closed in the next turn of the loop

    async def turn(self, weather: Weather) -> None:
        """Change what happens, to open connections too."""
        self.weather = weather
        if weather.fault is Fault.REFUSE:
            self._stop_listening()
        elif self._server is None:
            await self._listen()
        for side in tuple(self.pairs):
            if weather.fault in (Fault.REFUSE, Fault.RESET):
                side.reset()
            else:
                side.flush()

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Side(self, faces_caller=True), "127.0.0.1", self.port, backlog=1024, reuse_address=True
        )
        self.port = self._server.sockets[0].getsockname()[1]

    def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None


class _Side(asyncio.Protocol):
    """One end of a pair of connections; what it receives goes to the other end."""

    def __init__(self, proxy: Proxy, *, faces_caller: bool) -> None:
        self._proxy, self._faces_caller = proxy, faces_caller
        self._loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport | None = None
        self.other: _Side | None = None
        self._held = list[bytes]()
        self._passed = 0
        self._ended = False
        self._has_said_so = False
        self._dialling: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._proxy.pairs.add(self)
        if self._faces_caller:
            if self._proxy.weather.fault is Fault.RESET:
                self.reset()
            else:
                self._dialling = self._loop.create_task(self._dial())
        else:
            self.flush()

    async def _dial(self) -> None:
        other = _Side(self._proxy, faces_caller=False)
        other.other = self
        try:
            await self._loop.create_connection(lambda: other, *self._proxy.target)
        except OSError:
            self.reset()
            return
        self.other = other
        self.flush()

    def data_received(self, data: bytes) -> None:
        self._held.append(data)
        weather = self._proxy.weather
        if weather.fault is Fault.DELAY and not self._faces_caller:
            self._loop.call_later(weather.seconds, self.flush)
        else:
            self.flush()

    def flush(self) -> None:
        """Give on what is held, as far as the weather lets it."""
        other, weather = self.other, self._proxy.weather
        if weather.fault is Fault.BLACKHOLE or other is None or other.transport is None:
            return
        if other.transport.is_closing():
            self._held.clear()
            return
        data, self._held = b"".join(self._held), []
        if weather.fault is Fault.CUT and not self._faces_caller:
            data = data[: max(0, weather.bytes - self._passed)]
            self._passed += len(data)
            if self._passed >= weather.bytes:
                other.transport.write(data)
                other.transport.close()
                self.abort()
                return
        if data:
            other.transport.write(data)
        if self._ended:
            other.end()

    def eof_received(self) -> bool:
        self._end()
        return True  # the way back stays open

    def connection_lost(self, exc: Exception | None) -> None:
        self._proxy.pairs.discard(self)
        if self._dialling is not None:
            self._dialling.cancel()
        if self.other is None:
            return
        if exc is not None:
            self.other.reset()
        elif not self._ended:
            self._end()

    def _end(self) -> None:
        self._ended = True
        weather = self._proxy.weather
        if weather.fault in (Fault.SLOW_CLOSE, Fault.DELAY):
            self._loop.call_later(weather.seconds, self.flush)
        else:
            self.flush()

    def end(self) -> None:
        """Say that nothing more comes; where nothing more goes either, close."""
        if self.transport is None or self.transport.is_closing():
            return
        if self._ended:
            self.transport.close()
        elif not self._has_said_so:
            self._has_said_so = True
            self.transport.write_eof()

    def reset(self) -> None:
        """Close with RST."""
        if self.transport is None or self.transport.is_closing():
            return
        own: Any = self.transport.get_extra_info("socket")
        with contextlib.suppress(OSError, AttributeError):  # the latter where it has just been lost
            own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()

    def abort(self) -> None:
        """Close at once."""
        if self.transport is not None:
            self.transport.abort()
