"""backends/dialects/responses/from_responses.py: what a request of Responses asks of a chat.

By backends/dialects/responses/asking.py, backends/dialects/responses/items.py, backends/dialects/responses/parts.py,
backends/dialects/responses/tools.py and backends/dialects/responses/listing.py.
"""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.dialects.base import DialectError
from backends.dialects.responses.from_responses import FromResponses
from backends.dialects.responses.listing import listed_items
from tests.backends.dialects.responses.said import Fields

LOOK_UP: Fields = {"type": "function", "name": "look_up", "parameters": {"type": "object"}, "strict": True}
IMAGE: Fields = {"type": "input_image", "image_url": "https://a/b.png", "detail": "low"}


def chat_of(**asked: object) -> Fields:
    """Return the chat request of one in Responses."""
    chat: Fields = json.loads(FromResponses({"model": "auto", **asked}).body)
    return chat


def told_of(**asked: object) -> Fields:
    """Return what the Response of a request repeats."""
    reply = b'{"created":1,"model":"m","choices":[{"index":0,"message":{"content":"x"},"finish_reason":"stop"}]}'
    told: Fields = json.loads(FromResponses({"model": "auto", **asked}).whole(reply))
    return told


def test_a_text_is_the_message_of_a_user() -> None:
    assert chat_of(input="hello") == {"model": "auto", "messages": [{"role": "user", "content": "hello"}]}


def test_instructions_come_first() -> None:
    messages = chat_of(input="hello", instructions="be brief")["messages"]
    assert [message["role"] for message in messages] == ["system", "user"]


def test_nothing_at_all_may_be_asked() -> None:
    assert chat_of()["messages"] == [{"role": "user", "content": ""}]


def test_one_turn_of_the_model_is_one_message() -> None:
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "look"}, IMAGE]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "wait", "annotations": []}],
        },
        {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "look_up", "arguments": "{}"},
        {"type": "custom_tool_call", "call_id": "c2", "name": "run", "input": "ls"},
        {"type": "function_call_output", "call_id": "c1", "output": "42"},
        {"type": "custom_tool_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "a.txt"}]},
        {"type": "reasoning", "id": "rs_2", "summary": [{"type": "summary_text", "text": "so"}]},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
    ]
    assert chat_of(input=items)["messages"] == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "look"},
                {"type": "image_url", "image_url": {"url": "https://a/b.png", "detail": "low"}},
            ],
        },
        {
            "role": "assistant",
            "reasoning_content": "hm",
            "content": "wait",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": "{}"}},
                {"id": "c2", "type": "custom", "custom": {"name": "run", "input": "ls"}},
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "42"},
        {"role": "tool", "tool_call_id": "c2", "content": "a.txt"},
        {"role": "assistant", "reasoning_content": "so", "refusal": "no"},
    ]


def test_thoughts_before_which_no_word_follows_are_left_out() -> None:
    said = [{"role": "user", "content": "well?"}, {"role": "assistant", "content": "well"}]
    assert chat_of(input=[{"type": "reasoning", "summary": [{"text": "hm"}]}, *said])["messages"] == said


def test_parts_of_all_kinds_are_said_as_a_chat_says_them() -> None:
    parts = [
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="},
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
        {"type": "video_url", "video_url": {"url": "https://a/b.mp4"}},
    ]
    (message,) = chat_of(input=[{"role": "user", "content": parts}])["messages"]
    assert message["content"] == [
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="}},
        *parts[1:],
    ]


def test_tools_and_their_choice_are_nested_as_a_chat_nests_them() -> None:
    grammar = {"type": "grammar", "syntax": "lark", "definition": "x"}
    custom = {"type": "custom", "name": "run", "description": "d", "format": grammar}
    chat = chat_of(
        tools=[{**LOOK_UP, "defer_loading": True}, custom],
        tool_choice={"type": "function", "name": "look_up"},
        parallel_tool_calls=False,
    )
    nested = {
        "name": "run",
        "description": "d",
        "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "x"}},
    }
    assert chat["tools"] == [
        {"type": "function", "function": {name: LOOK_UP[name] for name in ("name", "parameters", "strict")}},
        {"type": "custom", "custom": nested},
    ]
    assert chat["tool_choice"] == {"type": "function", "function": {"name": "look_up"}}
    assert chat["parallel_tool_calls"] is False
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "look_up"}]}
    assert chat_of(tools=[LOOK_UP], tool_choice=allowed)["tool_choice"] == {
        "type": "allowed_tools",
        "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "look_up"}}]},
    }


def test_what_only_tools_need_is_left_out_without_tools() -> None:
    assert chat_of(tools=[], tool_choice="auto", parallel_tool_calls=True).keys() == {"model", "messages"}


def test_a_format_a_limit_and_an_effort_bear_the_names_of_a_chat() -> None:
    form = {"type": "json_schema", "name": "answer", "schema": {"type": "object"}, "strict": True}
    chat = chat_of(
        text={"format": form, "verbosity": "low"},
        max_output_tokens=20,
        reasoning={"effort": "low", "summary": "auto"},
        include=["message.output_text.logprobs"],
        top_logprobs=3,
        stream=True,
        stream_options={"include_obfuscation": False},
    )
    del chat["messages"]
    assert chat == {
        "model": "auto",
        "response_format": {
            "type": "json_schema",
            "json_schema": {name: form[name] for name in ("name", "schema", "strict")},
        },
        "verbosity": "low",
        "max_completion_tokens": 20,
        "reasoning_effort": "low",
        "logprobs": True,
        "top_logprobs": 3,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_fields_that_responses_do_not_know_pass_as_they_came() -> None:
    extra = {
        "temperature": 0.5,
        "top_p": 0.9,
        "user": "u",
        "min_p": 0.1,
        "guided_json": {"a": [1]},
        "service_tier": "flex",
    }
    assert {name: value for name, value in chat_of(**extra).items() if name in extra} == extra


def test_what_belongs_to_the_answer_alone_is_not_sent_to_a_backend() -> None:
    own = {"store": True, "metadata": {"a": "b"}, "truncation": "auto", "max_tool_calls": 3, "background": False}
    assert chat_of(**own).keys() == {"model", "messages"}


def test_a_response_tells_what_was_asked_and_what_holds_where_nothing_was() -> None:
    told = told_of(instructions="brief", tools=[{"type": "function", "name": "f"}], metadata={"a": "b"}, temperature=0)
    assert (told["instructions"], told["metadata"], told["temperature"]) == ("brief", {"a": "b"}, 0)
    assert told["tools"] == [{"type": "function", "name": "f", "parameters": None, "strict": None}]
    assert (told["top_p"], told["truncation"], told["store"], told["tool_choice"]) == (1.0, "disabled", True, "auto")
    assert told["text"] == {"format": {"type": "text"}}


@pytest.mark.parametrize(
    ("asked", "param", "code"),
    [
        ({"input": 5}, "input", "invalid_type"),
        ({"input": ["x"]}, "input[0]", "invalid_type"),
        ({"input": [{"role": "user"}]}, "input[0].content", "missing_required_parameter"),
        ({"input": [{"role": "king", "content": "x"}]}, "input[0].role", "invalid_value"),
        (
            {"input": [{"role": "user", "content": [{"text": "x"}]}]},
            "input[0].content[0].type",
            "missing_required_parameter",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_text"}]}]},
            "input[0].content[0].text",
            "missing_required_parameter",
        ),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type", "unsupported"),
        ({"input": [{"type": "web_search_call", "id": "x"}]}, "input[0].type", "unsupported"),
        ({"input": [{"type": {"a": 1}}]}, "input[0].type", "unsupported"),
        (
            {"input": [{"type": "function_call", "name": "f", "arguments": "{}"}]},
            "input[0].call_id",
            "missing_required_parameter",
        ),
        (
            {"input": [{"type": "function_call_output", "call_id": "c"}]},
            "input[0].output",
            "missing_required_parameter",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
            "input[0].content[0].file_id",
            "unsupported",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file", "file_url": "u"}]}]},
            "input[0].content[0].file_url",
            "unsupported",
        ),
        (
            {"input": [{"role": "assistant", "content": [{"type": "input_image"}]}]},
            "input[0].content[0].type",
            "unsupported",
        ),
        ({"instructions": ["x"]}, "instructions", "invalid_type"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type", "unsupported"),
        ({"tools": [{"type": "mcp", "server_label": "x"}]}, "tools[0].type", "unsupported"),
        ({"tools": [{"type": "function"}]}, "tools[0].name", "missing_required_parameter"),
        ({"tools": [LOOK_UP], "tool_choice": {"type": "file_search"}}, "tool_choice.type", "unsupported"),
        ({"tools": [LOOK_UP], "tool_choice": "perhaps"}, "tool_choice", "invalid_value"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type", "unsupported"),
        (
            {"text": {"format": {"type": "json_schema", "name": "x"}}},
            "text.format.schema",
            "missing_required_parameter",
        ),
        ({"background": True, "store": False}, "background", "invalid_value"),
        ({"conversation": ["conv_1"]}, "conversation", "invalid_type"),
        ({"conversation": {}}, "conversation.id", "missing_required_parameter"),
        ({"conversation": "c", "previous_response_id": "r"}, "conversation", "mutually_exclusive_parameters"),
        ({"prompt": {"id": "p"}}, "prompt", "unsupported"),
        ({"messages": []}, None, None),
        ({"messages": [{"role": "user", "content": "x"}]}, "messages", "unsupported"),
        ({"max_output_tokens": True}, "max_output_tokens", "invalid_type"),
        ({"metadata": {"a": 1}}, "metadata", "invalid_value"),
        ({"metadata": {str(at): "x" for at in range(17)}}, "metadata", "invalid_value"),
        ({"truncation": "some"}, "truncation", "invalid_value"),
        ({"previous_response_id": 5}, "previous_response_id", "invalid_type"),
        ({"reasoning": {"effort": 5}}, "reasoning.effort", "invalid_type"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_its_own_name(asked: Fields, param: str | None, code: str | None) -> None:
    if code is None:
        assert chat_of(**asked)
        return
    with pytest.raises(DialectError) as refused:
        chat_of(**asked)
    assert (refused.value.param, refused.value.code) == (param, code)


_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.sampled_from(["", "user", "message", "function", "text", "auto"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from("type role content text name call_id output arguments tools format schema mode".split()),
            inner,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from("input instructions tools tool_choice text reasoning include metadata stream_options".split()),
        _JSON,
    )
)
def test_whatever_is_sent_is_translated_or_refused(asked: Fields) -> None:
    with suppress(DialectError):
        assert chat_of(**asked)["messages"]


def test_items_are_listed_with_ids_and_parts() -> None:
    items = listed_items([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "id": "own"}], "r")
    assert items[0]["id"] == "msg_ri0000"
    assert items[0]["content"] == [{"type": "input_text", "text": "a"}]
    assert (items[1]["id"], items[1]["content"][0]["type"]) == ("own", "output_text")
