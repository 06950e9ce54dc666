"""A planned request -> what its caller received, over a socket of the caller's own.

Callers read slowly, hang up in the middle or wait until a second after the deadline; a connection that is still good
serves the next request of the same worker. Knows HTTP/1.1 and nothing of what is in a body.
"""

import asyncio
import contextlib
import json
import socket
import struct
import time
from dataclasses import dataclass, field
from typing import Any, Final

from router.bench.faults.base import Asked, End, Got, Leaving

CHAT: Final = "/v1/chat/completions"
GRACE: Final = 1.0  # seconds beyond the deadline, after which an open answer counts as hung
_RESET: Final = struct.pack("ii", 1, 0)
_SIP: Final = 64  # bytes that a slow reader takes at once
_SIP_GAP: Final = 0.002
_CONNECT: Final = 2.0
_LIMIT: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Address:
    """Where the gateway is, whose keys open it, and how long it may take.

    Attributes:
        keys: by tenant.
        deadline: seconds that the gateway gives a whole request.
    """

    host: str
    port: int
    keys: dict[str, str]
    deadline: float


def request_of(asked: Asked, address: Address) -> bytes:
    """Return the bytes of a request."""
    body = body_of(asked)
    lines = [
        f"POST {CHAT} HTTP/1.1",
        f"host: {address.host}:{address.port}",
        "content-type: application/json",
        f"authorization: Bearer {address.keys[asked.tenant]}",
        f"x-request-id: {asked.id}",
        *([f"idempotency-key: {asked.key}"] if asked.key else []),
        f"content-length: {len(body)}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def body_of(asked: Asked) -> bytes:
    """Return what is asked: equal for two requests of one nonce."""
    words = f"Where is order {asked.nonce}? {asked.marker}"
    body: dict[str, object] = {
        "model": asked.model,
        "messages": [{"role": "user", "content": words}],
        "temperature": 0,
        "max_tokens": 64,
    }
    if asked.stream:
        body["stream"] = True
        if asked.wants_usage:
            body["stream_options"] = {"include_usage": True}
    return json.dumps(body).encode()


class Caller:
    """One worker's connection; asks one request after the other."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, asked: Asked) -> Got:
        """Return what came of a request."""
        began = time.monotonic()
        answer = _Answer()
        sent = False
        end = End.LATE
        try:
            async with asyncio.timeout(self._address.deadline + GRACE):
                reader, writer = await self._connected()
                sent, end = await self._exchange(asked, answer, reader, writer)
        except TimeoutError:
            sent = True
        except (OSError, RuntimeError):  # the latter is uvloop's word for a connection that was lost a moment ago
            end = End.CUT if self._writer is not None else End.REFUSED
        ended = time.monotonic()
        if end is not End.WHOLE or not answer.keeps:
            self.close()
        return Got(asked, answer.status, answer.headers, bytes(answer.body), end, began, ended, all_sent=sent)

    def close(self) -> None:
        """Leave the connection."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._reader is None or self._writer is None or self._reader.at_eof() or self._writer.is_closing():
            self.close()
            opening = asyncio.open_connection(self._address.host, self._address.port, limit=_LIMIT)
            try:
                opened = await asyncio.wait_for(opening, _CONNECT)
            except TimeoutError as error:
                raise ConnectionRefusedError(f"no connection in {_CONNECT:g} s") from error
            self._reader, self._writer = opened
            return opened
        return self._reader, self._writer

    async def _exchange(
        self, asked: Asked, answer: "_Answer", reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[bool, End]:
        """Send and read to the end; tells whether all was sent, and how it ended."""
        message = request_of(asked, self._address)
        leave = asked.leave
        if leave is not None and leave.sent is not None and leave.sent < len(message):
            writer.write(message[: leave.sent])
            await asyncio.sleep(leave.after)
            self._hang_up(leave.by)
            return False, End.LEFT
        writer.write(message)
        while not answer.is_whole:
            if leave is not None and answer.received >= leave.got:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(leave.after):
                        while not answer.is_whole and (data := await reader.read(_LIMIT)):
                            answer.feed(data)
                if answer.is_whole:
                    break
                self._hang_up(leave.by)
                return True, End.LEFT
            data = await reader.read(_SIP if asked.slowly else _LIMIT)
            if not data:
                return True, answer.end_at_close()
            answer.feed(data)
            if asked.slowly:
                await asyncio.sleep(_SIP_GAP)
        return True, End.WHOLE

    def _hang_up(self, by: Leaving) -> None:
        writer = self._writer
        if writer is None:
            return
        if by is Leaving.RST:
            own: Any = writer.get_extra_info("socket")
            with contextlib.suppress(OSError, AttributeError):  # the latter where it has just been lost
                own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()
        self.close()


@dataclass(slots=True)
class _Answer:
    """What has come of one answer."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    is_whole: bool = False
    keeps: bool = False
    received: int = 0
    _raw: bytearray = field(default_factory=bytearray)
    _length: int | None = None
    _chunked: bool = False

    def feed(self, data: bytes) -> None:
        """Read on."""
        self.received += len(data)
        self._raw += data
        if not self.status and not self._read_head():
            return
        if self._chunked:
            self._read_frames()
        else:
            self.body += self._raw
            self._raw.clear()
            if self._length is not None and len(self.body) >= self._length:
                del self.body[self._length :]
                self.is_whole = True

    def end_at_close(self) -> End:
        """Return what the end of the connection makes of it: only a body without a length is whole then."""
        is_bare = bool(self.status) and not self._chunked and self._length is None
        return End.WHOLE if is_bare else End.CUT

    def _read_head(self) -> bool:
        end = self._raw.find(b"\r\n\r\n")
        if end < 0:
            return False
        lines = bytes(self._raw[:end]).decode("latin-1").split("\r\n")
        del self._raw[: end + 4]
        if not lines[0].startswith("HTTP/1."):
            raise ConnectionAbortedError(f"not an answer in HTTP: {lines[0][:80]!r}")
        self.status = int(lines[0].split(" ")[1])
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        self._chunked = self.headers.get("transfer-encoding") == "chunked"
        self._length = int(self.headers["content-length"]) if "content-length" in self.headers else None
        self.keeps = self.headers.get("connection") != "close" and (self._chunked or self._length is not None)
        return True

    def _read_frames(self) -> None:
        while True:
            line = self._raw.find(b"\r\n")
            if line < 0:
                return
            try:
                size = int(self._raw[:line], 16)
            except ValueError as error:
                raise ConnectionAbortedError("a chunk without a size") from error
            end = line + 2 + size + 2
            if len(self._raw) < end:
                return
            self.body += self._raw[line + 2 : end - 2]
            del self._raw[:end]
            if not size:
                self.is_whole = True
                return
