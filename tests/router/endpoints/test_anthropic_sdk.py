"""Anthropic's own client, unchanged but for its base URL, against router/endpoints/messages.py on a real socket."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import httpx2
import pytest
from msgspec import json

from backends.base import Broken, Overloaded, StreamBroken
from tests.router.conftest import House, Served

KEY = "k" * 32
HELLO = [{"role": "user", "content": "hello"}]
TOOL = {"name": "weather", "description": "tells it", "input_schema": {"type": "object", "properties": {}}}


@cache
def sdk() -> Any:
    """Return the client's package. It takes a second to import, which only the process that runs this file shall."""
    return pytest.importorskip("anthropic", reason="Anthropic's client is not installed: pip install anthropic")


@asynccontextmanager
async def client_of(house: House, *, key: str = KEY, retries: int = 0) -> AsyncGenerator[Any, None]:
    """Yield the client; of its retries, only as many as are asked for."""
    async with (
        httpx2.AsyncClient(trust_env=False) as http,
        sdk().AsyncAnthropic(
            api_key=key, base_url=str(house.client.base_url), http_client=http, max_retries=retries
        ) as client,
    ):
        yield client


def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    told = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "up", "choices": [choice]}
    return b"data: %b\n\n" % json.encode(told)


CALLS = (
    chunk({"role": "assistant", "content": ""}),
    chunk({"reasoning_content": "which town?"}),
    chunk({"content": "I look."}),
    chunk({"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather"}}]}),
    chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"town": "Bo'}}]}),
    chunk({"tool_calls": [{"index": 0, "function": {"arguments": 'nn"}'}}]}),
    chunk({"tool_calls": [{"index": 1, "id": "call_2", "type": "function", "function": {"name": "weather"}}]}),
    chunk({"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}]}),
    chunk({}, "tool_calls"),
    b'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":5}}\n\n',
    b"data: [DONE]\n\n",
)


async def test_a_message_a_count_and_the_models_are_read(serve_house: Served) -> None:
    async with serve_house(keys=[{"tenant": "acme", "key": KEY}]) as house, client_of(house) as client:
        message = await client.messages.create(model="auto", max_tokens=16, system="be brief", messages=HELLO)
        assert [block.text for block in message.content] == ["hello"]
        assert (message.role, message.stop_reason) == ("assistant", "end_turn")
        assert (message.usage.input_tokens, message.usage.cache_read_input_tokens) == (8, 2)
        assert message._request_id.startswith("req_")
        counted = await client.messages.count_tokens(model="auto", messages=HELLO, tools=[TOOL])
        assert counted.input_tokens > 5


async def test_a_stream_is_put_together(serve_house: Served) -> None:
    async with serve_house() as house, client_of(house) as client:
        house.mini.events = CALLS
        async with client.messages.stream(model="mini", max_tokens=16, messages=HELLO, tools=[TOOL]) as stream:
            heard = [text async for text in stream.text_stream]
            message = await stream.get_final_message()
    assert heard == ["I look."]
    thought, said, one, other = message.content
    assert (thought.thinking, thought.signature, said.text) == ("which town?", "unsigned", "I look.")
    assert (one.id, one.name, one.input) == ("call_1", "weather", {"town": "Bonn"})
    assert (other.id, other.input) == ("call_2", {})
    assert message.stop_reason == "tool_use"
    assert (message.usage.input_tokens, message.usage.output_tokens) == (9, 5)


async def test_what_a_tool_returned_is_sent_with_the_whole_conversation(serve_house: Served) -> None:
    async with serve_house() as house, client_of(house) as client:
        house.mini.events = CALLS
        async with client.messages.stream(model="mini", max_tokens=16, messages=HELLO, tools=[TOOL]) as stream:
            message = await stream.get_final_message()
        result = {"type": "tool_result", "tool_use_id": "call_1", "content": "rain", "is_error": False}
        turns = [*HELLO, {"role": "assistant", "content": message.content}, {"role": "user", "content": [result]}]
        await client.messages.create(model="mini", max_tokens=16, messages=turns, tools=[TOOL])
        sent: list[dict[str, Any]] = house.mini.body()["messages"]  # type: ignore[assignment]
    assert [turn["role"] for turn in sent] == ["user", "assistant", "tool"]
    assert [call["id"] for call in sent[1]["tool_calls"]] == ["call_1", "call_2"]
    assert sent[1]["reasoning_content"] == "which town?"
    assert sent[2] == {"role": "tool", "tool_call_id": "call_1", "content": "rain"}


async def test_each_error_is_the_clients_own_and_tells_the_request(serve_house: Served) -> None:
    async with serve_house(keys=[{"tenant": "acme", "key": KEY}]) as house, client_of(house) as client:
        ask = {"max_tokens": 16, "messages": HELLO}
        with pytest.raises(sdk().NotFoundError) as refused:
            await client.messages.create(model="claude-none", **ask)
        assert refused.value.body["error"]["type"] == "not_found_error"
        assert refused.value.request_id == refused.value.body["request_id"]
        with pytest.raises(sdk().BadRequestError):
            await client.messages.create(model="auto", max_tokens=0, messages=HELLO)
        with pytest.raises(sdk().BadRequestError):
            await client.messages.create(model="auto", **ask, tools=[{"type": "bash_20250124", "name": "bash"}])
        async with client_of(house, key="wrong") as stranger:
            with pytest.raises(sdk().AuthenticationError):
                await stranger.messages.create(model="auto", **ask)
        house.large.failures = [Overloaded("full")]
        with pytest.raises(sdk().APIStatusError) as full:
            await client.messages.create(model="large", **ask)
        assert (full.value.status_code, full.value.body["error"]["type"]) == (529, "overloaded_error")


async def test_it_tries_again_where_a_repeat_may_help_and_nowhere_else(serve_house: Served) -> None:
    async with serve_house() as house, client_of(house, retries=1) as client:
        ask = {"max_tokens": 16, "messages": HELLO}
        house.large.failures = [Broken("fell over", status=500)]
        message = await client.messages.create(model="large", **ask)
        assert (message.content[0].text, len(house.large.calls)) == ("hello", 2)
        with pytest.raises(sdk().BadRequestError):
            await client.messages.create(model="large", max_tokens=16, messages=HELLO, extra_body={"top_p": 9})
        assert len(house.large.calls) == 2
    assert [row["status"] for row in house.rows()] == [502, 200]


@pytest.mark.parametrize("breaks", [StreamBroken("cut"), None])
async def test_a_stream_that_is_cut_is_never_taken_for_a_whole_one(
    breaks: StreamBroken | None, serve_house: Served
) -> None:
    async with serve_house() as house, client_of(house) as client:
        house.mini.events, house.mini.breaks_with = CALLS[:3], breaks
        with pytest.raises((sdk().APIError, httpx2.RemoteProtocolError)):
            async with client.messages.stream(model="mini", max_tokens=16, messages=HELLO) as stream:
                await stream.get_final_message()
