"""Tests of backends/dialects/messages/tools.py."""

from typing import Any

import pytest

from backends.dialects.base import DialectError
from backends.dialects.messages.tools import from_tool_choice, to_functions, to_tool_choice, to_tools
from backends.dialects.reading import Fields

SCHEMA: Fields = {"type": "object", "properties": {"a": {"type": "integer"}}}
TOOL: Fields = {"name": "f", "description": "does f", "input_schema": SCHEMA, "strict": True}
FUNCTION: Fields = {
    "type": "function",
    "function": {"name": "f", "description": "does f", "parameters": SCHEMA, "strict": True},
}


def test_tools_are_functions_and_functions_tools() -> None:
    assert to_functions([TOOL]) == [FUNCTION]
    assert to_functions([{**TOOL, "type": "custom", "cache_control": {"type": "ephemeral"}}]) == [FUNCTION]
    assert to_tools([FUNCTION]) == [TOOL]
    assert to_tools([{"type": "function", "function": {"name": "g"}}]) == [
        {"name": "g", "input_schema": {"type": "object", "properties": {}}}
    ]


@pytest.mark.parametrize("kind", ["web_search_20250305", "bash_20250124", "computer_toolset_20260801", 3])
def test_tools_of_somebodys_servers_are_refused(kind: object) -> None:
    with pytest.raises(DialectError) as refused:
        to_functions([{"type": kind, "name": "x"}])
    assert (refused.value.code, refused.value.param) == ("unsupported_tool", "tools[0].type")


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ({"type": "auto"}, {"tool_choice": "auto"}),
        ({"type": "any"}, {"tool_choice": "required"}),
        ({"type": "none"}, {"tool_choice": "none"}),
        ({"type": "tool", "name": "f"}, {"tool_choice": {"type": "function", "function": {"name": "f"}}}),
        ({"type": "auto", "disable_parallel_tool_use": True}, {"tool_choice": "auto", "parallel_tool_calls": False}),
        ({"type": "auto", "disable_parallel_tool_use": False}, {"tool_choice": "auto"}),
    ],
)
def test_a_choice_is_told_both_ways(choice: Fields, said: Fields) -> None:
    assert to_tool_choice(choice) == said
    in_parallel = said.get("parallel_tool_calls", True)
    back = from_tool_choice(said["tool_choice"], in_parallel=in_parallel, has_tools=True)
    assert back == {name: value for name, value in choice.items() if value is not False}


def test_calls_one_by_one_need_a_choice_to_say_so() -> None:
    one_by_one = {"type": "auto", "disable_parallel_tool_use": True}
    assert from_tool_choice(None, in_parallel=False, has_tools=True) == one_by_one
    assert from_tool_choice(None, in_parallel=True, has_tools=True) is None
    assert from_tool_choice("auto", in_parallel=True, has_tools=False) is None


@pytest.mark.parametrize("choice", ["auto", 3, {}, {"type": "god"}, {"type": "tool"}, {"type": "tool", "name": 3}])
def test_a_choice_that_is_none_is_refused(choice: Any) -> None:
    with pytest.raises(DialectError):
        to_tool_choice(choice)


@pytest.mark.parametrize("choice", ["god", 3, {}, {"type": "allowed_tools"}, {"type": "function"}])
def test_a_choice_of_a_chat_that_messages_do_not_know_is_refused(choice: Any) -> None:
    with pytest.raises(DialectError):
        from_tool_choice(choice, in_parallel=True, has_tools=True)


@pytest.mark.parametrize(
    "tools", ["f", ["f"], [{}], [{"name": 3}], [{"name": "f"}], [{"name": "f", "input_schema": 1}]]
)
def test_tools_that_are_none_are_refused(tools: Any) -> None:
    with pytest.raises(DialectError):
        to_functions(tools)


@pytest.mark.parametrize(
    "tools", [3, [{"type": "custom"}], [{"type": "function"}], [{"type": "function", "function": {}}]]
)
def test_functions_that_are_none_are_refused(tools: Any) -> None:
    with pytest.raises(DialectError):
        to_tools(tools)
