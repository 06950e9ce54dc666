"""router/endpoints/responses/dialect.py and router/endpoints/responses/stored.py, asked by the SDK over a real socket.

What they walk through is router/endpoints/translated.py; router/endpoints/responses/counts.py counts tokens.
"""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import openai
import pytest
from openai.types.responses import ResponseFunctionToolCall
from pydantic import BaseModel

from backends.base import Broken, ConnectFailed
from tests.router.conftest import House, OpenHouse, Served
from tests.router.scripted import EVENTS

PATH = "/v1/responses"
KEYS = [{"tenant": "acme", "key": "acme-key-0123456789"}, {"tenant": "rival", "key": "rival-key-0123456789"}]
ACME = {"authorization": "Bearer acme-key-0123456789"}
RIVAL = {"authorization": "Bearer rival-key-0123456789"}
CALL: dict[str, Any] = {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": '{"a":1}'}}
LOOK_UP: Any = {"type": "function", "name": "look_up", "parameters": {"type": "object"}, "strict": False}


class Answer(BaseModel):
    """What a parsed answer holds."""

    value: int


def completion(message: dict[str, object], finish_reason: str = "stop") -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish_reason}
    return json.dumps({"id": "c", "created": 1, "model": "up", "choices": [choice]}).encode()


def chunk(delta: dict[str, object], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return b"data: %b\n\n" % json.dumps({"id": "c", "created": 1, "model": "up", "choices": [choice]}).encode()


@asynccontextmanager
async def asked(house: House, key: str = "none") -> AsyncGenerator[openai.AsyncOpenAI, None]:
    """Open the SDK's client of a served house."""
    async with openai.AsyncOpenAI(base_url=f"{house.client.base_url}/v1", api_key=key, max_retries=0) as client:
        yield client


async def broken_off(client: openai.AsyncOpenAI) -> list[str]:
    """Return the kinds of the events of a stream, which must end in an error of the SDK."""
    seen = list[str]()

    async def read() -> None:
        stream: Any = await client.responses.create(model="mini", input="hello", stream=True)
        async for event in stream:
            seen.append(event.type)

    with pytest.raises(openai.APIError):
        await read()
    return seen


async def test_a_chain_of_answers_is_one_conversation(serve_house: Served) -> None:
    async with serve_house() as house, asked(house) as client:
        first = await client.responses.create(model="mini", input="hello", instructions="be brief")
        assert (first.output_text, first.status) == ("hello", "completed")
        assert first.usage is not None
        assert (first.usage.input_tokens, first.usage.input_tokens_details.cached_tokens) == (10, 2)
        second = await client.responses.create(model="mini", input="and now?", previous_response_id=first.id)
        assert house.mini.body()["messages"] == [
            {"role": "user", "content": "hello"},
            {"role": "assistant", "content": "hello"},
            {"role": "user", "content": "and now?"},
        ]
        items = [item async for item in client.responses.input_items.list(second.id, order="asc", limit=1)]
        assert [item.type for item in items] == ["message"] * 3
        assert (await client.responses.retrieve(second.id)) == second
        assert (await client.responses.cancel(second.id)).status == "completed"
        await client.responses.delete(first.id)
        with pytest.raises(openai.NotFoundError):
            await client.responses.retrieve(first.id)
        third = await client.responses.create(model="mini", input="still there?", previous_response_id=second.id)
        assert third.previous_response_id == second.id


async def test_a_stream_gives_the_final_response_and_is_stored(serve_house: Served) -> None:
    async with serve_house() as house, asked(house) as client:
        async with client.responses.stream(model="mini", input="hello") as stream:
            kinds = [event.type async for event in stream]
            final = await stream.get_final_response()
        assert kinds[:2] == ["response.created", "response.in_progress"]
        assert kinds[-1] == "response.completed"
        assert final.output_text == "hello"
        stored = await client.responses.retrieve(final.id)
        assert stored.output_text == "hello"
        assert stored.usage == final.usage
        again = [event async for event in await client.responses.retrieve(final.id, stream=True)]
        assert again[-1].type == "response.completed"
        rest = [event async for event in await client.responses.retrieve(final.id, stream=True, starting_after=4)]
        assert [event.sequence_number for event in rest] == [event.sequence_number for event in again][5:]
    (row,) = house.rows()
    assert (row["outcome"], row["stream"]) == ("answered", 1)


@pytest.mark.parametrize("streams", [False, True])
async def test_tools_are_called_and_answered(serve_house: Served, *, streams: bool) -> None:
    async with serve_house() as house, asked(house) as client:
        house.mini.completion = completion({"content": None, "tool_calls": [CALL]}, "tool_calls")
        pieces = [{"index": 0, **CALL, "function": {"name": "look_up", "arguments": ""}}]
        more = [{"index": 0, "function": {"arguments": '{"a":1}'}}]
        house.mini.events = (
            chunk({"role": "assistant", "tool_calls": pieces}),
            chunk({"tool_calls": more}),
            chunk({}, "tool_calls") + EVENTS[-1],
        )
        if streams:
            async with client.responses.stream(model="mini", input="look", tools=[LOOK_UP]) as stream:
                first: Any = await stream.get_final_response()
        else:
            first = await client.responses.create(model="mini", input="look", tools=[LOOK_UP])
        (call,) = first.output
        assert isinstance(call, ResponseFunctionToolCall)
        assert (call.name, call.arguments, call.call_id) == ("look_up", '{"a":1}', "call_1")
        output: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "42"}
        house.mini.completion = completion({"content": "it is 42"})
        second = await client.responses.create(model="mini", input=[output], previous_response_id=first.id)
        assert second.output_text == "it is 42"
        assert house.mini.body()["messages"] == [
            {"role": "user", "content": "look"},
            {"role": "assistant", "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "call_1", "content": "42"},
        ]


async def test_a_schema_is_asked_for_and_its_answer_parsed(serve_house: Served) -> None:
    async with serve_house() as house, asked(house) as client:
        house.mini.completion = completion({"content": '{"value": 42}'})
        parsed = await client.responses.parse(model="mini", input="six times seven", text_format=Answer)
        assert parsed.output_parsed == Answer(value=42)
        form: Any = house.mini.body()["response_format"]
        assert (form["type"], form["json_schema"]["name"]) == ("json_schema", "Answer")


async def test_an_answer_that_was_cut_short_says_so(serve_house: Served) -> None:
    async with serve_house() as house, asked(house) as client:
        house.mini.completion = completion({"content": "once upon"}, "length")
        short = await client.responses.create(model="mini", input="tell", max_output_tokens=16)
        assert short.status == "incomplete"
        assert short.incomplete_details is not None
        assert short.incomplete_details.reason == "max_output_tokens"
        assert house.mini.body()["max_completion_tokens"] == 16


async def test_a_stream_that_breaks_fails_and_raises(serve_house: Served) -> None:
    async with serve_house() as house, asked(house) as client:
        house.mini.events, house.mini.breaks_with = EVENTS[:1], Broken("gone")
        seen = await broken_off(client)
        assert seen[-1] == "response.failed"
        assert "response.completed" not in seen
    (row,) = house.rows()
    assert row["outcome"] == "broken"


async def test_a_stream_of_something_else_is_broken_off(serve_house: Served, caplog: pytest.LogCaptureFixture) -> None:
    async with serve_house() as house, asked(house) as client:
        for first in (EVENTS[:1], ()):
            house.mini.events = (*first, b'data: {"choices":"none"}\n\n', *EVENTS)
            assert (await broken_off(client))[-1] == "response.failed"
    errors = [record for record in caplog.records if record.levelno > logging.WARNING]
    assert not [record for record in errors if record.name.startswith("router")]


async def test_something_else_behind_the_end_breaks_it_off_too(
    serve_house: Served, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve_house() as house, asked(house) as client:
        house.mini.events = (*EVENTS, b'data: {"choices":"none"}')
        assert (await broken_off(client))[-1] == "response.failed"
    errors = [record for record in caplog.records if record.levelno > logging.WARNING]
    assert not [record for record in errors if record.name.startswith("router")]


async def test_a_stream_without_a_first_choice_does_not_end_like_a_whole_one(serve_house: Served) -> None:
    async with serve_house() as house, asked(house) as client:
        house.mini.events = (chunk({"content": "hi"}, "stop").replace(b'"index": 0', b'"index": 1') + EVENTS[-1],)
        assert await broken_off(client) == []


async def test_an_answer_that_is_none_is_a_bad_gateway(open_house: OpenHouse) -> None:
    async with open_house() as house:
        house.mini.completion = b'{"choices":[]}'
        answer = await house.client.post(PATH, json={"model": "mini", "input": "hello"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_error")
        assert answer.headers["x-request-id"]
    (row,) = house.rows()
    assert (row["outcome"], row["status"], row["error"]) == ("broken", 502, "StreamBroken")


async def test_a_failure_before_the_first_byte_is_an_error_of_its_status(open_house: OpenHouse) -> None:
    async with open_house() as house:
        for streams in (False, True):
            house.mini.failures.append(ConnectFailed("refused"))
            answer = await house.client.post(PATH, json={"model": "mini", "input": "hello", "stream": streams})
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "upstream_away")


async def test_no_tenant_sees_what_another_one_stored(open_house: OpenHouse) -> None:
    async with open_house(keys=KEYS) as house:
        body = {"model": "mini", "input": "hello"}
        first = (await house.client.post(PATH, json=body, headers=ACME)).json()
        one = f"{PATH}/{first['id']}"
        for method, path in (("GET", one), ("GET", f"{one}/input_items"), ("POST", f"{one}/cancel"), ("DELETE", one)):
            answer = await house.client.request(method, path, headers=RIVAL)
            assert (answer.status_code, answer.json()["error"]["param"]) == (404, "response_id")
            assert (await house.client.request(method, path)).status_code == 401
        chained = {**body, "previous_response_id": first["id"]}
        refused = await house.client.post(PATH, json=chained, headers=RIVAL)
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "previous_response_not_found")
        assert (await house.client.post(PATH, json=chained, headers=ACME)).status_code == 200


async def test_what_shall_not_be_stored_is_not(open_house: OpenHouse) -> None:
    async with open_house() as house:
        answer = (await house.client.post(PATH, json={"model": "mini", "input": "hello", "store": False})).json()
        assert answer["store"] is False
        assert (await house.client.get(f"{PATH}/{answer['id']}")).status_code == 404


async def test_what_cannot_be_stored_is_answered_and_says_so(open_house: OpenHouse) -> None:
    async with open_house(stored={"max_bytes_per_tenant": 1 << 20}) as house:
        body = {"model": "mini", "input": "x" * (1 << 20)}
        whole = (await house.client.post(PATH, json=body)).json()
        stream = (await house.client.post(PATH, json={**body, "stream": True})).text
    assert (whole["status"], whole["store"]) == ("completed", False)
    last = json.loads(stream.rstrip().rpartition("data: ")[2])
    assert (last["type"], last["response"]["store"]) == ("response.completed", False)


async def test_items_are_given_in_pages(open_house: OpenHouse) -> None:
    async with open_house() as house:
        items = [{"role": "user", "content": str(at)} for at in range(5)]
        answer = (await house.client.post(PATH, json={"model": "mini", "input": items})).json()
        path = f"{PATH}/{answer['id']}/input_items"
        page = (await house.client.get(path, params={"limit": 2})).json()
        assert [item["content"][0]["text"] for item in page["data"]] == ["4", "3"]
        assert (page["has_more"], page["last_id"]) == (True, page["data"][1]["id"])
        rest = (await house.client.get(path, params={"after": page["last_id"], "limit": 3})).json()
        assert [item["content"][0]["text"] for item in rest["data"]] == ["2", "1", "0"]
        assert rest["has_more"] is False
        assert (await house.client.get(path, params={"after": "nobody"})).json()["data"] == []
        for name, value in (("limit", "101"), ("limit", "-1"), ("limit", "x"), ("order", "up")):
            refused = await house.client.get(path, params={name: value})
            assert (refused.status_code, refused.json()["error"]["param"]) == (400, name)


async def test_tokens_are_counted_without_asking_anybody(open_house: OpenHouse) -> None:
    async with open_house() as house:
        body = {"model": "mini", "input": "hello " * 100}
        counted = await house.client.post(f"{PATH}/input_tokens", json=body)
        assert counted.json()["object"] == "response.input_tokens"
        assert 50 < counted.json()["input_tokens"] < 500
        assert counted.headers["x-tandem-tier"] == "mini"
    assert not house.rows()


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        (b"", 400, None),
        (b"[]", 400, None),
        (b'{"input":"a","input":"b"}', 400, None),
        (b'{"input":' + b"[" * 9999, 400, None),
        (b'{"input":"\xff"}', 400, None),
        (b'{"input":"\\ud800"}', 400, None),
        (b'{"input":NaN}', 400, None),
        (b'{"input":"a","model":"gpt-9"}', 404, "model"),
        (b'{"input":"a","model":5}', 400, "model"),
        (b'{"input":"a","temperature":9}', 400, "temperature"),
        (b'{"input":"a","max_output_tokens":0}', 400, "max_output_tokens"),
        (b'{"input":"a","chat_template":"x"}', 400, "chat_template"),
        (b'{"input":[{"role":"user","content":"a","api_base":"x"}]}', 400, "input[0].api_base"),
        (b'{"input":"a","previous_response_id":"resp_none"}', 400, "previous_response_id"),
        (b'{"input":"a","tools":[{"type":"web_search"}]}', 400, "tools[0].type"),
        (b'{"input":"a","background":true,"store":false}', 400, "background"),
        (b'{"input":"a","background":true,"temperature":9}', 400, "temperature"),
        (b'{"input":"a","background":1}', 400, "background"),
        (b'{"input":"a","conversation":7}', 400, "conversation"),
        (b'{"input":"a","conversation":{"id":7}}', 400, "conversation.id"),
        (b'{"input":"a","conversation":"c","previous_response_id":"r"}', 400, "conversation"),
        (b'{"input":"a","conversation":"none"}', 404, "conversation"),
        (b'{"input":[{"type":"compaction","encrypted_content":"gAAA"}]}', 400, "input[0].encrypted_content"),
    ],
)
async def test_what_is_wrong_is_refused_in_the_caller_s_words(
    open_house: OpenHouse, body: bytes, status: int, param: str | None
) -> None:
    async with open_house() as house:
        answer = await house.client.post(PATH, content=body, headers={"content-type": "application/json"})
        assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)
        assert not house.mini.calls
        assert not house.large.calls


async def test_other_methods_and_media_types_are_refused(open_house: OpenHouse) -> None:
    async with open_house() as house:
        assert (await house.client.get(PATH)).status_code == 405
        assert (await house.client.post(PATH, content=b"{}")).status_code == 415
        assert (await house.client.get(f"{PATH}/{'x' * 300}")).status_code == 404


async def test_a_caller_who_leaves_ends_the_backend_s_work(serve_house: Served) -> None:
    async with serve_house() as house, asked(house) as client:
        house.mini.events, house.mini.hangs = EVENTS[:1], True
        stream = await client.responses.create(model="mini", input="hello", stream=True)
        async for event in stream:
            if event.type == "response.output_text.delta":
                break
        await stream.close()
        for _ in range(100):
            if house.mini.closed_early:
                break
            await asyncio.sleep(0.01)
        assert house.mini.closed_early == 1
    (row,) = house.rows()
    assert row["outcome"] == "hung_up"
