"""Tests router/stored/assembling.py."""

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.stored.assembling import MAX_TEXT, Assembly

FRAME = {"id": "c1", "object": "chat.completion.chunk", "created": 7, "model": "up", "system_fingerprint": "fp"}


def chunk(*choices: dict[str, Any], **more: object) -> bytes:
    return b"data: " + json.dumps({**FRAME, "choices": list(choices), **more}, ensure_ascii=False).encode() + b"\n\n"


def delta(index: int = 0, finish: str | None = None, **said: object) -> dict[str, Any]:
    return {"index": index, "delta": said, "logprobs": None, "finish_reason": finish}


def whole(*pieces: bytes) -> dict[str, Any]:
    assembly = Assembly()
    for piece in pieces:
        assembly.hear(piece)
    body = assembly.completion()
    assert body is not None
    completion: dict[str, Any] = json.loads(body)
    return completion


TEXT = (
    chunk(delta(role="assistant", content="")),
    b": ping\n\n",
    chunk(delta(content="Hé"), service_tier="default"),
    chunk(delta(content="llo\n")),
    chunk(delta(finish="stop")),
    chunk(usage={"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}),
    b"data: [DONE]\n\n",
)
COMPLETION = {
    "id": "c1",
    "object": "chat.completion",
    "created": 7,
    "model": "up",
    "system_fingerprint": "fp",
    "service_tier": "default",
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Héllo\n", "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
}


def test_the_chunks_of_a_text_add_up_to_it() -> None:
    assert whole(*TEXT) == COMPLETION


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 1 << 32), ending=st.sampled_from((b"\n", b"\r\n", b"\r")))
def test_they_do_so_wherever_they_are_cut(seed: int, ending: bytes) -> None:
    chance, data, pieces = random.Random(seed), b"".join(TEXT).replace(b"\n", ending), []
    while data:
        at = chance.randrange(1, 40)
        pieces.append(data[:at])
        data = data[at:]
    assert whole(*pieces) == COMPLETION


def test_calls_of_tools_are_joined_by_their_index() -> None:
    def call(index: int, name: str | None = None, arguments: str = "", **more: object) -> dict[str, object]:
        return {"index": index, "function": {**({"name": name} if name else {}), "arguments": arguments}, **more}

    completion = whole(
        chunk(delta(role="assistant", content=None, tool_calls=[call(0, "add", id="t1", type="function")])),
        chunk(delta(tool_calls=[call(0, arguments='{"a":')])),
        chunk(delta(tool_calls=[call(1, "sub", "{}", id="t2", type="function"), call(0, arguments=" 1}")])),
        chunk(delta(finish="tool_calls")),
    )
    (choice,) = completion["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"] == {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "tool_calls": [
            {"id": "t1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}},
            {"id": "t2", "type": "function", "function": {"name": "sub", "arguments": "{}"}},
        ],
    }


def test_choices_log_probabilities_and_unknown_fields_are_all_there() -> None:
    def token(text: str) -> dict[str, object]:
        return {"token": text, "logprob": -0.5, "bytes": list(text.encode()), "top_logprobs": []}

    def probable(index: int, text: str, **more: Any) -> dict[str, Any]:
        return {**delta(index, content=text, **more), "logprobs": {"content": [token(text)], "refusal": None}}

    completion = whole(
        chunk(probable(1, "b", reasoning_content="be")),
        chunk(probable(0, "a")),
        chunk(probable(1, "B", reasoning_content="cause", novelty={"x": 1})),
        chunk(delta(0, "stop"), delta(1, "length")),
    )
    first, second = completion["choices"]
    assert (first["message"]["content"], second["message"]["content"]) == ("a", "bB")
    assert second["message"]["reasoning_content"] == "because"
    assert second["message"]["novelty"] == {"x": 1}
    assert [each["token"] for each in second["logprobs"]["content"]] == ["b", "B"]
    assert second["logprobs"]["content"][1]["bytes"] == [66]
    assert (first["finish_reason"], second["finish_reason"]) == ("stop", "length")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"data: [DONE]\n\n",
        b"data: {\n\n",
        b"data: []\n\n",
        b'data: {"choices": 7}\n\n',
        b'data: {"choices": [7, {"index": "x"}]}\n\n',
        b"data: " + b"[" * 5_000 + b"\n\n",
        b"\xff\xfe\n\n",
        b'data: {"error": {"message": "no"}}\n\n',
    ],
)
def test_what_is_no_completion_adds_up_to_none(data: bytes) -> None:
    assembly = Assembly()
    assembly.hear(data)
    assert assembly.completion() is None


def test_deep_or_changing_shapes_break_nothing() -> None:
    deep: object = "x"
    for _ in range(200):
        deep = {"below": [deep]}
    completion = whole(
        chunk({"index": 0, "delta": {"content": "a", "deep": deep, "tool_calls": [7, {"index": [1]}]}}),
        chunk({"index": 0, "delta": {"content": 7, "deep": 8, "tool_calls": "none"}, "finish_reason": "stop"}),
    )
    assert completion["choices"][0]["message"]["content"] == 7


def test_what_is_too_long_is_given_up_and_its_memory_with_it() -> None:
    assembly, piece = Assembly(), chunk(delta(content="x" * 100_000))
    for _ in range(MAX_TEXT // len(piece) + 2):
        assembly.hear(piece)
    assert assembly.is_too_long
    assert assembly.completion() is None
