"""Chat requests -> canned OpenAI answers, as cheap as can be.

A process of its own (`python -m router.bench.upstream --port 0`) that stands where a model server stands, so that a
bench pays for the gateway and not for a model. It prints its port as one line of JSON when it listens. What a prompt
says is never read: only whether a stream, and a usage chunk, are asked for.
"""

import argparse
import asyncio
import contextlib
import json
import re
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast
from urllib.parse import parse_qs, urlsplit

import uvloop

MODEL = "bench-upstream"
CHUNKS = 50
GAP = 0.02
USAGE = {
    "prompt_tokens": 96,
    "completion_tokens": 50,
    "total_tokens": 146,
    "prompt_tokens_details": {"cached_tokens": 0},
}
_TEXT = (
    "Your order left the warehouse on Tuesday and is with the carrier now. It should reach you in two working days; "
    "the tracking page shows each step. If the parcel has not come by Friday evening, answer this message and we shall "
    "send it again at no cost."
)
_ASKS_FOR_STREAM = re.compile(rb'"stream"\s*:\s*true')
ASKS_FOR_USAGE = re.compile(rb'"include_usage"\s*:\s*true')
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
_STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Pace:
    """How answers come.

    Attributes:
        chunks: with text, of a stream; the finish, usage and done events follow them at once.
        gap: seconds before each of them.
        think: seconds before a whole answer.
    """

    chunks: int = CHUNKS
    gap: float = GAP
    think: float = 0.0


def finals(*, include_usage: bool) -> int:
    """Return how many events follow the last chunk with text: finish, usage when asked for, done."""
    return 3 if include_usage else 2


def _answer(body: dict[str, object], status: str = "200 OK") -> bytes:
    """Return a whole HTTP answer, head and body."""
    text = json.dumps(body, separators=(",", ":")).encode()
    return b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
        status.encode(),
        len(text),
        text,
    )


def _event(choices: list[dict[str, object]], **more: object) -> bytes:
    """Return one server-sent event."""
    body = {"id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 1767225600, "model": MODEL}
    return b"data: %b\n\n" % json.dumps({**body, "choices": choices, **more}, separators=(",", ":")).encode()


def _frame(payload: bytes) -> bytes:
    """Return one piece of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(payload), payload)


def _delta(text: str, finish: str | None = None) -> list[dict[str, object]]:
    """Return the choices of one streamed event."""
    return [{"index": 0, "delta": {"content": text} if text else {}, "logprobs": None, "finish_reason": finish}]


_WHOLE = _answer(
    {
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": 1767225600,
        "model": MODEL,
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": _TEXT}, "logprobs": None, "finish_reason": "stop"}
        ],
        "usage": USAGE,
    }
)
_MODELS = _answer({"object": "list", "data": [{"id": MODEL, "object": "model", "created": 0, "owned_by": "bench"}]})
_HEALTH = _answer({"status": "ok"})
_NOT_FOUND = _answer({"error": {"message": "no such path", "type": "invalid_request_error"}}, "404 Not Found")
_NO_LENGTH = _answer({"error": {"message": "content-length is needed"}}, "411 Length Required")
_CHUNK = _frame(_event(_delta("twelve chars")))
_FINISH = _event(_delta("", "stop"))
_DONE = b"data: [DONE]\n\n"
_LAST = _frame(_FINISH + _DONE) + b"0\r\n\r\n"
_LAST_WITH_USAGE = _frame(_FINISH + _event([], usage=USAGE) + _DONE) + b"0\r\n\r\n"


class Upstream(asyncio.Protocol):
    """One connection: answers its requests in order, and waits for the end of a stream before it reads on."""

    __slots__ = ("_gap", "_last", "_left", "_loop", "_next", "_pace", "_received", "_transport")

    def __init__(self, loop: asyncio.AbstractEventLoop, pace: Pace) -> None:
        self._loop, self._pace = loop, pace
        self._gap, self._left, self._last = pace.gap, 0, b""
        self._received = b""
        self._next: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, _: Exception | None) -> None:
        """Stop a stream that nobody reads."""
        if self._next is not None:
            self._next.cancel()

    def data_received(self, data: bytes) -> None:
        """Answer each request that is whole."""
        self._received = self._received + data if self._received else data
        while self._received and self._next is None:
            head = self._received.find(b"\r\n\r\n")
            if head < 0:
                return
            found = _LENGTH.search(self._received, 0, head)
            if found is None and self._received.startswith(b"POST"):
                self._transport.write(_NO_LENGTH)
                self._transport.close()
                return
            end = head + 4 + (int(found[1]) if found else 0)
            if len(self._received) < end:
                return
            request, self._received = self._received[:end], self._received[end:]
            self._answer(request, head)

    def _answer(self, request: bytes, head: int) -> None:
        """Write the answer to one whole request."""
        if request.startswith(b"POST /v1/chat/completions"):
            if _ASKS_FOR_STREAM.search(request, head):
                self._begin(request, head)
            elif self._pace.think:
                self._next = self._loop.call_later(self._pace.think, self._tell)
            else:
                self._transport.write(_WHOLE)
        elif request.startswith(b"GET /health"):
            self._transport.write(_HEALTH)
        elif request.startswith(b"GET /v1/models"):
            self._transport.write(_MODELS)
        else:
            self._transport.write(_NOT_FOUND)

    def _begin(self, request: bytes, head: int) -> None:
        """Begin a stream; `?chunks=` and `?gap=` change its pace."""
        query = parse_qs(urlsplit(request[: request.find(b" HTTP/1.1")].split(b" ")[1].decode()).query)
        self._left = int(query["chunks"][0]) if "chunks" in query else self._pace.chunks
        self._gap = float(query["gap"][0]) if "gap" in query else self._pace.gap
        self._last = _LAST_WITH_USAGE if ASKS_FOR_USAGE.search(request, head) else _LAST
        self._transport.write(_STREAM_HEAD)
        self._next = self._loop.call_later(self._gap, self._tick)

    def _tell(self) -> None:
        """Write a whole answer that was thought about."""
        self._next = None
        self._transport.write(_WHOLE)
        self.data_received(b"")

    def _tick(self) -> None:
        """Write the next chunk, or the end."""
        if self._left:
            self._left -= 1
            self._transport.write(_CHUNK)
            self._next = self._loop.call_later(self._gap, self._tick)
            return
        self._next = None
        self._transport.write(self._last)
        self.data_received(b"")


async def serve(*, port: int, pace: Pace) -> None:
    """Answer on 127.0.0.1 until SIGTERM or SIGINT.

    Args:
        port: 0 takes a free one; the line on standard output says which.
        pace: of streams that do not ask for another.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = await loop.create_server(lambda: Upstream(loop, pace), "127.0.0.1", port, backlog=1024)
    sys.stdout.write(json.dumps({"port": server.sockets[0].getsockname()[1]}) + "\n")
    sys.stdout.flush()
    await stop.wait()
    server.close()


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the flags and serve."""
    parser = argparse.ArgumentParser(prog="router.bench.upstream", description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--chunks", type=int, default=CHUNKS, help="chunks with text in a stream")
    parser.add_argument("--gap", type=float, default=GAP, help="seconds before each chunk")
    parser.add_argument("--think", type=float, default=0.0, help="seconds before a whole answer")
    flags = parser.parse_args(arguments)
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(serve(port=flags.port, pace=Pace(chunks=flags.chunks, gap=flags.gap, think=flags.think)))


if __name__ == "__main__":
    main()
