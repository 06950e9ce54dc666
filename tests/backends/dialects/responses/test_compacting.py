"""backends/dialects/responses/compacting.py, from_compaction.py and shortening.py: a long conversation in one item.

That is backends/dialects/responses/from_compaction.py and backends/dialects/responses/shortening.py.
"""

import base64
import json
from contextlib import nullcontext
from typing import Any

import pytest
from openai.types.responses import CompactedResponse

from backends.dialects.base import DialectError
from backends.dialects.responses.compacting import MOST_TEXTS
from backends.dialects.responses.from_compaction import FromCompaction
from backends.dialects.responses.from_responses import FromResponses
from backends.dialects.responses.shortening import Room, names_in

ROOM = Room(messages=2_048, names=10_000)
PARTS = [
    {"type": "input_text", "text": "b"},
    {"type": "input_text", "text": "c"},
    {"type": "input_image", "image_url": "data:,"},
]
INPUT: list[Any] = [
    {"role": "user", "content": "a"},
    {"role": "assistant", "content": "an answer"},
    {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "1", "output": "42"},
    {"role": "user", "content": PARTS},
]


def reply(text: str, reason: str = "stop") -> bytes:
    return json.dumps({"choices": [{"message": {"content": text}, "finish_reason": reason}]}).encode()


def compacted(items: list[Any], text: str) -> list[Any]:
    made = json.loads(FromCompaction({"model": "m", "input": items}, room=ROOM).whole(reply(text)))
    CompactedResponse.model_validate(made)
    output: list[Any] = made["output"]
    return output


def test_what_the_user_said_stays_word_for_word_and_the_rest_is_what_the_model_wrote() -> None:
    asked = {"model": "m", "input": [*compacted(INPUT, " the rest "), {"role": "user", "content": "d"}]}
    left = list(zip(("user", "user", "assistant", "user"), ("a", "b\nc", "the rest", "d"), strict=True))
    said = json.loads(FromResponses(asked).body)["messages"]
    assert [(each["role"], each["content"].rpartition(":\n")[2]) for each in said] == left
    again = json.loads(FromResponses({"model": "m", "input": compacted(asked["input"], "less")}).body)["messages"]  # type: ignore[arg-type]  # a list
    assert [each["content"].rpartition(":\n")[2] for each in again] == ["a", "b\nc", "d", "less"]


def test_a_turn_does_not_go_on_behind_what_was_compacted() -> None:
    call = INPUT[2]
    said = json.loads(FromResponses({"model": "m", "input": [call, *compacted([], "the rest"), call]}).body)["messages"]
    assert [len(each.get("tool_calls", ())) for each in said] == [1, 0, 1]


def test_a_model_is_asked_behind_the_whole_conversation_and_never_for_a_stream() -> None:
    asked = {"model": "m", "input": INPUT, "instructions": "be brief", "stream": True, "background": True, "top_k": 3}
    chat = json.loads(FromCompaction(asked, room=ROOM).body)
    assert (chat["top_k"], "stream" in chat) == (3, False)
    assert [each["role"] for each in chat["messages"]] == ["system", "user", "assistant", "tool", "user", "user"]
    with pytest.raises(DialectError):
        FromCompaction(asked, room=ROOM).feed(b"data: {}\n\n")
    assert FromCompaction(asked, room=ROOM).finish() == FromCompaction(asked, room=ROOM).fail("why") == b""


@pytest.mark.parametrize("answer", [reply(" "), reply("cut", "length")])
def test_half_a_summary_is_none(answer: bytes) -> None:
    with pytest.raises(DialectError):
        FromCompaction({"model": "m", "input": "a"}, room=ROOM).whole(answer)


@pytest.mark.parametrize("sealed", [None, 5, "", "gAAAAA", "tandem1.", "tandem1.=", "tandem1.e30=", "tandem1.\u00e9"])
def test_an_item_that_was_not_made_here_is_refused_by_its_name(sealed: object) -> None:
    item = {"type": "compaction", "encrypted_content": sealed}
    with pytest.raises(DialectError) as refused:
        FromResponses({"model": "m", "input": [item]})
    assert refused.value.param == "input[0].encrypted_content"


@pytest.mark.parametrize(("texts", "is_read"), [(MOST_TEXTS, True), (MOST_TEXTS + 1, False)])
def test_an_item_has_no_more_texts_than_a_chat_has_messages(texts: int, *, is_read: bool) -> None:
    sealed = "tandem1." + base64.b64encode(json.dumps({"user": ["a"] * texts, "rest": ""}).encode()).decode()
    asked: Any = {"model": "m", "input": [{"type": "compaction", "encrypted_content": sealed}]}
    with nullcontext() if is_read else pytest.raises(DialectError):
        FromResponses(asked)


def chat_of(items: list[Any], room: Room, **more: Any) -> list[Any]:
    asked = {"model": "m", "input": items, **more}
    messages: list[Any] = json.loads(FromCompaction(asked, room=room).body)["messages"]
    return messages


def test_a_conversation_of_too_many_messages_is_told_in_as_many_as_are_let_in() -> None:
    whole = chat_of(INPUT, Room(messages=6, names=100), instructions="be brief")
    assert [each["role"] for each in whole] == ["system", "user", "assistant", "tool", "user", "user"]
    told = "The conversation began so:\n\nuser: a\n\nassistant: an answer\n(calls f, as 1, with {})\n\ntool, to 1: 42"
    for messages in (5, 4):  # an output is not parted from its call
        left = chat_of(INPUT, Room(messages=messages, names=100), instructions="be brief")
        assert left == [whole[0], {"role": "user", "content": told}, *whole[4:]]
    first, second, third = chat_of(INPUT, Room(messages=3, names=100), instructions="be brief")
    assert (first, third) == (whole[0], whole[5])
    said, image = second["content"]
    assert said == {"type": "text", "text": f"{told}\n\nuser: b\nc"}
    assert image == whole[4]["content"][2]


def test_a_conversation_of_too_many_names_is_told_with_as_few_as_are_let_in() -> None:
    call = {"type": "custom_tool_call", "call_id": "1", "name": "f", "input": "x"}
    output = {"type": "custom_tool_call_output", "call_id": "1", "output": "42"}
    items = [*[call, output] * 20, {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}]
    assert len(chat_of(items, Room(messages=100, names=300))) == 42
    left = chat_of(items, Room(messages=100, names=60))
    assert names_in(left) <= 60 - names_in({"model": "m", "messages": ()})
    assert [each["role"] for each in left[:3]] == ["user", "assistant", "tool"]
    assert left[0]["content"].count("(calls f, as 1, with x)\n\ntool, to 1: 42") + left[1:].count(left[1]) == 20
    told = chat_of(items, Room(messages=2, names=60))
    assert told[0]["content"].endswith("\n\nassistant: no")


def test_what_is_left_of_a_very_long_conversation_can_be_gone_on_from() -> None:
    items = [{"role": "user", "content": f"text {at}"} for at in range(MOST_TEXTS + 2)]
    output = compacted(items, "the rest")
    first, *others, rest = json.loads(FromResponses({"model": "m", "input": output}).body)["messages"]
    assert first["content"] == "text 0\n\ntext 1\n\ntext 2"
    assert [each["content"] for each in others] == [each["content"] for each in items[3:]]
    assert (len(others), rest["role"]) == (MOST_TEXTS - 1, "assistant")
