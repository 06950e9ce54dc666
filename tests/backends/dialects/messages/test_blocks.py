"""Tests of backends/dialects/messages/blocks.py, and of backends/dialects/reading.py."""

from typing import Any

import pytest

from backends.dialects.base import DialectError
from backends.dialects.messages.blocks import to_chat
from backends.dialects.reading import Fields

PNG: Fields = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"}}
PNG_PART: Fields = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}}


def chat(*turns: Fields, system: Any = None) -> list[Fields]:
    return to_chat(system, list(turns))


def user(*blocks: Fields) -> Fields:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: Fields) -> Fields:
    return {"role": "assistant", "content": list(blocks)}


def text(said: str, **more: Any) -> Fields:
    return {"type": "text", "text": said, **more}


def test_a_system_prompt_may_be_a_text_or_blocks_with_marks() -> None:
    marked = text("be brief", cache_control={"type": "ephemeral"})
    assert chat(user(text("hi")), system=[marked])[0] == {"role": "system", "content": "be brief"}
    parts = chat(user(text("hi")), system=[marked, text("and kind")])[0]["content"]
    assert parts == [text("be brief"), text("and kind")]
    assert chat({"role": "system", "content": "now"}) == [{"role": "system", "content": "now"}]


def test_one_text_block_is_a_text_and_several_are_parts() -> None:
    assert chat(user(text("a")))[0]["content"] == "a"
    assert chat(user(text("a"), text("b")))[0]["content"] == [text("a"), text("b")]
    assert chat(user())[0]["content"] == ""


def test_pictures_become_urls() -> None:
    linked = {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}
    assert chat(user(PNG, linked))[0]["content"] == [
        PNG_PART,
        {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
    ]


def test_documents_become_files_or_their_text() -> None:
    pdf = {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}
    said = chat(
        user(
            {"type": "document", "source": pdf, "title": "bill.pdf"},
            {"type": "document", "source": pdf},
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}, "title": "T"},
            {"type": "document", "source": {"type": "content", "content": [text("inner"), PNG]}, "context": "C"},
            {"type": "search_result", "title": "found", "source": "https://x", "content": [text("this")]},
        )
    )[0]["content"]
    data = "data:application/pdf;base64,JVBE"
    assert said == [
        {"type": "file", "file": {"filename": "bill.pdf", "file_data": data}},
        {"type": "file", "file": {"filename": "document.pdf", "file_data": data}},
        text("T\nwords"),
        text("C"),
        text("inner"),
        PNG_PART,
        text("found\nhttps://x\nthis"),
    ]


def test_a_turn_of_the_assistant_is_one_message() -> None:
    call = {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}}
    thought = {"type": "thinking", "thinking": "hm", "signature": "sig"}
    hidden = {"type": "redacted_thinking", "data": "xx"}
    assert chat(assistant(thought, hidden, text("a"), text("b"), call)) == [
        {
            "role": "assistant",
            "content": "ab",
            "reasoning_content": "hm",
            "thinking_blocks": [thought, hidden],
            "tool_calls": [{"id": "t1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}],
        }
    ]
    assert chat(assistant(call))[0]["content"] is None
    assert chat(assistant())[0]["content"] == ""
    assert chat({"role": "assistant", "content": "so"}) == [{"role": "assistant", "content": "so"}]


@pytest.mark.parametrize("signature", ["unsigned", "", None])
def test_thoughts_that_nobody_signed_are_no_blocks(signature: str | None) -> None:
    message = chat(assistant({"type": "thinking", "thinking": "hm", "signature": signature}, text("a")))[0]
    assert message == {"role": "assistant", "content": "a", "reasoning_content": "hm"}


def test_results_of_tools_come_before_what_the_user_says() -> None:
    said = chat(
        user(
            text("and now"),
            {"type": "tool_result", "tool_use_id": "t1", "content": "one"},
            {"type": "tool_result", "tool_use_id": "t2", "content": [text("a"), text("b")]},
            {"type": "tool_result", "tool_use_id": "t3"},
            {"type": "tool_result", "tool_use_id": "t4", "content": [{"type": "tool_reference", "tool_name": "g"}]},
        )
    )
    assert said == [
        {"role": "tool", "tool_call_id": "t1", "content": "one"},
        {"role": "tool", "tool_call_id": "t2", "content": [text("a"), text("b")]},
        {"role": "tool", "tool_call_id": "t3", "content": ""},
        {"role": "tool", "tool_call_id": "t4", "content": "g"},
        {"role": "user", "content": "and now"},
    ]
    assert len(chat(user({"type": "tool_result", "tool_use_id": "t1"}))) == 1


def test_pictures_of_tools_are_shown_by_the_user_who_says_whose_they_are() -> None:
    said = chat(user({"type": "tool_result", "tool_use_id": "t1", "content": [text("see"), PNG]}))
    assert said[0] == {"role": "tool", "tool_call_id": "t1", "content": "see"}
    assert said[1]["content"] == [text("Returned by the tool call t1:"), PNG_PART]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("no such file", "Error: no such file"),
        ("Error: no such file", "Error: no such file"),
        ("<error>no</error>", "<error>no</error>"),
        (None, "Error"),
        ([text("a"), text("b")], [text("Error: a"), text("b")]),
    ],
)
def test_what_failed_says_so_once(content: Any, said: Any) -> None:
    block = {"type": "tool_result", "tool_use_id": "t1", "is_error": True, "content": content}
    assert chat(user(block))[0]["content"] == said


BAD: dict[str, tuple[Fields, str]] = {
    "no role": ({"content": "a"}, "messages[0].role"),
    "unknown role": ({"role": "god", "content": "a"}, "messages[0].role"),
    "role a list": ({"role": [], "content": "a"}, "messages[0].role"),
    "no content": ({"role": "user"}, "messages[0].content"),
    "content a number": ({"role": "user", "content": 1}, "messages[0].content"),
    "content an object": ({"role": "assistant", "content": {}}, "messages[0].content"),
    "block a text": (user("hi"), "messages[0].content[0]"),  # type: ignore[arg-type]  # that is what is wrong
    "block without type": (user({}), "messages[0].content[0].type"),
    "type a list": (assistant({"type": ["text"]}), "messages[0].content[0].type"),
    "type an object": (user({"type": {}}), "messages[0].content[0].type"),
    "text a number": (user({"type": "text", "text": 1}), "messages[0].content[0].text"),
    "no text": (assistant({"type": "text"}), "messages[0].content[0].text"),
    "a server's tool": (assistant({"type": "server_tool_use", "id": "s"}), "messages[0].content[0].type"),
    "a call by the user": (user({"type": "tool_use", "id": "t"}), "messages[0].content[0].type"),
    "call without id": (assistant({"type": "tool_use", "name": "f"}), "messages[0].content[0].id"),
    "call without name": (assistant({"type": "tool_use", "id": "t"}), "messages[0].content[0].name"),
    "input a text": (
        assistant({"type": "tool_use", "id": "t", "name": "f", "input": "x"}),
        "messages[0].content[0].input",
    ),
    "no tool_use_id": (user({"type": "tool_result"}), "messages[0].content[0].tool_use_id"),
    "result in a result": (
        user({"type": "tool_result", "tool_use_id": "t", "content": [{"type": "tool_result"}]}),
        "messages[0].content[0].content[0].type",
    ),
    "image without source": (user({"type": "image"}), "messages[0].content[0].source"),
    "image of a file": (user({"type": "image", "source": {"type": "file"}}), "messages[0].content[0].source.type"),
    "image without data": (
        user({"type": "image", "source": {"type": "base64", "media_type": "image/png"}}),
        "messages[0].content[0].source.data",
    ),
    "document by url": (user({"type": "document", "source": {"type": "url"}}), "messages[0].content[0].source.type"),
    "thoughts a number": (assistant({"type": "thinking", "thinking": 1}), "messages[0].content[0].thinking"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_turn_is_refused_with_its_path(name: str) -> None:
    turn, param = BAD[name]
    with pytest.raises(DialectError) as refused:
        to_chat(None, [turn])
    assert refused.value.param == param
