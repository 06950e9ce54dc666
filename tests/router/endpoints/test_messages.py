"""Tests of router/endpoints/messages.py, and of router/endpoints/token_counts.py."""

import json
import random
from typing import Any

import httpx2
import msgspec
import pytest

from backends.base import Broken, Overloaded, Rejected, StreamBroken
from tests.router.conftest import House, OpenHouse, Served
from tests.router.scripted import EVENTS

PATH = "/v1/messages"
COUNT = f"{PATH}/count_tokens"
KEY = "k" * 32
Fields = dict[str, Any]


def asked(text: str = "hello", **more: Any) -> Fields:
    """Return a Messages request's body."""
    return {"model": "auto", "max_tokens": 16, "messages": [{"role": "user", "content": text}], **more}


def kinds(answer: httpx2.Response) -> list[str]:
    """Return the names of a stream's events."""
    return [line.removeprefix("event: ") for line in answer.text.splitlines() if line.startswith("event:")]


async def told_until_it_was_cut(house: House) -> str:
    """Return what came of a stream whose connection was closed in the middle of its body."""
    told = ""
    try:
        async with house.client.stream("POST", PATH, json=asked(stream=True)) as answer:
            async for text in answer.aiter_text():
                told += text
    except httpx2.RemoteProtocolError:
        return told
    pytest.fail("the stream ended as if it were whole")


def assert_error(answer: httpx2.Response, status: int, kind: str) -> Fields:
    told: Fields = answer.json()
    assert (answer.status_code, told["type"], told["error"]["type"]) == (status, "error", kind), answer.text
    assert told.keys() == {"type", "error", "request_id"}
    assert told["request_id"] == answer.headers["request-id"] == answer.headers["x-request-id"]
    assert answer.headers["content-type"] == "application/json"
    return told


async def test_a_message_is_answered_and_recorded_like_a_chat(open_house: OpenHouse) -> None:
    async with open_house() as house:
        answer = await house.client.post(PATH, json=asked(system="be brief", stop_sequences=["END"]))
        assert answer.json() == {
            "id": "msg_c1",
            "type": "message",
            "role": "assistant",
            "model": "up",
            "content": [{"type": "text", "text": "hello"}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": {
                "input_tokens": 8,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 2,
                "output_tokens": 4,
            },
        }
        assert answer.headers["request-id"] == answer.headers["x-request-id"]
        assert answer.headers["x-tandem-tier"] == "mini"
        assert int(answer.headers["content-length"]) == len(answer.content)
        sent = house.mini.body()
    assert sent["model"] == "small"
    assert sent["stop"] == ["END"]
    assert sent["messages"] == [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello"}]
    (row,) = house.rows()
    assert (row["outcome"], row["model"]) == ("answered", "auto")


async def test_a_stream_is_told_in_events_with_its_usage_at_the_end(serve_house: Served) -> None:
    async with serve_house() as house:
        answer = await house.client.post(PATH, json=asked(stream=True), headers={"x-request-id": "mine"})
    assert kinds(answer) == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert '"input_tokens":8' in answer.text
    assert answer.headers["request-id"] == "mine"
    assert answer.headers["content-type"].startswith("text/event-stream")
    (row,) = house.rows()
    assert row["outcome"] == "answered"


async def test_a_stream_that_breaks_ends_with_an_error_and_not_like_a_whole_one(serve_house: Served) -> None:
    async with serve_house() as house:
        for breaks, events in ((StreamBroken("cut"), EVENTS[:1]), (None, EVENTS[:2])):
            house.mini.events, house.mini.breaks_with = events, breaks
            told = await told_until_it_was_cut(house)
            assert "message_stop" not in told
            assert told.rstrip().splitlines()[-2] == "event: error"
            error = json.loads(told.rstrip().splitlines()[-1].removeprefix("data: "))
            assert error == {
                "type": "error",
                "error": {"type": "api_error", "message": "the backend's answer broke off"},
            }
    assert [row["outcome"] for row in house.rows()] == ["broken", "broken"]


@pytest.mark.parametrize(
    ("failure", "status", "kind"),
    [
        (Overloaded("full", retry_after=7), 529, "overloaded_error"),
        (Broken("fell over", status=500), 502, "api_error"),
        (
            Rejected(400, b'{"error":{"message":"too long","type":"x"}}', "application/json"),
            400,
            "invalid_request_error",
        ),
        (Rejected(413, b"<html>", "text/html"), 413, "request_too_large"),
    ],
)
async def test_failures_of_backends_have_anthropics_shape(
    failure: Exception, status: int, kind: str, open_house: OpenHouse
) -> None:
    async with open_house() as house:
        house.large.failures = [failure]  # type: ignore[list-item]  # each of them is a BackendError
        answer = await house.client.post(PATH, json=asked(model="large"))
        assert_error(answer, status, kind)
        if status == 529:
            assert answer.headers["retry-after"]
        if status < 500:
            assert answer.headers["x-should-retry"] == "false"


async def test_a_key_may_come_in_either_header(open_house: OpenHouse) -> None:
    bearer, own = {"authorization": f"Bearer {KEY}"}, {"x-api-key": KEY}
    async with open_house(keys=[{"tenant": "acme", "key": KEY}]) as house:
        for path, body in ((PATH, asked()), (COUNT, asked())):
            for headers in (bearer, own, {**bearer, **own}):
                assert (await house.client.post(path, json=body, headers=headers)).status_code == 200
            for headers in ({}, {"x-api-key": "wrong"}, {"authorization": KEY}):
                refused = await house.client.post(path, json=body, headers=headers)
                assert_error(refused, 401, "authentication_error")
            both = await house.client.post(path, json=body, headers={**bearer, "x-api-key": "another"})
            assert_error(both, 400, "invalid_request_error")
    assert {row["tenant"] for row in house.rows()} == {"acme"}


BAD: dict[str, tuple[bytes, int, str]] = {
    "empty": (b"", 400, "invalid_request_error"),
    "no object": (b"[]", 400, "invalid_request_error"),
    "no JSON": (b'{"model":', 400, "invalid_request_error"),
    "not UTF-8": (b'{"model":"\xff"}', 400, "invalid_request_error"),
    "a name twice": (b'{"model":"auto","model":"large"}', 400, "invalid_request_error"),
    "nothing in it": (b"{}", 400, "invalid_request_error"),
    "an unknown model": (msgspec.json.encode(asked(model="gpt-9")), 404, "not_found_error"),
    "model a number": (msgspec.json.encode(asked(model=3)), 400, "invalid_request_error"),
    "no tokens": (msgspec.json.encode(asked(max_tokens=0)), 400, "invalid_request_error"),
    "tokens a text": (msgspec.json.encode(asked(max_tokens="9")), 400, "invalid_request_error"),
    "no turns": (msgspec.json.encode(asked(messages=[])), 400, "invalid_request_error"),
    "stream a text": (msgspec.json.encode(asked(stream="yes")), 400, "invalid_request_error"),
    "heat": (msgspec.json.encode(asked(temperature=9)), 400, "invalid_request_error"),
    "a server's tool": (
        msgspec.json.encode(asked(tools=[{"type": "web_search_20250305", "name": "web_search"}])),
        400,
        "invalid_request_error",
    ),
    "what steers an engine": (msgspec.json.encode(asked(cache_salt="x")), 400, "invalid_request_error"),
    "too long": (msgspec.json.encode(asked("x" * (5 << 20))), 413, "request_too_large"),
}


async def test_a_bad_body_is_refused_in_anthropics_shape_and_leaves_no_record(open_house: OpenHouse) -> None:
    async with open_house() as house:
        for body, status, kind in BAD.values():
            answer = await house.client.post(PATH, content=body, headers={"content-type": "application/json"})
            assert_error(answer, status, kind)
            assert answer.headers["x-should-retry"] == "false"
            assert not house.mini.calls + house.large.calls
    assert house.rows() == []


async def test_another_method_or_media_type_is_refused_in_anthropics_shape(open_house: OpenHouse) -> None:
    async with open_house() as house:
        for path in (PATH, COUNT):
            answer = await house.client.get(path)
            assert_error(answer, 405, "invalid_request_error")
            assert answer.headers["allow"] == "POST"
            assert_error(await house.client.post(path, content=b"x"), 415, "invalid_request_error")


_VALUES: list[Any] = [
    None,
    True,
    3,
    1.5,
    "text",
    "",
    [],
    {},
    ["x"],
    [{}],
    [{"type": []}],
    {"type": {}},
    {"type": "text"},
]
_VALUES += [
    [{"type": kind, "text": "a"}] for kind in ("text", "image", "document", "tool_use", "tool_result", "thinking")
]


def spoilt(chance: random.Random) -> Fields:
    """Return a request in which one thing, wherever it stands, is something else."""
    whole = asked(
        system=[{"type": "text", "text": "s"}],
        messages=[
            {"role": "user", "content": [{"type": "text", "text": "a"}]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]},
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "t", "content": "x", "is_error": True}],
            },
        ],
        tools=[{"name": "f", "input_schema": {"type": "object"}}],
        tool_choice={"type": "tool", "name": "f"},
        thinking={"type": "enabled", "budget_tokens": 1024},
        output_config={"effort": "low", "format": {"type": "json_schema", "schema": {}}},
        metadata={"user_id": "u"},
        stop_sequences=["x"],
    )
    place: Any = whole
    while True:
        steps = list(place) if isinstance(place, dict) else list(range(len(place)))
        step = chance.choice(steps)
        if not isinstance(place[step], dict | list) or not place[step] or chance.random() < 0.3:
            place[step] = chance.choice(_VALUES)
            return whole
        place = place[step]


async def test_nothing_that_is_sent_makes_the_gateway_fail(open_house: OpenHouse) -> None:
    chance = random.Random(5)
    async with open_house() as house:
        for _ in range(150):
            body = spoilt(chance)
            for path in (PATH, COUNT):
                answer = await house.client.post(path, json=body)
                assert answer.status_code in (200, 400, 404), (body, answer.text)


async def test_an_estimate_is_called_one(open_house: OpenHouse) -> None:
    async with open_house() as house:
        short = await house.client.post(COUNT, json={"model": "auto", "messages": asked("hi")["messages"]})
        long = await house.client.post(COUNT, json={"model": "large", "messages": asked("word " * 1_000)["messages"]})
        tooled = await house.client.post(
            COUNT, json=asked("hi", tools=[{"name": "f", "description": "d" * 400, "input_schema": {}}])
        )
    assert short.json().keys() == {"input_tokens"}
    assert short.headers["x-tandem-count"] == long.headers["x-tandem-count"] == "estimate"
    assert long.headers["x-tandem-tier"] == "large"
    assert 700 < long.json()["input_tokens"] < 2_000
    assert tooled.json()["input_tokens"] > short.json()["input_tokens"] + 50
    assert house.rows() == []


async def test_a_tokenizer_that_is_there_counts(open_house: OpenHouse) -> None:
    async with open_house() as house:
        house.large.completion = b'{"count":77,"max_model_len":4096,"tokens":[1]}'
        answer = await house.client.post(COUNT, json=asked(model="large", tools=[{"name": "f", "input_schema": {}}]))
        assert (answer.json(), answer.headers["x-tandem-count"]) == ({"input_tokens": 77}, "tokenizer")
        (call,) = house.large.calls
        assert (call.path, call.stream) == ("/tokenize", False)
        assert house.large.body().keys() == {"model", "messages", "tools"}
        house.large.failures = [Broken("no such path", status=404)]
        answer = await house.client.post(COUNT, json=asked(model="large"))
        assert answer.headers["x-tandem-count"] == "estimate"


async def test_a_conversation_keeps_its_calls_and_thoughts(open_house: OpenHouse) -> None:
    turns = [
        {"role": "user", "content": "look it up"},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "unsigned"},
                {"type": "tool_use", "id": "call_1", "name": "find", "input": {"q": "x"}},
            ],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "found"}]},
    ]
    async with open_house() as house:
        answer = await house.client.post(PATH, json=asked(messages=turns, model="mini"))
        assert answer.status_code == 200
        sent = house.mini.body()
    assert sent["messages"] == [
        {"role": "user", "content": "look it up"},
        {
            "role": "assistant",
            "content": None,
            "reasoning_content": "hm",
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "find", "arguments": '{"q":"x"}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "found"},
    ]
