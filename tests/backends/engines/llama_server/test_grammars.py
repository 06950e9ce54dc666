"""Tests backends/engines/llama_server/grammars.py: what would end llama.cpp never reaches it."""

from typing import Any

import pytest

from backends.engines.base import Refused
from backends.engines.llama_server.grammars import check_format, check_grammar, check_schema, check_tools


def schema_in_format(schema: object) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "minLength": 5, "maxLength": 2},
        {"type": "array", "items": {"type": "integer"}, "minItems": 5, "maxItems": 2},
        {"type": "integer", "minimum": 5, "maximum": 2},
        {"type": "integer", "exclusiveMinimum": 5, "maximum": 2.5},
        {"type": "string", "pattern": "^a{5,2}$"},
        {"type": "string", "pattern": "^a{ 5 , 2 }$"},
        {"type": "string", "pattern": "^a{2,4294967297}$"},
        {"type": "string", "pattern": "a" * 20_000},
        {"enum": ["word " * 2] * 5000},
        {"type": "object", "properties": {"a": {"anyOf": [{"type": "null"}, {"minLength": 3, "maxLength": 1}]}}},
    ],
)
def test_a_schema_that_would_end_the_engine_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(Refused) as caught:
        check_format(schema_in_format(schema), is_chat=True)
    assert caught.value.param == "response_format"
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
    with pytest.raises(Refused) as caught:
        check_tools([tool])
    assert caught.value.param == "tools"


def test_a_schema_that_makes_sense_passes() -> None:
    parts = {
        "code": {"type": "string", "pattern": "^[A-Z]{2}[0-9]{1,9}(-[a-z]{3,}){0,2}$", "minLength": 2, "maxLength": 2},
        "count": {"type": "integer", "minimum": -5, "maximum": 5},
        "minLength": {"type": "integer"},  # names of the caller's, and no bounds
        "maxLength": {"type": "array", "items": {"$ref": "#"}, "minItems": 0, "maxItems": 9},
    }
    check_format(schema_in_format({"type": "object", "properties": parts, "required": ["code"]}), is_chat=True)
    check_format({"type": "json_object"}, is_chat=True)
    check_format({"type": "text"}, is_chat=False)
    check_format(None, is_chat=False)


def test_a_schema_may_lie_deep_within_itself() -> None:
    schema: dict[str, Any] = {"type": "string", "minLength": 5, "maxLength": 2}
    for _ in range(400):
        schema = {"type": "array", "items": schema}
    with pytest.raises(Refused, match="nothing is both"):
        check_schema(schema, param="response_format")


@pytest.mark.parametrize(
    "grammar", ['root ::= "a"{5,2}', "root ::= " + "(" * 200_000 + '"a"' + ")" * 200_000, 'root ::= "a"{9999999999}']
)
def test_a_grammar_that_would_end_the_engine_is_refused(grammar: str) -> None:
    with pytest.raises(Refused) as caught:
        check_grammar(grammar, param="grammar")
    assert caught.value.param == "grammar"
    check_grammar('root ::= ("a" | [b-d]{2,5} | "e"{3} | "f"{1,})*', param="grammar")
