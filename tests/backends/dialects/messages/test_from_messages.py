"""Tests of backends/dialects/messages/from_messages.py, and of what it consists of.

backends/dialects/messages/events.py backends/dialects/messages/replies.py backends/dialects/messages/figures.py
"""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.dialects.base import DialectError
from backends.dialects.messages.from_messages import FromMessages, prompt_of, translate
from tests.backends.dialects.messages.spoken import Fields, chunks_of, completions, message_of, split

ASKED: Fields = {"model": "auto", "max_tokens": 64, "messages": [{"role": "user", "content": "hi"}]}


def asking(**more: Any) -> Fields:
    """Return what a Messages request becomes."""
    body: Fields = json.loads(translate(json.dumps({**ASKED, **more}).encode()).body)
    return body


def from_messages(**more: Any) -> FromMessages:
    return translate(json.dumps({**ASKED, **more}).encode())


def completion(said: Fields, finish: str = "stop", **choice: Any) -> bytes:
    told = {"index": 0, "message": said, "finish_reason": finish, **choice}
    return json.dumps({"id": "chatcmpl-1", "model": "m", "choices": [told]}).encode()


def answered(said: Fields, finish: str = "stop", **choice: Any) -> Fields:
    """Return the Message that a completion becomes."""
    message: Fields = json.loads(from_messages(stop_sequences=["END"]).whole(completion(said, finish, **choice)))
    return message


def chunk(delta: Fields, finish: str | None = None, **more: Any) -> bytes:
    told = {"id": "c", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish, **more}]}
    return b"data: %b\n\n" % json.dumps(told).encode()


def test_fields_with_an_equal_are_named_as_in_a_chat() -> None:
    asked = asking(
        system="be brief",
        stop_sequences=["END"],
        temperature=0.2,
        top_p=0.9,
        top_k=5,
        metadata={"user_id": "u1", "session_id": "s1"},
        service_tier="standard_only",
        stream=True,
    )
    assert asked == {
        "model": "auto",
        "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}],
        "max_tokens": 64,
        "stop": ["END"],
        "temperature": 0.2,
        "top_p": 0.9,
        "top_k": 5,
        "user": "u1",
        "metadata": {"session_id": "s1"},
        "service_tier": "default",
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_unknown_fields_pass_on_and_marks_for_somebodys_cache_do_not() -> None:
    asked = asking(guided_json={"type": "object"}, cache_control={"type": "ephemeral"}, inference_geo="eu")
    assert asked["guided_json"] == {"type": "object"}
    assert not {"cache_control", "inference_geo"} & asked.keys()


def test_no_unknown_field_takes_the_place_of_one_that_was_translated() -> None:
    assert asking(stop=["other"], stop_sequences=["END"])["stop"] == ["END"]


@pytest.mark.parametrize(
    ("thinking", "config", "effort"),
    [
        ({"type": "enabled", "budget_tokens": 1024}, {}, "low"),
        ({"type": "enabled", "budget_tokens": 8000}, {}, "medium"),
        ({"type": "enabled", "budget_tokens": 32000}, {}, "high"),
        ({"type": "enabled", "budget_tokens": 1024}, {"effort": "max"}, "xhigh"),
        ({"type": "adaptive"}, {}, None),
        ({"type": "disabled"}, {"effort": "high"}, "none"),
        (None, {"effort": "low"}, "low"),
        (None, None, None),
    ],
)
def test_thinking_becomes_an_effort(thinking: Fields | None, config: Fields | None, effort: str | None) -> None:
    assert asking(thinking=thinking, output_config=config).get("reasoning_effort") == effort


def test_a_wanted_format_becomes_a_response_format() -> None:
    schema = {"type": "object", "properties": {}}
    asked = asking(output_config={"format": {"type": "json_schema", "schema": schema}})
    assert asked["response_format"]["json_schema"] == {"name": "output", "schema": schema, "strict": True}


REFUSED: dict[str, tuple[Fields, str | None]] = {
    "no model": ({"model": None}, "model"),
    "no max_tokens": ({"max_tokens": None}, "max_tokens"),
    "no messages": ({"messages": None}, "messages"),
    "messages a text": ({"messages": "hi"}, "messages"),
    "message a text": ({"messages": ["hi"]}, "messages[0]"),
    "several answers": ({"n": 2}, "n"),
    "stop_sequences a text": ({"stop_sequences": "END"}, "stop_sequences"),
    "stop_sequences of numbers": ({"stop_sequences": [1]}, "stop_sequences[0]"),
    "metadata a text": ({"metadata": "me"}, "metadata"),
    "user_id a number": ({"metadata": {"user_id": 1}}, "metadata.user_id"),
    "thinking a text": ({"thinking": "hard"}, "thinking"),
    "no budget": ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
    "budget a text": ({"thinking": {"type": "enabled", "budget_tokens": "1"}}, "thinking.budget_tokens"),
    "a foreign format": ({"output_config": {"format": {"type": "xml"}}}, "output_config.format.type"),
    "servers of tools": ({"mcp_servers": [{"url": "http://x"}]}, "mcp_servers"),
    "a container": ({"container": "c1"}, "container"),
    "system a number": ({"system": 3}, "system"),
    "an image in system": ({"system": [{"type": "image"}]}, "system[0].type"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_understood_is_refused_with_its_path(name: str) -> None:
    more, param = REFUSED[name]
    with pytest.raises(DialectError) as refused:
        asking(**more)
    assert refused.value.param == param


@pytest.mark.parametrize("body", [b"", b"[]", b"nonsense", b"\xff", b"[" * 100_000, b'{"a":"\xed\xa0\x80"}'])
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(DialectError):
        translate(body)


def test_a_prompt_to_be_counted_needs_no_bound_and_has_no_other_field() -> None:
    asked = {"model": "auto", "messages": [{"role": "user", "content": "hi"}], "temperature": 1}
    assert json.loads(prompt_of(json.dumps(asked).encode())).keys() == {"model", "messages"}


def test_a_reply_has_thoughts_then_text_then_calls() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    message = answered({"content": "so", "reasoning_content": "hm", "tool_calls": [call]}, "tool_calls")
    assert message["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": "unsigned"},
        {"type": "text", "text": "so"},
        {"type": "tool_use", "id": "call_1", "name": "f", "input": {"a": 1}},
    ]
    assert (message["id"], message["type"], message["role"], message["model"]) == ("msg_1", "message", "assistant", "m")


@pytest.mark.parametrize(
    ("said", "finish", "choice", "reason"),
    [
        ({"content": "a"}, "stop", {}, "end_turn"),
        ({"content": "a"}, "length", {}, "max_tokens"),
        ({"content": "a"}, "content_filter", {}, "refusal"),
        ({"refusal": "no"}, "stop", {}, "refusal"),
        ({"tool_calls": [{"id": "1"}]}, "stop", {}, "tool_use"),
        ({"tool_calls": [{"id": "1"}]}, "tool_calls", {}, "tool_use"),
        ({"tool_calls": [{"id": "1"}]}, "length", {}, "max_tokens"),
        ({"content": "a"}, "stop", {"stop_reason": "END"}, "stop_sequence"),
        ({"content": "a"}, "stop", {"stop_reason": 128009}, "end_turn"),
        ({"content": "a"}, "stop", {"stop_reason": "not asked for"}, "end_turn"),
        ({"content": "a"}, "something new", {}, "end_turn"),
    ],
)
def test_why_it_ended_is_told_in_the_callers_words(said: Fields, finish: str, choice: Fields, reason: str) -> None:
    message = answered(said, finish, **choice)
    assert message["stop_reason"] == reason
    assert message["stop_sequence"] == ("END" if reason == "stop_sequence" else None)
    stream = from_messages(stop_sequences=["END"])
    deltas = (
        {**said, "tool_calls": [{"index": 0, "id": "1", "function": {"name": "f"}}]} if "tool_calls" in said else said
    )
    told = stream.feed(chunk(deltas) + chunk({}, finish, **choice) + b"data: [DONE]\n\n") + stream.finish()
    assert f'"stop_reason":"{reason}"'.encode() in told


@pytest.mark.parametrize(("arguments", "given"), [("", {}), (" ", {}), ('{"a"', None), ("[1]", None), ('"x"', None)])
def test_arguments_that_are_no_object_stand_in_one(arguments: str, given: Fields | None) -> None:
    call = {"id": "1", "function": {"name": "f", "arguments": arguments}}
    assert answered({"tool_calls": [call]})["content"][0]["input"] == (
        {"INVALID_JSON": arguments} if given is None else given
    )


def test_content_in_parts_and_a_call_without_an_id_are_told_too() -> None:
    message = answered({"content": [{"type": "text", "text": "a"}, {"text": "b"}], "tool_calls": [{}]})
    assert message["content"][0] == {"type": "text", "text": "ab"}
    assert message["content"][1]["id"]


@pytest.mark.parametrize("thinking", [{"type": "disabled"}, {"type": "adaptive", "display": "omitted"}])
def test_thoughts_are_not_shown_to_who_wants_none(thinking: Fields) -> None:
    translation = from_messages(thinking=thinking)
    said = {"content": "so", "reasoning_content": "hm"}
    assert json.loads(translation.whole(completion(said)))["content"] == [{"type": "text", "text": "so"}]
    assert b"thinking" not in translation.feed(chunk(said))


def test_cached_tokens_are_counted_once() -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}}
    usage["completion_tokens_details"] = {"reasoning_tokens": 2}
    told = json.loads(completion({"content": "a"})) | {"usage": usage}
    assert json.loads(from_messages().whole(json.dumps(told).encode()))["usage"] == {
        "input_tokens": 6,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 4,
        "output_tokens": 3,
        "output_tokens_details": {"thinking_tokens": 2},
    }


@pytest.mark.parametrize("reply", [b"", b"{}", b"[]", b'{"choices":[]}', b'{"choices":[{"index":1,"message":{}}]}'])
def test_what_is_no_completion_is_no_message(reply: bytes) -> None:
    with pytest.raises(DialectError):
        from_messages().whole(reply)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_a_stream_split_anywhere_adds_up_to_the_whole_reply(data: st.DataObject) -> None:
    whole = data.draw(completions())
    translation = from_messages(stream=True)
    pieces = split(chunks_of(whole, data.draw), data.draw)
    told = b"".join([*map(translation.feed, pieces), translation.finish()])
    assert message_of(told) == json.loads(from_messages().whole(json.dumps(whole).encode()))


def test_calls_that_are_told_by_turns_come_one_after_the_other() -> None:
    def piece(at: int, arguments: str, **more: Any) -> bytes:
        return chunk({"tool_calls": [{"index": at, **more, "function": {"name": f"f{at}", "arguments": arguments}}]})

    translation = from_messages(stream=True)
    told = translation.feed(piece(0, '{"a"', id="x") + piece(1, '{"b"', id="y") + piece(0, ":1}") + piece(1, ":2}"))
    told += translation.feed(chunk({}, "tool_calls") + b"data: [DONE]\n\n") + translation.finish()
    assert [block["input"] for block in message_of(told)["content"]] == [{"a": 1}, {"b": 2}]


def test_a_call_that_goes_on_after_its_end_breaks_the_stream() -> None:
    translation = from_messages(stream=True)
    translation.feed(chunk({"tool_calls": [{"index": 0, "id": "x", "function": {"name": "f", "arguments": "{}"}}]}))
    translation.feed(chunk({"content": "text"}))
    with pytest.raises(DialectError):
        translation.feed(chunk({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}))


@pytest.mark.parametrize(
    "cut",
    [b"", chunk({"content": "a"}), chunk({"content": "a"}, "stop"), chunk({"content": "a"}) + b"data: [DONE]\n\n"],
)
def test_a_stream_that_is_cut_has_no_end(cut: bytes) -> None:
    translation = from_messages(stream=True)
    assert b"message_stop" not in translation.feed(cut) + translation.finish()


def test_a_comment_becomes_a_ping_once_the_message_has_begun() -> None:
    translation = from_messages(stream=True)
    assert translation.feed(b": ping\n\n") == b""
    translation.feed(chunk({"content": "a"}))
    assert translation.feed(b": ping\n\n") == b'event: ping\ndata: {"type":"ping"}\n\n'


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (b'data: {"error":{"message":"full","code":"overloaded"}}\n\n', "overloaded_error"),
        (b'data: {"error":{"message":"slow","code":"upstream_timeout"}}\n\n', "timeout_error"),
        (b'event: error\ndata: {"message":"odd"}\n\n', "api_error"),
        (b'data: {"error":"odd"}\n\n', "api_error"),
    ],
)
def test_an_error_is_the_last_event(error: bytes, kind: str) -> None:
    translation = from_messages(stream=True)
    translation.feed(chunk({"content": "a"}))
    told = translation.feed(error + chunk({"content": "b"}) + b"data: [DONE]\n\n") + translation.finish()
    name, _, data = told.decode().strip().partition("\n")
    assert name == "event: error"
    assert json.loads(data.removeprefix("data: "))["error"]["type"] == kind


def test_an_error_behind_the_end_is_told_and_nothing_else_is() -> None:
    translation = from_messages(stream=True)
    translation.feed(chunk({"content": "a"}, "stop") + b"data: [DONE]\n\n")
    assert translation.feed(chunk({"content": "b"})) == b""
    assert translation.feed(b'data: {"error":{"message":"cut"}}\n\n').startswith(b"event: error\n")


def test_signed_thoughts_keep_their_signature() -> None:
    block = {"type": "thinking", "thinking": "hm", "signature": "sig"}
    hidden = {"type": "redacted_thinking", "data": "xx"}
    said = {
        "content": "so",
        "reasoning_content": "hm",
        "thinking_blocks": [block, hidden, "nonsense", {"type": "other"}],
    }
    assert answered(said)["content"][:2] == [block, hidden]
    translation = from_messages(stream=True)
    told = translation.feed(
        chunk({"reasoning_content": "hm"})
        + chunk({"thinking_blocks": [{**block, "index": 0}, hidden]})
        + chunk({"thinking_blocks": [block]})
        + chunk({}, "stop")
        + b"data: [DONE]\n\n"
    )
    assert message_of(told + translation.finish())["content"] == [block, hidden, block]


def test_what_is_no_chunk_breaks_the_stream_and_further_choices_are_passed_over() -> None:
    translation = from_messages(stream=True)
    with pytest.raises(DialectError):
        translation.feed(b"data: nonsense\n\n")
    second = {"id": "c", "model": "m", "choices": [{"index": 1, "delta": {"content": "b"}, "finish_reason": "stop"}]}
    assert b"text_delta" not in translation.feed(b"data: %b\n\n" % json.dumps(second).encode())


def test_a_stream_that_fails_here_is_told_to_the_caller() -> None:
    assert from_messages().fail("it broke").startswith(b"event: error\ndata: {")
