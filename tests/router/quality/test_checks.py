"""Tests router/quality/checks.py."""

import json
from pathlib import Path

import pytest

from router.quality.checks import LONGEST, is_verifiable, verified
from router.quality.replies import Said, ToolCall
from tests.router.quality.asked import request_of

SCHEMA = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
FORMAT = {"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA}}
TOOLS = [{"type": "function", "function": {"name": "find", "parameters": SCHEMA}}]


def checked(said: Said, **fields: object) -> tuple[int, int]:
    return verified(request_of("r", stream=False, **fields), said)


def test_only_what_asks_for_a_form_is_verified() -> None:
    assert not is_verifiable(request_of())
    assert is_verifiable(request_of(response_format={"type": "json_object"}))
    assert is_verifiable(request_of(tools=TOOLS))
    assert checked(Said("hello")) == checked(Said("hello"), response_format={"type": "text"}) == (0, 0)
    assert checked(Said("hello"), tools=TOOLS) == (0, 0)  # no tool had to be called


@pytest.mark.parametrize(("text", "failed"), [("{}", 0), ('{"a": 1}', 0), ("[1]", 1), ("```json\n{}\n```", 1), ("", 1)])
def test_json_mode_gives_an_object(text: str, failed: int) -> None:
    assert checked(Said(text), response_format={"type": "json_object"}) == (1, failed)


def test_a_reply_that_refused_or_was_cut_or_is_huge_broke_no_promise() -> None:
    form = {"type": "json_object"}
    for said in (
        Said("{", finish="length"),
        Said("", refusal="no"),
        Said("x", finish="content_filter"),
        Said("x" * (LONGEST + 1)),
    ):
        assert checked(said, response_format=form) == (0, 0)  # fmt: skip


def test_huge_arguments_are_not_looked_at_and_who_calls_a_tool_owes_no_json() -> None:
    huge = ToolCall("find", '"' + "x" * LONGEST + '"')
    assert checked(Said(calls=(huge,)), tools=TOOLS) == (0, 0)
    called = Said("looking", calls=(ToolCall("lose", "{}"),))
    assert checked(called, tools=TOOLS, response_format={"type": "json_object"}) == (1, 1)


def test_a_tool_that_is_none_and_arguments_that_are_none_fail() -> None:
    assert checked(Said(calls=(ToolCall("lose", "{}"),)), tools=TOOLS) == (1, 1)
    assert checked(Said(calls=(ToolCall("find", "{"),)), tools=TOOLS) == (2, 1)
    assert checked(Said(calls=(ToolCall("find", "[]"),)), tools=TOOLS) == (2, 1)
    assert checked(Said(calls=(ToolCall("find", "{}"),)), tools="odd") == (0, 0)


@pytest.mark.parametrize(("text", "failed"), [('{"age": 3}', 0), ('{"age": "3"}', 1), ("{}", 1)])
def test_a_reply_fits_its_schema(text: str, failed: int) -> None:
    pytest.importorskip("jsonschema_rs")
    assert checked(Said(text), response_format=FORMAT) == (2, failed)
    assert checked(Said(calls=(ToolCall("find", text),)), tools=TOOLS) == (3, failed)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nonsense"},
        {"$ref": "http://127.0.0.1:9/x"},
        {"$ref": "file:///etc/hostname"},
        {"$ref": "#/$defs/missing"},
        {"pattern": "(?=a)b"},
    ],
)
def test_a_schema_that_cannot_be_read_is_no_check(schema: dict[str, object]) -> None:
    pytest.importorskip("jsonschema_rs")
    form = {"type": "json_schema", "json_schema": {"schema": schema}}
    assert checked(Said('{"a": 1}'), response_format=form) == (1, 0)


def test_a_schema_reads_no_file_of_ours(tmp_path: Path) -> None:
    pytest.importorskip("jsonschema_rs")
    (tmp_path / "secret.json").write_text('{"type": "string"}')
    form = {"type": "json_schema", "json_schema": {"schema": {"$ref": (tmp_path / "secret.json").as_uri()}}}
    assert checked(Said('{"a": 1}'), response_format=form) == (1, 0)


def test_a_pattern_takes_no_time_whatever_it_is() -> None:
    pytest.importorskip("jsonschema_rs")
    form = {"type": "json_schema", "json_schema": {"schema": {"type": "string", "pattern": "^(a+)+$"}}}
    assert checked(Said(json.dumps("a" * 5_000 + "!")), response_format=form) == (2, 1)
