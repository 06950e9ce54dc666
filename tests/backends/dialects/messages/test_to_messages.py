"""Tests of backends/dialects/messages/to_messages.py, and of what it consists of.

backends/dialects/messages/completions.py backends/dialects/messages/chunks.py
"""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.base import Usage
from backends.dialects.base import DialectError
from backends.dialects.messages.from_messages import translate as translate_messages
from backends.dialects.messages.to_messages import ToMessages, translate
from backends.sse import StreamReader, read_reply
from tests.backends.dialects.messages.spoken import (
    Fields,
    completion_of,
    completions,
    events_of,
    message_of,
    messages,
    split,
)

ASKED: Fields = {"model": "claude", "messages": [{"role": "user", "content": "hi"}]}


def from_chat(**more: Any) -> ToMessages:
    return translate(json.dumps({**ASKED, **more}).encode(), clock=lambda: 7.5)


def asking(**more: Any) -> Fields:
    """Return what a chat request becomes."""
    body: Fields = json.loads(from_chat(**more).body)
    return body


def test_fields_with_an_equal_are_named_as_in_messages() -> None:
    assert asking(
        max_completion_tokens=9,
        stop="END",
        temperature=1.7,
        top_p=0.5,
        top_k=4,
        user="u1",
        stream=True,
        stream_options={"include_usage": True},
        parallel_tool_calls=True,
        reasoning_effort="minimal",
    ) == {
        "model": "claude",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
        "stop_sequences": ["END"],
        "temperature": 1,
        "top_p": 0.5,
        "top_k": 4,
        "metadata": {"user_id": "u1"},
        "stream": True,
        "output_config": {"effort": "low"},
    }


def test_an_answer_has_a_bound_even_if_the_chat_sets_none() -> None:
    assert asking()["max_tokens"] == 4_096
    assert asking(max_tokens=5, stop=["a", "b"])["stop_sequences"] == ["a", "b"]


def test_fields_that_change_nothing_are_left_out_and_unknown_ones_stand_as_they_came() -> None:
    asked = asking(seed=1, store=True, presence_penalty=0.5, metadata={"a": "b"}, thinking={"type": "adaptive"}, n=1)
    assert asked.keys() == {"model", "max_tokens", "messages", "thinking"}
    assert asking(reasoning_effort="none")["thinking"] == {"type": "disabled"}
    assert "tool_choice" not in asking(tool_choice="auto", parallel_tool_calls=False)


def test_tools_and_a_format_are_told() -> None:
    function = {"name": "f", "parameters": {"type": "object", "properties": {}}}
    schema = {"type": "object"}
    asked = asking(
        tools=[{"type": "function", "function": function}],
        tool_choice="required",
        response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}},
    )
    assert asked["tools"] == [{"name": "f", "input_schema": {"type": "object", "properties": {}}}]
    assert asked["tool_choice"] == {"type": "any"}
    assert asked["output_config"] == {"format": {"type": "json_schema", "schema": schema}}
    assert "output_config" not in asking(response_format={"type": "text"})


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"functions": [{}]}, "functions"),
        ({"audio": {"voice": "x"}}, "audio"),
        ({"response_format": {"type": "json_object"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"model": None}, "model"),
        ({"messages": None}, "messages"),
        ({"reasoning_effort": 3}, "reasoning_effort"),
    ],
)
def test_what_messages_cannot_say_is_refused(more: Fields, param: str) -> None:
    with pytest.raises(DialectError) as refused:
        asking(**more)
    assert refused.value.param == param


START = b'data: {"type":"message_start","message":{"id":"msg_1","model":"m","usage":{"input_tokens":2}}}\n\n'
END = b'data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":3}}\n\n'
STOP = b'data: {"type":"message_stop"}\n\n'


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_a_stream_split_anywhere_adds_up_to_the_whole_reply(data: st.DataObject) -> None:
    whole = data.draw(messages())
    translation = from_chat(stream=True, stream_options={"include_usage": True})
    pieces = split(events_of(whole, data.draw), data.draw)
    stream = b"".join([*map(translation.feed, pieces), translation.finish()])
    told = completion_of(stream)
    body = from_chat().whole(json.dumps(whole).encode())
    reader = StreamReader(strip_usage=False)
    reader.feed(stream)
    assert reader.finished
    assert reader.usage == read_reply(body).usage
    assert (reader.usage is None) == (not json.loads(body)["usage"]["total_tokens"])
    direct = json.loads(body)
    choice = direct["choices"][0]
    expected = {name: value for name, value in choice["message"].items() if name != "refusal"}
    expected["content"] = expected["content"] or ""
    if not expected.get("reasoning_content"):
        expected.pop("reasoning_content", None)
    assert told["message"] == expected
    assert told["choice"] == {name: choice[name] for name in choice if name not in ("index", "message")}
    assert (told["usage"], told["id"], told["created"], told["model"]) == (direct["usage"], "chatcmpl-7", 7, "claude")


@settings(max_examples=20, deadline=None)
@given(messages())
def test_a_message_that_goes_through_a_chat_comes_back_as_it_was(whole: Fields) -> None:
    asked = translate_messages(
        b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"a"}],"stop_sequences":["END"]}'
    )
    back = json.loads(asked.whole(translate(asked.body).whole(json.dumps(whole).encode())))
    assert back == whole


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_a_streamed_message_that_goes_through_a_chat_comes_back_as_it_was(data: st.DataObject) -> None:
    whole = data.draw(messages())
    asked = translate_messages(
        b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"a"}],"stop_sequences":["END"],"stream":true}'
    )
    inner = translate(asked.body)
    chunks = [*map(inner.feed, split(events_of(whole, data.draw), data.draw)), inner.finish()]
    back = message_of(b"".join([*map(asked.feed, chunks), asked.finish()]))
    back["content"] = [block for block in back["content"] if block != {"type": "text", "text": ""}]
    assert back == whole


@settings(max_examples=20, deadline=None)
@given(completions())
def test_a_chats_own_usage_and_words_survive_both_ways(whole: Fields) -> None:
    asked = translate_messages(b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"a"}]}')
    message = asked.whole(json.dumps(whole).encode())
    back = json.loads(translate(asked.body).whole(message))
    said = whole["choices"][0]["message"]
    told = back["choices"][0]["message"]
    assert (told["content"] or "") == (said["content"] or "")
    assert back["usage"]["total_tokens"] == whole["usage"]["total_tokens"]
    cached = back["usage"]["prompt_tokens_details"]["cached_tokens"]
    assert cached == whole["usage"]["prompt_tokens_details"]["cached_tokens"]


def test_what_was_written_into_a_cache_is_told_by_its_time_with_the_tier_of_service() -> None:
    usage = {
        "input_tokens": 4,
        "cache_read_input_tokens": 100,
        "cache_creation_input_tokens": 30,
        "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
        "output_tokens": 9,
        "output_tokens_details": {"thinking_tokens": 5},
        "service_tier": "priority",
    }
    message = {"type": "message", "id": "msg_1", "model": "m", "content": [], "stop_reason": "end_turn", "usage": usage}
    told = read_reply(from_chat().whole(json.dumps(message).encode()))
    expected = Usage(4, 100, 4, cache_write=10, cache_write_1h=20, reasoning=5, service_tier="priority")
    assert told.usage == expected
    assert told.usage.total_input == 134
    translation = from_chat(stream=True, stream_options={"include_usage": True})
    start = (
        b"data: " + json.dumps({"type": "message_start", "message": {**message, "content": None}}).encode() + b"\n\n"
    )
    reader = StreamReader(strip_usage=False)
    reader.feed(translation.feed(start + END.replace(b'"output_tokens":3', b'"output_tokens":9') + STOP))
    reader.feed(translation.finish())
    assert reader.usage == expected
    usage["service_tier"], usage["cache_read_input_tokens"] = "standard", None
    told = read_reply(from_chat().whole(json.dumps(message).encode()))
    assert told.usage is not None
    assert (told.usage.service_tier, told.usage.cached_input) == ("default", None), "what is not told is not 0"


def test_a_message_that_tells_no_usage_has_none() -> None:
    message = {"type": "message", "id": "msg_1", "model": "m", "content": [], "stop_reason": "end_turn"}
    body = from_chat().whole(json.dumps(message).encode())
    assert "usage" not in json.loads(body)
    telling = from_chat(stream=True, stream_options={"include_usage": True})
    assert (
        b"usage" not in telling.feed(START.replace(b',"usage":{"input_tokens":2}', b"") + END + STOP) + telling.finish()
    )


def test_the_usage_chunk_comes_where_it_was_asked_for() -> None:
    quiet = from_chat(stream=True)
    assert b"usage" not in quiet.feed(START + END + STOP) + quiet.finish()
    telling = from_chat(stream=True, stream_options={"include_usage": True})
    told = telling.feed(START + END + STOP) + telling.finish()
    assert b'"usage":{"prompt_tokens":2,"completion_tokens":3,"total_tokens":5}' in told


@pytest.mark.parametrize("events", [b"", STOP, b'data: {"type":"ping"}\n\n', START, START + END, START + STOP])
def test_a_stream_that_is_not_whole_has_no_end(events: bytes) -> None:
    translation = from_chat(stream=True)
    assert b"[DONE]" not in translation.feed(events) + translation.finish()


def test_an_error_is_told_as_openai_does_and_is_the_last() -> None:
    translation = from_chat(stream=True)
    failed = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"full"}}\n\n'
    told = translation.feed(failed + b'data: {"type":"message_stop"}\n\n') + translation.finish()
    assert json.loads(told.decode().removeprefix("data: "))["error"]["message"] == "full"
    assert told.count(b"\n\n") == 1


@pytest.mark.parametrize(
    "events",
    [
        b"data: nonsense\n\n",
        b'data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"a"}}\n\n',
        b'data: {"type":"content_block_start","content_block":{"type":"text","text":3}}\n\n',
    ],
)
def test_what_is_no_stream_of_a_message_breaks_it(events: bytes) -> None:
    with pytest.raises(DialectError):
        from_chat(stream=True).feed(events)


def test_events_and_blocks_of_kinds_that_are_yet_to_come_are_passed_over() -> None:
    translation = from_chat(stream=True)
    assert translation.feed(b'data: {"type":"message_start","message":{"id":"msg_1"}}\n\n')
    assert not translation.feed(b'data: {"type":"weather","sun":true}\n\n')
    assert not translation.feed(b'data: {"type":"content_block_start","content_block":{"type":"film"}}\n\n')
    assert not translation.feed(b'data: {"type":"content_block_delta","delta":{"type":"film_delta","frame":1}}\n\n')
    assert not translation.feed(b'data: {"type":"content_block_stop"}\n\n')
    assert translation.feed(b": still here\n\n") == b": ping\n\n"


@pytest.mark.parametrize("reply", [b"", b"{}", b"[]", b'{"type":"error"}', b'{"type":"message","content":3}'])
def test_what_is_no_message_is_no_completion(reply: bytes) -> None:
    with pytest.raises(DialectError):
        from_chat().whole(reply)
