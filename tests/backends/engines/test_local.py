"""Tests backends/engines/local.py: calls that reach a real engine."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from backends.base import Backend, BackendError, Call, Overloaded, Rejected
from backends.engines.engine_options import EngineOptions
from backends.engines.local import EngineLimitsOptions, LocalEngine
from backends.engines.process import EngineFailed, EngineProcess

CANCEL = {"messages": [{"role": "user", "content": "how do I cancel order 123?"}]}


def call(body: dict[str, Any]) -> Call:
    return Call(
        path="/chat/completions",
        body=json.dumps(body).encode(),
        stream=bool(body.get("stream")),
        deadline=time.monotonic() + 10,
        request_id="r1",
    )


async def answer_of(backend: Backend, body: dict[str, Any]) -> bytes:
    reply = await backend.send(call(body))
    async with aclosing(reply.chunks) as chunks:
        return b"".join([chunk async for chunk in chunks])


@pytest.fixture
async def local(weights: Path) -> AsyncIterator[LocalEngine]:
    local = LocalEngine(EngineProcess(EngineOptions(model=weights, name="desk-mini")))
    yield local
    await local.aclose()


async def test_the_first_calls_start_the_engine_once_and_are_answered(local: LocalEngine) -> None:
    assert not await local.is_ready()
    answers = await asyncio.gather(*(answer_of(local, CANCEL) for _ in range(4)))
    texts = {json.loads(answer)["choices"][0]["message"]["content"].strip() for answer in answers}
    assert texts == {"Reply CANCEL 123 to cancel it."}
    assert await local.is_ready()


async def test_a_started_engine_is_ready_and_streams(local: LocalEngine) -> None:
    await local.start()
    assert await local.is_ready()
    body = await answer_of(local, {**CANCEL, "stream": True})
    assert body.startswith(b"data: ")
    assert body.endswith(b"data: [DONE]\n\n")
    await local.aclose()
    assert local.process.pid is None
    assert not await local.is_ready()


async def test_leaving_a_stream_frees_the_slot(local: LocalEngine) -> None:
    for _ in range(8):  # more often than there are slots
        reply = await local.send(call({**CANCEL, "stream": True, "ignore_eos": True, "max_tokens": 1000}))
        async with aclosing(reply.chunks) as chunks:
            await anext(chunks)
    started = time.monotonic()
    await answer_of(local, CANCEL)
    assert time.monotonic() - started < 1.0


async def test_a_killed_engine_fails_its_calls_and_then_answers_again(local: LocalEngine) -> None:
    await local.start()
    pid = local.process.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    failed, killed = 0, time.monotonic()
    while True:
        try:
            await answer_of(local, CANCEL)
            break
        except BackendError:
            failed += 1
            assert time.monotonic() - killed < 10
            await asyncio.sleep(0.02)
    assert failed
    while not local.process.is_running:  # its owner may learn of the restart after the first caller
        assert time.monotonic() - killed < 10
        await asyncio.sleep(0.01)
    assert local.process.restarts == 1
    assert await local.is_ready()


async def test_calls_beyond_its_limit_wait_their_turn(weights: Path) -> None:
    limits = EngineLimitsOptions(in_flight=2, queue=6)
    local = LocalEngine(EngineProcess(EngineOptions(model=weights, name="desk-mini")), limits=limits)
    assert list(local.figures()) == []
    await local.start()
    ended = await asyncio.gather(*(answer_of(local, CANCEL) for _ in range(20)), return_exceptions=True)
    assert sum(isinstance(each, bytes) for each in ended) == 8
    assert sum(isinstance(each, Overloaded) for each in ended) == 12
    counts = {figure.name: figure.counts for figure in local.figures()}
    assert (counts["waits"], counts["shed"], counts["in_flight"]) == ({(): 6}, {("full",): 12}, {(): 0})
    await local.aclose()


async def test_what_the_engine_refuses_comes_back_as_its_own_answer(local: LocalEngine) -> None:
    with pytest.raises(Rejected) as refusal:
        await local.send(call({"messages": [{"role": "user", "content": "order 123 " * 600}]}))
    assert refusal.value.status == 400
    assert b"context_length_exceeded" in refusal.value.body


async def test_an_engine_that_cannot_start_fails_each_call(broken_weights: Path) -> None:
    local = LocalEngine(EngineProcess(EngineOptions(model=broken_weights, name="torn")))
    with pytest.raises(EngineFailed, match="is cut short by"):
        await local.send(call(CANCEL))
    assert not await local.is_ready()
    await local.aclose()


async def test_an_engine_that_was_never_asked_is_closed_without_a_word(weights: Path) -> None:
    local = LocalEngine(EngineProcess(EngineOptions(model=weights, name="desk-mini")))
    assert repr(local) == "<LocalEngine <EngineProcess desk-mini: down, 0 restarts>>"
    await local.aclose()
