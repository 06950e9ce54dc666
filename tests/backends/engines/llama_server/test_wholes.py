"""Tests backends/engines/llama_server/wholes.py where the shipped models cannot: tool calls, and streams that break."""

from typing import Any

import msgspec
import pytest

from backends.base import StreamBroken
from backends.engines.llama_server.wholes import whole_of

CHAT = "/chat/completions"
USAGE = {"choices": [], "usage": {"completion_tokens": 2, "prompt_tokens": 3, "total_tokens": 5}}


def told(*chunks: dict[str, Any], done: bool = True) -> bytes:
    events = [b"data: %b\n\n" % msgspec.json.encode({"id": "x", **chunk}) for chunk in chunks]
    return b"".join(events) + (b"data: [DONE]\n\n" if done else b"")


def chunk(finish: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"choices": [{"finish_reason": finish, "index": 0, "delta": delta}], "object": "chat.completion.chunk"}


def call(place: int, **part: Any) -> dict[str, Any]:
    function = {name: part.pop(name) for name in ("name", "arguments") if name in part}
    return {"index": place, **part, "function": function}


def test_tool_calls_are_put_together_each_at_its_place() -> None:
    stream = told(
        chunk(role="assistant", content=None),
        chunk(tool_calls=[call(0, id="a", type="function", name="look_up", arguments="")]),
        chunk(tool_calls=[call(0, arguments='{"order"')]),
        chunk(tool_calls=[call(0, arguments=":123}")]),
        chunk(tool_calls=[call(1, id="b", type="function", name="cancel", arguments="{}")]),
        chunk("tool_calls"),
        USAGE,
    )
    answer = msgspec.json.decode(whole_of(stream, CHAT))
    assert answer["object"] == "chat.completion"
    assert answer["usage"] == USAGE["usage"]
    (choice,) = answer["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"] == {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"type": "function", "id": "a", "function": {"name": "look_up", "arguments": '{"order":123}'}},
            {"type": "function", "id": "b", "function": {"name": "cancel", "arguments": "{}"}},
        ],
    }


def test_thoughts_and_text_are_kept_apart() -> None:
    stream = told(
        chunk(role="assistant", content=None),
        chunk(reasoning_content="so "),
        chunk(reasoning_content="that"),
        chunk(content="ye"),
        chunk(content="s"),
        chunk("stop"),
        USAGE,
    )
    message = msgspec.json.decode(whole_of(b": ping\n\n" + stream, CHAT))["choices"][0]["message"]
    assert message == {"role": "assistant", "content": "yes", "reasoning_content": "so that"}


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        told(chunk(content="ye"), done=False),
        told(chunk(content="ye")),
        told(chunk(content="ye"), chunk("stop"), done=False),
        told(chunk(content="ye"), {"error": {"code": 500, "message": "out of memory"}}),
    ],
)
def test_an_answer_that_is_not_complete_is_none(stream: bytes) -> None:
    with pytest.raises(StreamBroken):
        whole_of(stream, CHAT)
