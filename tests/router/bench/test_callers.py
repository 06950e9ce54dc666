"""Tests router/bench/callers.py."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from router.bench.callers import MARK, Caller, Plan, Result, Tally
from router.bench.upstream import finals

BODY = f'{{"messages":"{MARK}"}}'
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(answer: Answer) -> AsyncIterator[str]:
    async def answer_and_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(answer_and_close, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


def writing(*pieces: bytes) -> Answer:
    """Return a server that answers one request with these pieces, each in a packet of its own, and closes."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}")
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.005)

    return answer


async def call(url: str, *, streams: int = 0, seconds: float = 0.0, chunks: int = 1) -> Result:
    tally = Tally(Plan(url=url, body=BODY, streams=streams, seconds=seconds, chunks=chunks))
    _, caller = await asyncio.get_running_loop().create_connection(lambda: Caller(tally), tally.host, tally.port)
    await asyncio.wait_for(caller.finished, 5)
    return tally.result(1.0)


def framed(payload: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(payload), payload)


def test_no_two_requests_are_equal_and_their_length_is_told_right() -> None:
    tallies = [Tally(Plan(url="http://host:1/v1?a=b", body=BODY.replace("messages", "käse"), key="k")) for _ in "ab"]
    requests = [tally.request() for tally in tallies for _ in range(100)]
    assert len(set(requests)) == 200
    head, _, body = requests[0].partition(b"\r\n\r\n")
    assert f"content-length: {len(body)}".encode() in head
    assert head.startswith(b"POST /v1?a=b HTTP/1.1\r\nhost: host:1\r\n")
    assert b"authorization: Bearer k\r\n" in head


def test_a_body_that_would_be_answered_from_the_cache_is_refused() -> None:
    with pytest.raises(ValueError, match="answered from the cache"):
        Tally(Plan(url="http://host/", body="{}"))


async def test_an_answer_in_single_bytes_counts_once() -> None:
    async with listening(writing(*(bytes([byte]) for byte in WHOLE))) as url:
        result = await call(url, seconds=0.1)
    assert (result.sent, result.answered, result.requests) == (1, 1, 1)
    assert 0 < result.p50 == result.p99 < 5


async def test_a_refusal_is_answered_but_not_right() -> None:
    async with listening(writing(b"HTTP/1.1 429 Slow Down\r\ncontent-length: 4\r\n\r\nwait")) as url:
        result = await call(url, streams=1)
    assert (result.sent, result.answered, result.requests, result.errors) == (1, 1, 0, 1)
    assert result.first_error == "status 429: wait"


async def test_a_connection_that_is_cut_inside_an_answer_is_an_error() -> None:
    async with listening(writing(WHOLE[:-1])) as url:
        result = await call(url, streams=1)
    assert (result.sent, result.answered, result.errors) == (1, 0, 1)
    assert "connection lost" in result.first_error


@pytest.mark.parametrize("cut", [1, 7, 40, 63])
async def test_a_stream_is_whole_wherever_its_packets_are_cut(cut: int) -> None:
    events = b"data: 1\n\ndata: finish\n\n"
    wire = CHUNKED + framed(events[:9]) + framed(events[9:] + b"data: [DONE]\n\n") + b"0\r\n\r\n"
    assert finals(include_usage=False) == 2
    async with listening(writing(wire[: len(wire) - cut], wire[len(wire) - cut :])) as url:
        result = await call(url, streams=1)
    assert (result.events, result.events_expected, result.errors) == (3, 3, 0), result.first_error
    assert result.requests == 1


@pytest.mark.parametrize("events", [b"data: 1\n\ndata: [DONE]\n\n", b"data: 1\n\ndata: 2\n\ndata: 3\n\n"])
async def test_a_stream_that_lacks_an_event_or_its_end_is_an_error(events: bytes) -> None:
    async with listening(writing(CHUNKED + framed(events) + b"0\r\n\r\n")) as url:
        result = await call(url, streams=1)
    assert (result.answered, result.requests, result.errors) == (1, 0, 1)
    assert "a stream of" in result.first_error
