"""A play and a call -> the steps of its answer: bytes, silences, and how the connection ends.

Every piece of text bears the id of its call and its number, the last one "end" besides: whoever reads them can tell
what is missing, and whose answer it was. Does no I/O.
"""

import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

PIECES: Final = 8
_MANY: Final = 40
_CUT: Final = 18  # pieces of a stream that is to be cut: about 4 kB
_GAP: Final = 0.01  # seconds between two of many pieces
_SILENCE: Final = 0.15  # of a slow answer, well within any timeout
_HUGE: Final = 1_200_000  # bytes of a line; the gateway's cap is lower
_HEAD_PIECES: Final = 12


SLOTS: Final = 8
"""Calls of the play "work" that one tier does at the same time; the others wait."""

WORK: Final = 0.04
"""Seconds that each of them takes."""


class Act(Enum):
    """What a connection does that is no byte."""

    WORK = "work"  # wait for a slot, and take it for a while

    RESET = "reset"
    CLOSE = "close"
    HANG = "hang"  # until the other side leaves


Step = bytes | float | Act


@dataclass(frozen=True, slots=True)
class Call:
    """What a call asks for.

    Attributes:
        usage: prompt, cached and completion tokens that are told.
    """

    id: str
    play: str
    stream: bool
    usage: tuple[int, int, int]


def usage_of(name: str) -> tuple[int, int, int]:
    """Return the tokens that are told for a call of this name: always the same, and those of few others."""
    number = zlib.crc32(name.encode())
    return 20 + number % 997, number % 13, 5 + number % 89


def tells_usage(play: str, *, stream: bool) -> bool:
    """Tell whether what a play says of its tokens is there and true."""
    return play not in {"no-usage", "absurd-usage"} and not (stream and play == "whole-for-stream")


def steps_of(call: Call) -> Iterator[Step]:
    """Yield what an answer consists of; after the last step the connection serves its next call."""
    play, _, at = call.play.partition("@")
    if play in _REFUSALS:
        yield _whole(*_REFUSALS[play])
    elif play in _BEFORE:
        yield from _BEFORE[play](call)
    elif play == "work":
        yield Act.WORK
        yield from steps_of(Call(call.id, "ok", stream=call.stream, usage=call.usage))
    elif call.stream:
        yield from _streamed(call, play, int(at or 0))
    else:
        yield from _unstreamed(call, play, int(at or 0))


def completion(call: Call, *, usage: object = None) -> bytes:
    """Return the body of a whole answer."""
    message = {"role": "assistant", "content": " ".join(_texts(call, PIECES))}
    return _json(
        {
            "id": f"chatcmpl-{call.id}",
            "object": "chat.completion",
            "created": 1_767_225_600,
            "model": "fault-backend",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": _told(call) if usage is None else usage,
        }
    )


def events(call: Call, pieces: int = PIECES) -> list[bytes]:
    """Return the events of a whole stream: pieces, finish, usage, done."""
    return [
        *(_event(call, _choice({"content": f"{text} "})) for text in _texts(call, pieces)),
        _event(call, _choice({}, "stop")),
        _event(call, [], usage=_told(call)),
        b"data: [DONE]\n\n",
    ]


def cut_payload(call: Call) -> bytes:
    """Return the body of a stream that is to be cut, whole."""
    return b"".join(events(call, _CUT))


def _texts(call: Call, pieces: int) -> list[str]:
    return [*(f"{call.id}#{number}" for number in range(pieces - 1)), f"{call.id}#{pieces - 1}end"]


def _told(call: Call) -> dict[str, object]:
    prompt, cached, output = call.usage
    return {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": prompt + output,
        "prompt_tokens_details": {"cached_tokens": cached},
    }


def _choice(delta: dict[str, str], finish: str | None = None) -> list[dict[str, object]]:
    return [{"index": 0, "delta": delta, "finish_reason": finish}]


def _event(call: Call, choices: list[dict[str, object]], **more: object) -> bytes:
    head = {"id": f"chatcmpl-{call.id}", "object": "chat.completion.chunk", "created": 1_767_225_600}
    return b"data: %b\n\n" % _json({**head, "model": "fault-backend", "choices": choices, **more})


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _frame(piece: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece), piece)


def _whole(status: str, body: bytes, *headers: str, media_type: str = "application/json") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"content-type: {media_type}", f"content-length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def _error(status: str, *headers: str) -> tuple[str, bytes, *tuple[str, ...]]:
    body = {"error": {"message": f"scripted {status}", "type": "scripted", "param": None, "code": "scripted"}}
    return (status, _json(body), *headers)


_REFUSALS: Final[Mapping[str, tuple[str, bytes, *tuple[str, ...]]]] = {
    "400": _error("400 Bad Request"),
    "401": _error("401 Unauthorized"),
    "403": _error("403 Forbidden"),
    "404": _error("404 Not Found"),
    "409": _error("409 Conflict"),
    "422": _error("422 Unprocessable Entity"),
    "429": _error("429 Too Many Requests"),
    "429-seconds": _error("429 Too Many Requests", "retry-after: 1"),
    "429-date": _error("429 Too Many Requests", "retry-after: Wed, 21 Oct 2015 07:28:00 GMT"),
    "429-garbage": _error("429 Too Many Requests", "retry-after: soon\xe9 -1e9, NaN"),
    "429-huge": _error("429 Too Many Requests", "retry-after: " + "9" * 40),
    "500": _error("500 Internal Server Error"),
    "502": _error("502 Bad Gateway"),
    "503": _error("503 Service Unavailable"),
    "504": _error("504 Gateway Timeout"),
    "redirect": ("302 Found", b"", "location: http://127.0.0.1:1/elsewhere"),
    "empty": ("200 OK", b""),
}


def _before_the_answer(*steps: Step) -> Callable[[Call], Iterator[Step]]:
    return lambda _call: iter(steps)


def _gzip(call: Call) -> Iterator[Step]:
    packed = zlib.compress(completion(call), wbits=31)
    yield _whole("200 OK", packed, "content-encoding: gzip")


_BEFORE: Final[Mapping[str, Callable[[Call], Iterator[Step]]]] = {
    "reset": _before_the_answer(Act.RESET),
    "close": _before_the_answer(Act.CLOSE),
    "silent": _before_the_answer(Act.HANG),
    "not-http": _before_the_answer(b"220 mail.example ready\r\n\r\n", Act.CLOSE),
    "huge-head": _before_the_answer(b"HTTP/1.1 200 OK\r\nx-filler: " + b"x" * 100_000 + b"\r\n\r\n", Act.CLOSE),
    "gzip": _gzip,
}

_STREAM_HEAD: Final = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_LAST: Final = b"0\r\n\r\n"


def _streamed(call: Call, play: str, at: int) -> Iterator[Step]:
    """Yield a stream that is good, or breaks in one way."""
    good = events(call, _MANY if play == "long" else PIECES)
    if play == "whole-for-stream":
        yield _whole("200 OK", completion(call))
    elif play == "not-json":
        yield _whole("200 OK", b"<html>Bad gateway</html>", media_type="text/html")
    elif play in {"long-length", "short-length"}:
        payload = b"".join(good)
        length = len(payload) + (500 if play == "long-length" else -300)
        yield b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n" % length + payload
        yield Act.CLOSE
    elif play in _GOOD_STREAMS:
        yield from _GOOD_STREAMS[play](call, good)
    elif play in {"cut", "reset-mid"}:
        payload = cut_payload(call)
        yield _STREAM_HEAD + _frame(payload[: at or len(payload) // 2])
        yield _SETTLE
        yield Act.RESET if play == "reset-mid" else Act.CLOSE
    else:
        yield _STREAM_HEAD + _frame(good[0])
        yield _SETTLE
        yield from _BROKEN_STREAMS[play](call, good)


_SETTLE: Final = 0.005  # so that what came before an end is read before it


def _plain(_call: Call, good: list[bytes]) -> Iterator[Step]:
    yield _STREAM_HEAD + _frame(good[0])
    yield _SETTLE
    yield _frame(b"".join(good[1:])) + _LAST


def _long(_call: Call, good: list[bytes]) -> Iterator[Step]:
    yield _STREAM_HEAD
    for event in good:
        yield _frame(event)
        yield _GAP
    yield _LAST


def _slow(call: Call, good: list[bytes]) -> Iterator[Step]:
    yield _SILENCE
    yield from _plain(call, good)


def _in_pieces(head: bytes, rest: bytes) -> Iterator[Step]:
    """Yield a head in a few small pieces, then the rest."""
    size = max(1, len(head) // _HEAD_PIECES)
    for start in range(0, len(head), size):
        yield head[start : start + size]
        yield _SETTLE
    yield rest


def _slow_head(_call: Call, good: list[bytes]) -> Iterator[Step]:
    yield from _in_pieces(_STREAM_HEAD, _frame(b"".join(good)) + _LAST)


def _bytes(_call: Call, good: list[bytes]) -> Iterator[Step]:
    yield from _in_pieces(_STREAM_HEAD + b"".join(_frame(b"%c" % byte) for byte in b"".join(good)), _LAST)


def _crlf(_call: Call, good: list[bytes]) -> Iterator[Step]:
    lines = b": ping\r\n\r\n" + b": a comment\r\n".join(event.replace(b"\n", b"\r\n") for event in good)
    yield _STREAM_HEAD + _frame(lines[:40])
    yield _SETTLE
    yield _frame(lines[40:]) + _LAST


def _interim(call: Call, good: list[bytes]) -> Iterator[Step]:
    yield b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"
    yield from _plain(call, good)


def _twice(_call: Call, good: list[bytes]) -> Iterator[Step]:
    answer = _STREAM_HEAD + _frame(b"".join(good)) + _LAST
    yield answer + answer
    yield Act.CLOSE


def _no_usage(call: Call, good: list[bytes]) -> Iterator[Step]:
    yield from _plain(call, [*good[:-2], good[-1]])


def _absurd_usage(call: Call, good: list[bytes]) -> Iterator[Step]:
    yield from _plain(call, [*good[:-2], _event(call, [], usage=_ABSURD), good[-1]])


def _late_usage(call: Call, good: list[bytes]) -> Iterator[Step]:
    yield from _plain(call, [*good[:-3], _event(call, _choice({}, "stop"), usage=_told(call)), good[-1]])


_ABSURD: Final = {"prompt_tokens": -5, "completion_tokens": 10**12, "total_tokens": 3}

_Streamed = Callable[[Call, list[bytes]], Iterator[Step]]
_GOOD_STREAMS: Final[Mapping[str, _Streamed]] = {
    "ok": _plain,
    "long": _long,
    "slow": _slow,
    "slow-head": _slow_head,
    "bytes": _bytes,
    "crlf": _crlf,
    "interim": _interim,
    "twice": _twice,
    "no-usage": _no_usage,
    "absurd-usage": _absurd_usage,
    "late-usage": _late_usage,
}


def _drip(call: Call) -> Iterator[Step]:
    piece = _frame(_event(call, _choice({"content": "drip "})))
    while True:
        yield piece
        yield 5 * _GAP


def _rest(*damaged: bytes) -> Iterator[Step]:
    yield _frame(b"".join(damaged)) + _LAST


_BROKEN_STREAMS: Final[Mapping[str, _Streamed]] = {
    "hang": lambda _call, _good: iter((Act.HANG,)),
    "drip": lambda call, _good: _drip(call),
    "bad-chunk": lambda _call, good: iter((b"zz\r\n" + good[1], Act.CLOSE)),
    "clean-cut": lambda _call, good: _rest(*good[1 : PIECES // 2]),
    "no-done": lambda _call, good: _rest(*good[1:-1]),
    "no-finish": lambda _call, good: _rest(*good[1:-3], *good[-2:]),
    "error-event": lambda _call, good: _rest(good[1], b'data: {"error":{"message":"scripted"}}\n\n'),
    "error-first": lambda _call, _good: _rest(b"event: error\ndata: {}\n\n"),
    "huge-line": lambda _call, good: _rest(b"data: " + b"x" * _HUGE + b"\n\n", *good[1:]),
    "bad-json": lambda _call, good: _rest(b'data: {"choices":[{"delta":{"cont\n\n', *good[1:]),
    "bad-utf8": lambda _call, good: _rest(good[1].replace(b"delta", b"d\xff\xfelta"), *good[1:]),
}


def _unstreamed(call: Call, play: str, at: int) -> Iterator[Step]:
    """Yield a whole answer, or what breaks in its place."""
    body = completion(call)
    answer = _whole("200 OK", body)
    head = answer[: -len(body)]
    if play in {"slow", "long"}:
        yield _SILENCE
        yield answer
    elif play in {"slow-head", "bytes"}:
        yield from _in_pieces(head, body)
    elif play == "interim":
        yield b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" + answer
    elif play == "twice":
        yield answer + answer
        yield Act.CLOSE
    elif play in _OTHER_BODIES:
        yield _whole("200 OK", _OTHER_BODIES[play](call, body))
    elif play == "short-length":
        yield _whole("200 OK", body[:-40]) + body[-40:]
        yield Act.CLOSE
    elif play in _HALVES:
        yield answer[: len(head) + (at or len(body) // 2)]
        yield _SETTLE
        yield _HALVES[play]
    elif play == "drip":
        yield head
        while True:
            yield b" "
            yield 5 * _GAP
    else:
        yield answer


_HALVES: Final = {
    "hang": Act.HANG,
    "cut": Act.CLOSE,
    "long-length": Act.CLOSE,
    "bad-chunk": Act.CLOSE,
    "reset-mid": Act.RESET,
}
_OTHER_BODIES: Final[Mapping[str, Callable[[Call, bytes], bytes]]] = {
    "no-usage": lambda call, _body: completion(call, usage={}),
    "absurd-usage": lambda call, _body: completion(call, usage=_ABSURD),
    "clean-cut": lambda _call, body: body[: len(body) // 2],
    "error-event": lambda _call, _body: b'{"error":{"message":"scripted"}}',
    "error-first": lambda _call, _body: b'{"error":{"message":"scripted"}}',
    "not-json": lambda _call, _body: b"<html>Bad gateway</html>",
    "bad-json": lambda _call, body: body[:-1],
    "bad-utf8": lambda _call, body: body.replace(b"assistant", b"assist\xff\xfe"),
}
