"""backends/dialects/responses/compacting.py and backends/dialects/responses/from_compaction.py."""

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
    made = json.loads(FromCompaction({"model": "m", "input": items}).whole(reply(text)))
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
    chat = json.loads(FromCompaction(asked).body)
    assert (chat["top_k"], "stream" in chat) == (3, False)
    assert [each["role"] for each in chat["messages"]] == ["system", "user", "assistant", "tool", "user", "user"]
    with pytest.raises(DialectError):
        FromCompaction(asked).feed(b"data: {}\n\n")
    assert FromCompaction(asked).finish() == FromCompaction(asked).fail("why") == b""


@pytest.mark.parametrize("answer", [reply(" "), reply("cut", "length")])
def test_half_a_summary_is_none(answer: bytes) -> None:
    with pytest.raises(DialectError):
        FromCompaction({"model": "m", "input": "a"}).whole(answer)


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
