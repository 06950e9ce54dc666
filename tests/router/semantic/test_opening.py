"""Tests router/semantic/opening.py, router/semantic/rechecks.py and router/learning/second_calls.py in a gateway."""

import asyncio
import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.router.conftest import House, OpenHouse, chat
from tests.router.scripted import COMPLETION
from tests.router.verifying import CHAT

TO_MINI = {"use": "threshold", "threshold": 1.0}
QUESTION = "How do I return a green lamp to the shop in Paris?"
ALIKE = "Hello, can you tell me how I can return a green lamp to the shop in Paris? Thanks!"
OTHER = "How do I return a red lamp to the shop in Paris?"
TAKES = {"temperature": 0}


def cache(**semantic: object) -> dict[str, object]:
    return {"enabled": True, "semantic": {"enabled": True, "verify": 0, **semantic}}


async def until(happened: Callable[[], object]) -> None:
    """Wait, for at most some seconds, until something is so."""
    for _ in range(500):
        if happened():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen")


def _was_asked_again(house: House, asked: int) -> bool:
    return len(house.mini.calls) > asked


async def figure(house: House, name: str) -> float:
    text = (await house.client.get("/metrics")).text
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    assert found is not None, name
    return float(found[1])


@pytest.mark.parametrize("stream", [False, True])
async def test_another_wording_gets_the_same_bytes_for_nothing(stream: bool, open_house: OpenHouse) -> None:  # noqa: FBT001
    async with open_house(cache=cache(), policy=TO_MINI) as house:
        first = await house.client.post(CHAT, json=chat(QUESTION, stream=stream, **TAKES))
        second = await house.client.post(CHAT, json=chat(ALIKE, stream=stream, **TAKES))
        assert second.content == first.content
        assert second.headers["content-type"] == first.headers["content-type"]
        assert (first.headers["x-tandem-cache"], second.headers["x-tandem-cache"]) == ("miss", "semantic")
        assert 0.6 < float(second.headers["x-tandem-similarity"]) <= 1.0
        assert float(second.headers["x-tandem-cost-usd"]) == 0.0
        assert float(second.headers["x-tandem-baseline-usd"]) > 0.0
        assert len(house.mini.calls) == 1
        again = await house.client.post(CHAT, json=chat(QUESTION, stream=stream, **TAKES))
        assert again.headers["x-tandem-cache"] == "hit"
        assert "x-tandem-similarity" not in again.headers
        assert await figure(house, 'tandem_semantic_lookups_total{result="hits"}') == 1
    assert [row["outcome"] for row in house.rows()].count("kept") == 2


@pytest.mark.parametrize(
    "more",
    [
        {"text": OTHER},
        {"text": ALIKE.replace("return", "not return")},
        {"text": ALIKE, "max_tokens": 9},
        {"text": ALIKE, "stream": True},
        {"text": ALIKE, "temperature": 0.5},
        {"text": ALIKE, "tools": [{"type": "function", "function": {"name": "f"}}]},
        {"text": ALIKE, "messages": [{"role": "system", "content": "rhyme"}, {"role": "user", "content": ALIKE}]},
    ],
)
async def test_whatever_else_differs_is_asked_of_the_backend(more: dict[str, object], open_house: OpenHouse) -> None:
    async with open_house(cache=cache(), policy=TO_MINI) as house:
        await house.client.post(CHAT, json=chat(QUESTION, **TAKES))
        answer = await house.client.post(CHAT, json={**chat(str(more.pop("text")), **TAKES), **more})
        assert answer.headers["x-tandem-cache"] == "miss"
        assert len(house.mini.calls) + len(house.large.calls) == 2


async def test_a_caller_may_forbid_it(open_house: OpenHouse) -> None:
    async with open_house(cache=cache(), policy=TO_MINI) as house:
        await house.client.post(CHAT, json=chat(QUESTION, **TAKES))
        answer = await house.client.post(CHAT, json=chat(ALIKE, **TAKES), headers={"x-tandem-no-cache": "1"})
        assert answer.headers["x-tandem-cache"] == "miss"


async def test_a_tool_call_is_never_kept(open_house: OpenHouse) -> None:
    calls = COMPLETION.replace(
        b'"content":"hello"', b'"content":null,"tool_calls":[{"id":"c","function":{"name":"f"}}]'
    )
    async with open_house(cache=cache(), policy=TO_MINI) as house:
        house.mini.completion = calls.replace(b'"finish_reason":"stop"', b'"finish_reason":"tool_calls"')
        for text in (QUESTION, ALIKE):
            answer = await house.client.post(CHAT, json=chat(text, **TAKES))
            assert answer.headers["x-tandem-cache"] == "miss"


async def test_it_is_off_unless_switched_on(open_house: OpenHouse) -> None:
    async with open_house(cache={"enabled": True}, policy=TO_MINI) as house:
        for text in (QUESTION, ALIKE):
            answer = await house.client.post(CHAT, json=chat(text, **TAKES))
            assert answer.headers["x-tandem-cache"] == "miss"
        assert "tandem_semantic" not in (await house.client.get("/metrics")).text


async def test_a_verified_hit_that_agrees_changes_nothing(open_house: OpenHouse) -> None:
    async with open_house(cache=cache(verify=1), policy=TO_MINI) as house:
        for text in (QUESTION, ALIKE):
            await house.client.post(CHAT, json=chat(text, **TAKES))
        await until(lambda: len(house.mini.calls) == 2)
        for _ in range(100):
            if await figure(house, 'tandem_semantic_checks_total{result="agreed"}'):
                break
            await asyncio.sleep(0.01)
        assert await figure(house, 'tandem_semantic_checks_total{result="agreed"}') == 1
        assert house.mini.calls[1].request_id.endswith("-shadow")
        assert msgspec.json.decode(house.mini.calls[1].body)["messages"][0]["content"] == ALIKE
        answer = await house.client.post(CHAT, json=chat(ALIKE, **TAKES))
        assert answer.headers["x-tandem-cache"] == "semantic"
    kinds = [attempt["kind"] for row in house.rows() for attempt in row["attempts"]]  # type: ignore[attr-defined]
    assert kinds.count("shadow") >= 1


async def test_hits_that_disagree_switch_it_off(open_house: OpenHouse, caplog: pytest.LogCaptureFixture) -> None:
    animals = "dog cat horse rabbit goat parrot hamster turtle".split()
    async with open_house(cache=cache(verify=1), policy=TO_MINI) as house:
        for animal in animals:
            house.mini.completion = COMPLETION
            question = f"what does a {animal} eat in Norway?"
            await house.client.post(CHAT, json=chat(question, **TAKES))
            house.mini.completion = COMPLETION.replace(b"hello", b"goodbye")
            asked = len(house.mini.calls)
            await house.client.post(CHAT, json=chat(f"Hi, {question} Thanks!", **TAKES))
            if await figure(house, "tandem_semantic_is_off"):
                break
            await until(partial(_was_asked_again, house, asked))
            await asyncio.sleep(0.05)
        assert await figure(house, "tandem_semantic_is_off") == 1
        assert await figure(house, "tandem_semantic_threshold") > 0.612
        assert "switched itself off" in caplog.text
        answer = await house.client.post(CHAT, json=chat("what does a dog eat in Norway please?", **TAKES))
        assert answer.headers["x-tandem-cache"] == "miss"


async def test_vectors_of_a_backend_that_tell_nothing_apart_switch_it_off(
    open_house: OpenHouse, caplog: pytest.LogCaptureFixture
) -> None:
    kind = "tests.router.scripted:ScriptedOptions"
    backends = {
        "large": {"use": kind, "tier": "large", "model": "big", "price": "desk-large"},
        "mini": {"use": kind, "tier": "mini", "model": "small", "price": "desk-mini"},
        "embeddings": {"use": "tests.router.semantic.embedding:ConstantOptions", "model": "e", "price": "e"},
    }
    async with open_house(cache=cache(embeddings=True, threshold=0.9), policy=TO_MINI, backends=backends) as house:
        assert await figure(house, "tandem_semantic_is_off") == 1
    assert "are alike" in caplog.text


async def test_what_a_look_up_takes_is_an_attempt_of_the_request_and_a_hit_costs_that_alone(
    open_house: OpenHouse,
) -> None:
    kind = "tests.router.scripted:ScriptedOptions"
    embedder = {"use": "tests.router.semantic.embedding:MeaningOptions", "model": "e", "price": "desk-mini"}
    backends = {
        "large": {"use": kind, "tier": "large", "model": "big", "price": "desk-large"},
        "mini": {"use": kind, "tier": "mini", "model": "small", "price": "desk-mini"},
        "embeddings": embedder,
    }
    async with open_house(cache=cache(embeddings=True, threshold=0.9), policy=TO_MINI, backends=backends) as house:
        await house.client.post(CHAT, json=chat(QUESTION, **TAKES))
        hit = await house.client.post(CHAT, json=chat(ALIKE, **TAKES))
        assert hit.headers["x-tandem-cache"] == "semantic"
        assert float(hit.headers["x-tandem-cost-usd"]) == 250 / 1e9
    first, second = house.rows()
    for row, kinds in ((first, ["classifier", "primary"]), (second, ["classifier"])):
        attempts: Any = row["attempts"]
        assert [attempt["kind"] for attempt in attempts] == kinds
        assert (attempts[0]["cost"], attempts[0]["tier"], attempts[0]["replica"]) == (250, "embeddings", "meaning:1")
        assert row["cost"] == sum(attempt["cost"] for attempt in attempts)


def test_a_gateway_without_it_loads_none_of_it() -> None:
    program = (
        "import sys, router.app, router.semantic.opening; heavy = 'classifier.meaning', 'cache.semantic.b'; "
        "print([name for name in sys.modules if name.startswith(heavy)])"
    )
    root = Path(__file__).parents[3]
    found = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, check=True, timeout=30)
    assert found.stdout.decode().strip() == "[]"
