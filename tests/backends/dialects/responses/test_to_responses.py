"""backends/dialects/responses/to_responses.py: a chat in Responses, and the way back of its answer.

By backends/dialects/responses/history.py, backends/dialects/responses/completions.py and
backends/dialects/responses/chunks.py.
"""

import json
from typing import Any

import pytest
from hypothesis import given, settings

from backends.dialects.base import DialectError
from backends.dialects.responses.from_responses import FromResponses
from backends.dialects.responses.to_responses import ToResponses
from backends.sse import StreamReader
from tests.backends.dialects.responses.said import Fields, Said, answers, cut

USER = [{"role": "user", "content": "hello"}]


def asked_of(**chat: object) -> Fields:
    """Return the Responses request of a chat."""
    asked: Fields = json.loads(ToResponses(json.dumps({"model": "m", "messages": USER, **chat}).encode()).body)
    return asked


def plain() -> ToResponses:
    return ToResponses(json.dumps({"model": "m", "messages": USER}).encode())


def event(kind: str, **fields: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), json.dumps({"type": kind, **fields}).encode())


def chunks_in(stream: bytes) -> list[Fields]:
    """Return the chunks of a stream that ends as a chat's must."""
    reader = StreamReader(strip_usage=False)
    reader.feed(stream)
    assert reader.finished
    blocks = stream.decode().split("\n\n")
    assert blocks[-2:] == ["data: [DONE]", ""]
    return [json.loads(block.removeprefix("data: ")) for block in blocks[:-2]]


def added_up(chunks: list[Fields]) -> tuple[Fields, str, Fields | None]:
    """Return message, finish reason and usage."""
    message: Fields = {"role": "assistant", "content": None}
    reason, usage = "", None
    for at, chunk in enumerate(chunks):
        usage = chunk.get("usage", usage)
        for choice in chunk["choices"]:
            delta = dict(choice["delta"])
            assert ("role" in delta) == (at == 0)
            delta.pop("role", None)
            reason = choice["finish_reason"] or reason
            for call in delta.pop("tool_calls", ()):
                _grow(message.setdefault("tool_calls", []), call)
            for name, text in delta.items():
                message[name] = (message.get(name) or "") + text
    return message, reason, usage


def _grow(calls: list[Fields], piece: Fields) -> None:
    if piece["index"] == len(calls):
        calls.append({name: value for name, value in piece.items() if name != "index"})
        return
    for kind in ("function", "custom"):
        for name, text in piece.get(kind, {}).items():
            calls[piece["index"]][kind][name] += text


def without_nothing(message: Fields) -> Fields:
    return {name: value for name, value in message.items() if value is not None}


@settings(max_examples=80, deadline=None)
@given(answers())
def test_an_answer_goes_there_and_back_whole_or_in_pieces_cut_anywhere(said: Said) -> None:
    there = FromResponses({"model": "m", "input": "hello", "stream": True})
    whole = json.loads(plain().whole(there.whole(said.whole)))
    (choice,) = whole["choices"]
    assert without_nothing(choice["message"]) == without_nothing(said.message)
    assert choice["finish_reason"] == said.finish_reason
    assert whole["usage"]["total_tokens"] == 14

    there = FromResponses({"model": "m", "input": "hello", "stream": True})
    events = there.feed(said.stream) + there.finish()
    back = plain()
    chunks = chunks_in(b"".join([back.feed(piece) for piece in cut(events, said.cuts)]) + back.finish())
    message, reason, usage = added_up(chunks)
    assert without_nothing(message) == without_nothing(said.message)
    assert (reason, usage) == (said.finish_reason, whole["usage"])


def test_a_conversation_goes_there_and_back() -> None:
    chat: dict[str, Any] = {
        "model": "m",
        "messages": [
            {"role": "system", "content": "be brief"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "a"},
                    {"type": "image_url", "image_url": {"url": "u", "detail": "auto"}},
                ],
            },
            {
                "role": "assistant",
                "content": "wait",
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                    {"id": "c2", "type": "custom", "custom": {"name": "g", "input": "ls"}},
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "42"},
            {"role": "tool", "tool_call_id": "c2", "content": "a"},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}, "strict": True}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
        "max_completion_tokens": 5,
        "reasoning_effort": "low",
        "verbosity": "low",
        "temperature": 0.5,
        "min_p": 0.1,
    }
    asked = json.loads(ToResponses(json.dumps(chat).encode()).body)
    assert [item["type"] for item in asked["input"]] == [
        "message",
        "message",
        "message",
        "function_call",
        "custom_tool_call",
        "function_call_output",
        "custom_tool_call_output",
    ]
    assert asked["store"] is False
    assert json.loads(FromResponses(asked).body) == chat


def test_calls_of_the_older_kind_get_ids() -> None:
    asked = asked_of(
        messages=[
            {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
            {"role": "function", "name": "f", "content": "42"},
        ],
        functions=[{"name": "f", "parameters": {}}],
        function_call={"name": "f"},
    )
    call, output = asked["input"]
    assert call["call_id"] == output["call_id"]
    assert asked["tools"] == [{"type": "function", "name": "f", "parameters": {}, "strict": False}]
    assert asked["tool_choice"] == {"type": "function", "name": "f"}


def test_fields_that_say_nothing_are_left_out_and_others_go_as_they_came() -> None:
    asked = asked_of(
        presence_penalty=0, stop=None, n=1, logprobs=True, top_logprobs=2, seed=7, stream=True, max_tokens=9
    )
    assert asked == {
        "model": "m",
        "store": False,
        "input": [{"type": "message", "role": "user", "content": "hello"}],
        "include": ["message.output_text.logprobs"],
        "top_logprobs": 2,
        "seed": 7,
        "stream": True,
        "max_output_tokens": 9,
    }


@pytest.mark.parametrize(
    ("chat", "param"),
    [
        ({"n": 2}, "n"),
        ({"messages": 5}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "king", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"tools": [{"type": "retrieval"}]}, "tools[0].type"),
    ],
)
def test_what_responses_cannot_say_is_refused(chat: Fields, param: str) -> None:
    with pytest.raises(DialectError) as refused:
        asked_of(**chat)
    assert refused.value.param == param


def test_a_server_that_tells_no_deltas_is_understood() -> None:
    item = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": ""}
    response = {"id": "r", "created_at": 1, "model": "m", "status": "completed", "output": [item]}
    stream = (
        event("response.created", response={**response, "status": "in_progress"})
        + event("response.output_text.done", item_id="m1", text="hi")
        + event("response.output_item.added", item=item)
        + event("response.output_item.done", item={**item, "arguments": "{}"})
        + event("response.completed", response=response)
    )
    message, reason, usage = added_up(chunks_in(plain().feed(stream)))
    assert (message["content"], reason, usage) == ("hi", "tool_calls", None)
    assert message["tool_calls"] == [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]


def test_summaries_of_thoughts_are_thoughts_where_nothing_else_is_told() -> None:
    kind = "response.reasoning_summary_text.delta"
    stream = b"".join(event(kind, item_id="rs", summary_index=at // 2, delta=word) for at, word in enumerate("abcd"))
    stream += event("response.reasoning_text.delta", item_id="rs", delta="not this")
    stream += event("response.completed", response={"status": "completed", "output": []})
    message, _, _ = added_up(chunks_in(plain().feed(stream)))
    assert message["reasoning_content"] == "ab\n\ncd"
    parts = [{"type": "summary_text", "text": text} for text in ("ab", "cd")]
    whole = {"status": "completed", "output": [{"type": "reasoning", "summary": parts}]}
    (choice,) = json.loads(plain().whole(json.dumps(whole).encode()))["choices"]
    assert choice["message"]["reasoning_content"] == "ab\n\ncd"


@pytest.mark.parametrize(
    "failed",
    [
        event(
            "response.failed", response={"status": "failed", "error": {"code": "server_error", "message": "it broke"}}
        ),
        event("error", message="it broke", code="server_error"),
        event("error", error={"message": "it broke", "code": "server_error"}),
    ],
)
def test_a_failure_is_an_error_event_and_no_end(failed: bytes) -> None:
    told = plain().feed(failed + event("response.completed", response={"status": "completed", "output": []}))
    error = json.loads(told.removeprefix(b"data: "))["error"]
    assert (error["message"], error["code"]) == ("it broke", "server_error")
    assert b"[DONE]" not in told


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"[]",
        b"<html>",
        b'{"status":"failed","error":{"message":"x"}}',
        b'{"status":"in_progress"}',
        b'{"status":"failed","output":[]}',
        b"[" * 9999,
    ],
)
def test_what_is_no_answer_is_refused(reply: bytes) -> None:
    with pytest.raises(DialectError):
        plain().whole(reply)


@pytest.mark.parametrize("piece", [b"data: {\n\n", b"data: [1]\n\n", b'data: {"type":"response.completed"}\n\n'])
def test_what_is_no_event_is_refused(piece: bytes) -> None:
    with pytest.raises(DialectError):
        plain().feed(piece)
