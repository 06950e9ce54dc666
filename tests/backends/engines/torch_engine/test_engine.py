"""Tests of `backends/engines/torch_engine/engine.py`."""

import asyncio
import json
import time
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from backends.engines.base import ModelRefused, NotReady, Refused
from backends.engines.engine_options import EngineOptions
from backends.engines.opening import open_engine
from backends.engines.torch_engine.answers import Failed
from backends.engines.torch_engine.base import Loaded, OutOfMemory
from backends.engines.torch_engine.batch_trial import generated
from backends.engines.torch_engine.engine import TorchEngine
from tests.backends.engines.torch_engine.conftest import ask_for, options_for, read

ENDLESS: dict[str, Any] = {"max_tokens": 900, "ignore_eos": True}


async def idle(engine: TorchEngine, *, within: float) -> float:
    """Return the seconds until nothing is computed any more."""
    began = time.monotonic()
    while engine.load().running or engine.load().waiting:
        assert time.monotonic() - began < within
        await asyncio.sleep(0.002)
    return time.monotonic() - began


def test_the_command_lines_word_opens_it(folders: dict[str, Path]) -> None:
    options = EngineOptions(model=folders["mistral"], name="m", engine="transformers")
    assert isinstance(open_engine(options, None), TorchEngine)


async def test_an_answer_is_that_of_generate(engine: TorchEngine, models: dict[str, Loaded]) -> None:
    tokenizer = models["mistral"].tokenizer
    ids = await engine.tokenize("the question was")
    answer = json.loads(await read(engine, ask_for(path="/completions", prompt=list(ids), max_tokens=20)))
    speller = tokenizer.speller(())
    expected = generated(models["mistral"], ids, 20)
    assert answer["choices"][0]["text"] == "".join(map(speller.push, expected)) + speller.flush()
    assert answer["usage"]["completion_tokens"] == len(expected)
    assert answer["usage"]["prompt_tokens"] == len(ids)


async def test_a_stream_says_what_the_whole_answer_says(engine: TorchEngine) -> None:
    whole = json.loads(await read(engine, ask_for(max_tokens=30)))
    stream = await read(engine, ask_for(max_tokens=30, stream=True))
    events = [json.loads(part[6:]) for part in stream.decode().split("\n\n")[:-2]]
    text = "".join(event["choices"][0]["delta"].get("content", "") for event in events if event["choices"])
    assert text == whole["choices"][0]["message"]["content"]
    assert events[-1]["usage"] == whole["usage"]


async def test_the_first_chunk_comes_long_before_the_last(engine: TorchEngine) -> None:
    began = time.perf_counter()
    reply = await engine.answer(ask_for(stream=True, **{**ENDLESS, "max_tokens": 200}))
    async with aclosing(reply.chunks) as chunks:
        await anext(chunks)
        first = time.perf_counter() - began
        async for _ in chunks:
            pass
    assert first / (time.perf_counter() - began) < 0.35


async def test_the_loop_stays_free_while_the_model_computes(engine: TorchEngine) -> None:
    answers = asyncio.gather(*(read(engine, ask_for(**ENDLESS, stream=True)) for _ in range(4)))
    slowest, running = 0.0, 0
    for _ in range(200):
        before = time.perf_counter()
        await asyncio.sleep(0.001)
        slowest = max(slowest, time.perf_counter() - before)
        running = max(running, engine.load().running)
    answers.cancel()
    await asyncio.gather(answers, return_exceptions=True)
    assert running == 4
    assert slowest < 0.5
    await idle(engine, within=1.0)


async def test_a_count_is_what_usage_then_says(engine: TorchEngine) -> None:
    ask = ask_for(max_tokens=1)
    assert await engine.count(ask) == json.loads(await read(engine, ask))["usage"]["prompt_tokens"]


@pytest.mark.parametrize("stream", [True, False])
async def test_closing_a_reply_frees_its_place_within_a_second(engine: TorchEngine, *, stream: bool) -> None:
    reply = await engine.answer(ask_for(stream=stream, n=3, **ENDLESS))
    await reply.chunks.aclose()
    assert await idle(engine, within=1.0) < 1.0
    with pytest.raises(StopAsyncIteration):
        await anext(reply.chunks)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_caller_who_leaves_before_or_amid_the_answer_frees_its_place(
    engine: TorchEngine, *, stream: bool
) -> None:
    for pause in (0.0, 0.05):
        task = asyncio.create_task(read(engine, ask_for(stream=stream, **ENDLESS)))
        await asyncio.sleep(pause)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await idle(engine, within=1.0)
    assert not engine._streams


async def test_choices_come_together_and_count_the_prompt_once(engine: TorchEngine) -> None:
    ask = ask_for(n=4, temperature=1.0, seed=2, max_tokens=6, ignore_eos=True)
    answer = json.loads(await read(engine, ask))
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2, 3]
    assert answer["usage"]["completion_tokens"] == 24
    assert answer["usage"]["prompt_tokens"] == await engine.count(ask)
    assert json.loads(await read(engine, ask))["choices"] == answer["choices"]


async def test_a_refusal_computes_nothing(engine: TorchEngine) -> None:
    asked: list[dict[str, Any]] = [{"tools": [{}]}, {"n": 10_000}, {"max_tokens": 2000}]
    for fields in asked:
        with pytest.raises(Refused):
            await engine.answer(ask_for(**fields))
    assert engine.load().prompt_tokens == 0


async def test_an_adapter_that_was_not_loaded_is_refused(engine: TorchEngine) -> None:
    ask = ask_for()
    with pytest.raises(Refused, match="was not loaded"):
        await engine.answer(type(ask)(**{**{f: getattr(ask, f) for f in ask.__struct_fields__}, "adapter": "x"}))


async def test_a_failure_before_the_first_token_and_one_amid_the_answer_are_told(engine: TorchEngine) -> None:
    reply = await engine.answer(ask_for(stream=True, **ENDLESS))
    async with aclosing(reply.chunks) as chunks:
        assert await anext(chunks)
        (stream,) = engine._streams.values()
        stream.take(Failed(OutOfMemory("no memory is left")))
        while stream._events:
            await anext(chunks)
        with pytest.raises(OutOfMemory):
            await anext(chunks)
    await idle(engine, within=1.0)


async def test_before_the_start_and_after_the_end_it_is_not_ready(folders: dict[str, Path]) -> None:
    engine = TorchEngine(options_for(folders["mistral"]), None)
    with pytest.raises(NotReady):
        await engine.answer(ask_for())
    await engine.start()
    reply = await engine.answer(ask_for(stream=True, **ENDLESS))
    await engine.aclose()
    with pytest.raises(NotReady):
        async for _ in reply.chunks:
            pass
    with pytest.raises(NotReady):
        await engine.count(ask_for())
    assert engine.load().running == 0


async def test_what_cannot_be_served_is_said_at_the_start(tmp_path: Path) -> None:
    engine = TorchEngine(options_for(tmp_path / "nowhere"), None)
    with pytest.raises(ModelRefused, match="there is no folder"):
        await engine.start()
    await engine.aclose()
