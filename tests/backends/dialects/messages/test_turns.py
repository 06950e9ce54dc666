"""Tests of backends/dialects/messages/turns.py."""

import re
from typing import Any

import pytest

from backends.dialects.base import DialectError
from backends.dialects.messages.turns import allowed_id, from_chat
from backends.dialects.reading import Fields
from backends.history.roles import FIRST_WORDS

CALL: Fields = {"id": "t1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}


def said(*messages: Fields) -> list[Fields]:
    return from_chat(list(messages))[1]


def text(words: str) -> Fields:
    return {"type": "text", "text": words}


def test_what_the_system_says_stands_apart_wherever_it_was_said() -> None:
    one, other = {"role": "system", "content": "be brief"}, {"role": "developer", "content": [text("be kind")]}
    hi = {"role": "user", "content": "hi"}
    assert from_chat([one, hi]) == ("be brief", [{"role": "user", "content": [text("hi")]}])
    assert from_chat([one, hi, other])[0] == [text("be brief"), text("be kind")]
    assert from_chat([hi])[0] == ""


def test_neighbours_of_one_role_are_one_turn_and_results_go_first() -> None:
    turns = said(
        {"role": "user", "content": "a"},
        {"role": "user", "content": "b"},
        {"role": "assistant", "content": "c", "tool_calls": [CALL, {**CALL, "id": "t2"}]},
        {"role": "user", "content": "wait"},
        {"role": "tool", "tool_call_id": "t1", "content": "1"},
        {"role": "tool", "tool_call_id": "t2", "content": [text("2")]},
        {"role": "user", "content": "d"},
    )
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user"]
    assert turns[0]["content"] == [text("a"), text("b")]
    assert turns[1]["content"][1] == {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}}
    assert turns[2]["content"] == [
        {"type": "tool_result", "tool_use_id": "t1", "content": [text("1")]},
        {"type": "tool_result", "tool_use_id": "t2", "content": [text("2")]},
        text("wait"),
        text("d"),
    ]


def test_the_user_begins_and_nothing_is_blank() -> None:
    turns = said(
        {"role": "assistant", "content": "welcome"},
        {"role": "user", "content": " \n"},
        {"role": "user", "content": None},
        {"role": "assistant", "content": "so \n"},
    )
    assert turns == [
        {"role": "user", "content": [text(FIRST_WORDS)]},
        {"role": "assistant", "content": [text("welcome"), text("so")]},
    ]
    with pytest.raises(DialectError):
        said({"role": "user", "content": ""})


def test_a_call_without_words_is_a_call_alone() -> None:
    system, turns = from_chat(
        [
            {"role": "system", "content": " "},
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "", "tool_calls": [CALL]},
        ]
    )
    assert system == ""
    assert [block["type"] for block in turns[1]["content"]] == ["tool_use"]


def test_pictures_and_documents_are_sources() -> None:
    content = [
        {"type": "image_url", "image_url": {"url": "data:image/PNG;base64,iVBO"}},
        {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "low"}},
        {"type": "file", "file": {"filename": "bill.pdf", "file_data": "data:application/pdf;base64,JVBE"}},
    ]
    assert said({"role": "user", "content": content})[0]["content"] == [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"}},
        {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}},
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"},
            "title": "bill.pdf",
        },
    ]


def test_thoughts_are_shown_again_where_they_are_signed() -> None:
    signed = {"type": "thinking", "thinking": "hm", "signature": "sig", "index": 0}
    hidden = {"type": "redacted_thinking", "data": "xx"}
    others = [{"type": "thinking", "thinking": "x", "signature": "unsigned"}, {"type": "thinking", "thinking": "x"}, 3]
    turns = said(
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b", "reasoning_content": "hm", "thinking_blocks": [signed, hidden, *others]},
    )
    assert turns[1]["content"] == [{"type": "thinking", "thinking": "hm", "signature": "sig"}, hidden, text("b")]


@pytest.mark.parametrize("name", ["functions.f:0", "ä", "", "x" * 65, "a b", "\ud800"])
def test_an_id_with_other_characters_is_the_same_allowed_one_on_both_sides(name: str) -> None:
    turns = said(
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": None, "tool_calls": [{**CALL, "id": name}]},
        {"role": "tool", "tool_call_id": name, "content": "1"},
    )
    given = turns[1]["content"][0]["id"]
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", given)
    assert turns[2]["content"][0]["tool_use_id"] == given == allowed_id(name)


def test_an_id_that_is_allowed_stays() -> None:
    assert allowed_id("call_abc-9") == "call_abc-9"


BAD: dict[str, tuple[Fields, str]] = {
    "no role": ({"content": "a"}, "messages[0].role"),
    "unknown role": ({"role": "god", "content": "a"}, "messages[0].role"),
    "content a number": ({"role": "user", "content": 1}, "messages[0].content"),
    "sound": ({"role": "user", "content": [{"type": "input_audio"}]}, "messages[0].content[0].type"),
    "type a list": ({"role": "user", "content": [{"type": []}]}, "messages[0].content[0].type"),
    "no tool_call_id": ({"role": "tool", "content": "a"}, "messages[0].tool_call_id"),
    "call without id": ({"role": "assistant", "tool_calls": [{"function": {}}]}, "messages[0].tool_calls[0].id"),
    "calls a text": ({"role": "assistant", "tool_calls": "f"}, "messages[0].tool_calls"),
    "arguments a number": (
        {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": 3}}]},
        "messages[0].tool_calls[0].function.arguments",
    ),
    "a picture by the assistant": (
        {"role": "assistant", "content": [{"type": "image_url", "image_url": {"url": "x"}}]},
        "messages[0].content[0].type",
    ),
    "data that is no base64": (
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png,abc"}}]},
        "messages[0].content[0].image_url.url",
    ),
    "a file by its id": (
        {"role": "user", "content": [{"type": "file", "file": {"file_id": "f1"}}]},
        "messages[0].content[0].file.file_data",
    ),
    "a file that is no PDF": (
        {"role": "user", "content": [{"type": "file", "file": {"file_data": "data:text/csv;base64,YQ=="}}]},
        "messages[0].content[0].file",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_messages_cannot_say_is_refused_with_its_path(name: str) -> None:
    message, param = BAD[name]
    with pytest.raises(DialectError) as refused:
        from_chat([message])
    assert refused.value.param == param


@pytest.mark.parametrize("messages", [None, "hi", [3], {}])
def test_messages_that_are_none_are_refused(messages: Any) -> None:
    with pytest.raises(DialectError):
        from_chat(messages)
