"""Chat requests -> answers that fail on purpose, and a book of all calls.

A process of its own (`python -m router.bench.faults.backend --tier mini --book FILE`) that stands where the servers of
one tier stand, one port for each. What it plays stands in the prompt, "[[large=reset,ok mini=ok]]": the first call of a
request plays the first word, and so on. It prints its ports as one line of JSON when it listens. The book has a line
when a call begins and another when it ends, so that a kill loses no call.
"""

import argparse
import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import uvloop

from router.bench.faults.playing import SLOTS, WORK, Act, Call, steps_of, tells_usage, usage_of

_MARKER: Final = re.compile(rb"\[\[large=([\w,@.-]*) mini=([\w,@.-]*)\]\]")
_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
_ID: Final = re.compile(rb"\r\nx-request-id:[ \t]*([^\r\n]*)", re.IGNORECASE)
_STREAMS: Final = re.compile(rb'"stream"\s*:\s*true')
_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER of no seconds: close() sends RST
_READY: Final = b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 15\r\n\r\n{"status":"ok"}'


@dataclass(slots=True)
class Played:
    """A call that is being answered."""

    number: int
    call: Call
    told: bool


class Playhouse:
    """All that the connections of one process share."""

    def __init__(self, tier: str, book: Path) -> None:
        self.loop = asyncio.get_running_loop()
        self._group = 1 if tier == "large" else 2
        self._tier = tier
        self._book = os.open(book, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self.slots = asyncio.Semaphore(SLOTS)
        self._tries: Counter[str] = Counter()
        self._number = 0

    def begin(self, head: bytes, body: bytes) -> Played:
        """Choose the play of a call, and write its first line."""
        found = _ID.search(head)
        name = found[1].decode("latin-1") if found else ""
        marker = _MARKER.search(body)
        plays = marker[self._group].decode().split(",") if marker else ["ok"]
        play = plays[min(self._tries[name], len(plays) - 1)]
        self._tries[name] += 1
        self._number += 1
        call = Call(name, play or "ok", stream=_STREAMS.search(body) is not None, usage=usage_of(name))
        played = Played(self._number, call, tells_usage(call.play, stream=call.stream))
        self._write(played, began=time.monotonic(), id=name, tier=self._tier, play=call.play, stream=call.stream)
        return played

    def end(self, played: Played, how: str) -> None:
        """Write the last line of a call."""
        told = list(played.call.usage) if played.told else None
        self._write(played, ended=time.monotonic(), how=how, usage=told)

    def _write(self, played: Played, **said: object) -> None:
        line = json.dumps({"process": os.getpid(), "call": played.number, **said}, separators=(",", ":"))
        os.write(self._book, line.encode() + b"\n")


class Stage(asyncio.Protocol):
    """One connection, which plays one call after the other."""

    def __init__(self, house: Playhouse) -> None:
        self._house = house
        self._received = b""
        self._playing: asyncio.Task[None] | None = None
        self._played: Played | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, _: Exception | None) -> None:
        """Note that the gateway left in the middle, where it did."""
        if self._playing is not None:
            self._playing.cancel()
        if self._played is not None:
            self._house.end(self._played, "left")
            self._played = None

    def data_received(self, data: bytes) -> None:
        """Play for each request that is whole."""
        self._received += data
        self._go_on()

    def _go_on(self) -> None:
        while self._received and self._played is None and not self._transport.is_closing():
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                return
            length = _LENGTH.search(self._received, 0, end + 2)
            size = end + 4 + (int(length[1]) if length else 0)
            if len(self._received) < size:
                return
            head, body = self._received[: end + 2], self._received[end + 4 : size]
            self._received = self._received[size:]
            if not head.startswith(b"POST"):
                self._transport.write(_READY)
                continue
            self._played = self._house.begin(head, body)
            self._playing = self._house.loop.create_task(self._play(self._played))

    async def _play(self, played: Played) -> None:
        for step in steps_of(played.call):
            if isinstance(step, bytes):
                self._transport.write(step)
            elif isinstance(step, float):
                await asyncio.sleep(step)
            elif step is Act.HANG:
                await asyncio.Event().wait()
            elif step is Act.WORK:
                async with self._house.slots:
                    await asyncio.sleep(WORK)
            else:
                self._played = None
                self._house.end(played, "whole" if played.call.play == "twice" else "cut")
                self._leave(resets=step is Act.RESET)
                return
        self._played = None
        self._house.end(played, "whole")
        self._go_on()

    def _leave(self, *, resets: bool) -> None:
        if resets:
            own: Any = self._transport.get_extra_info("socket")
            with contextlib.suppress(OSError, AttributeError):  # the latter where it has just been lost
                own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._transport.abort()
        else:
            self._transport.close()


async def serve(*, tier: str, book: Path, ports: Sequence[int]) -> None:
    """Answer on 127.0.0.1 until SIGTERM or SIGINT; a port of 0 takes a free one."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    house = Playhouse(tier, book)
    servers = [await loop.create_server(lambda: Stage(house), "127.0.0.1", port, backlog=1024) for port in ports]
    sys.stdout.write(json.dumps({"ports": [server.sockets[0].getsockname()[1] for server in servers]}) + "\n")
    sys.stdout.flush()
    await stop.wait()


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the flags and serve."""
    parser = argparse.ArgumentParser(prog="router.bench.faults.backend", description=__doc__)
    parser.add_argument("--tier", choices=("large", "mini"), required=True)
    parser.add_argument("--book", type=Path, required=True)
    parser.add_argument("--port", type=int, action="append", help="one for each server of the tier; 0 takes a free one")
    flags = parser.parse_args(arguments)
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(serve(tier=flags.tier, book=flags.book, ports=flags.port or [0, 0]))


if __name__ == "__main__":
    main()
