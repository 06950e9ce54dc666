"""Tests backends/replicas/commit.py: what is held back, for how long, and what becomes of it."""

import asyncio
import time

import pytest

from backends.base import BackendError, Broken, IdleTimeout, StreamBroken
from backends.replicas.commit import Committed
from tests.backends.replicas.played import Played, body_of, call_of, left_alone, until
from tests.backends.replicas.test_endings import Bucket

ROLE = b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}\n\n'
WORD = b'data: {"choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":null}]}\n\n'
DONE = b"data: [DONE]\n\n"


def committed(*pieces: bytes | float | BackendError, wait: float = 1.0, most: int = 4096) -> tuple[Committed, Played]:
    server = Played("a", pieces=pieces)
    return Committed(server, wait=wait, most=most), server


def seen(backend: Committed) -> dict[tuple[str, ...], float]:
    return next(dict(figure.counts) for figure in backend.figures())


@pytest.mark.parametrize("error", [StreamBroken("off"), IdleTimeout("silent")])
async def test_a_stream_that_breaks_before_its_first_word_was_never_begun(error: BackendError) -> None:
    backend, server = committed(ROLE, 0.01, error)
    with pytest.raises(type(error)):
        await backend.send(call_of(stream=True))
    assert (server.flying, seen(backend)) == (0, {("fault",): 1})


async def test_a_stream_that_ends_before_its_first_word_is_broken() -> None:
    for pieces in ((ROLE,), ()):
        backend, _ = committed(*pieces)
        with pytest.raises(StreamBroken, match="before its first word"):
            await backend.send(call_of(stream=True))


@pytest.mark.parametrize(
    "event", [b'data: {"error":{"message":"no"}}\n\n', b'event: error\ndata: {"type":"error","error":{"m":1}}\n\n']
)
async def test_a_stream_that_begins_with_an_error_is_broken(event: bytes) -> None:
    backend, _ = committed(event, DONE)
    with pytest.raises(Broken, match="began with an error"):
        await backend.send(call_of(stream=True))


@pytest.mark.parametrize(
    "word",
    [
        WORD,
        b'data: {"choices":[{"delta":{"reasoning_content":"so"}}]}\n\n',
        b'data: {"choices":[{"delta":{"tool_calls":[{"index":0}]}}]}\n\n',
        b'data: {"choices":[{"text":"hi"}]}\n\n',
        b'data: {"type":"response.output_text.delta","delta":"hi"}\n\n',
        b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n',
        DONE,
    ],
)
async def test_what_was_held_back_goes_out_with_the_first_word(word: bytes) -> None:
    backend, server = committed(ROLE, 0.02, word, 0.02, b"data: rest\n\n", wait=5.0)
    reply = await backend.send(call_of(stream=True))
    assert await anext(reply.chunks) == ROLE + word
    assert await body_of(reply) == b"data: rest\n\n"
    assert (server.stopped, seen(backend)) == (0, {("word",): 1})


async def test_nothing_is_held_back_for_longer_than_it_says() -> None:
    backend, _ = committed(ROLE, 0.3, WORD, DONE, wait=0.05)
    began = time.monotonic()
    reply = await backend.send(call_of(stream=True))
    assert time.monotonic() - began < 0.2
    assert seen(backend) == {("nothing",): 1}
    assert await body_of(reply) == ROLE + WORD + DONE


async def test_nor_more_bytes_than_it_says() -> None:
    backend, _ = committed(ROLE, ROLE, 5.0, WORD, wait=10.0, most=len(ROLE) + 1)
    began = time.monotonic()
    reply = await backend.send(call_of(stream=True))
    assert time.monotonic() - began < 1.0
    assert await anext(reply.chunks) == ROLE * 2
    await reply.chunks.aclose()


@pytest.mark.parametrize("wait", [0.02, 5.0])
async def test_it_can_be_poured(wait: float) -> None:
    backend, _ = committed(ROLE, 0.05, WORD, DONE, wait=wait)
    bucket = Bucket()
    reply = await backend.send(call_of(stream=True))
    await reply.chunks.pour(bucket)  # type: ignore[attr-defined]  # all of ours can
    assert b"".join(bucket.got) == ROLE + WORD + DONE


async def test_a_break_after_the_window_is_the_readers() -> None:
    backend, _ = committed(ROLE, 0.05, StreamBroken("off"), wait=0.01)
    reply = await backend.send(call_of(stream=True))
    assert await anext(reply.chunks) == ROLE
    with pytest.raises(StreamBroken):
        await anext(reply.chunks)


async def test_an_end_after_the_window_is_an_end() -> None:
    backend, _ = committed(ROLE, 0.05, wait=0.01)
    assert await body_of(await backend.send(call_of(stream=True))) == ROLE


@pytest.mark.parametrize("moment", ["held back", "read"])
async def test_who_leaves_is_seen_by_the_server(moment: str) -> None:
    backend, server = committed(ROLE, 5.0, WORD, wait=0.02 if moment == "read" else 5.0)
    call = asyncio.create_task(backend.send(call_of(stream=True)))
    if moment == "held back":
        await until(lambda: server.flying == 1)
        await asyncio.sleep(0.01)
        await left_alone(call)
    else:
        reply = await call
        await anext(reply.chunks)
        began = time.monotonic()
        await reply.chunks.aclose()
        assert time.monotonic() - began < 1.0
    assert (server.flying, server.stopped) == (0, 1)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_what_is_not_streamed_passes() -> None:
    backend, server = committed()
    assert await body_of(await backend.send(call_of())) == b"{}"
    assert await backend.is_ready()
    await backend.aclose()
    assert server.is_closed
