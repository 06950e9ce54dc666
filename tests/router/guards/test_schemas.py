"""Tests `router/guards/schemas.py`."""

import pytest

from router.base import BadRequest
from router.guards.schemas import MAX_PATTERN, refuse_schemas


def nested(levels: int) -> dict[str, object]:
    schema: dict[str, object] = {"type": "string"}
    for _ in range(levels - 1):
        schema = {"items": schema}
    return schema


BAD: dict[str, tuple[object, str]] = {
    "no object": ("schema", "is no object"),
    "a list": ([], "is no object"),
    "33 levels": (nested(33), "deeper than 32"),
    "a class without its end": ({"pattern": "[a"}, "a pattern that is none"),
    "a group without its end": ({"properties": {"a": {"pattern": "(a"}}}, "a pattern that is none"),
    "a name that is no pattern": ({"patternProperties": {"*": {}}}, "a pattern that is none"),
    "a long pattern": ({"pattern": "a" * (MAX_PATTERN + 1)}, "longer than"),
    "itself": ({"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}, "in a circle"),
    "each other": (
        {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "items": {"$ref": "#/$defs/a"}},
        "in a circle",
    ),
    "another file": ({"items": {"$ref": "schema.json"}}, "outside"),
    "another server": ({"$ref": "http://127.0.0.1:1/"}, "outside"),
}
GOOD: dict[str, object] = {
    "nothing": {},
    "32 levels": nested(32),
    "a property called pattern": {"properties": {"pattern": {"type": "string"}, "$ref": {"type": "string"}}},
    "a value that looks like a schema": {"enum": [{"$ref": "http://x"}], "default": {"pattern": "("}},
    "patterns of other languages": {"pattern": r"^\p{Lu}(?<name>x)\/$"},
    "a tree": {"$defs": {"node": {"properties": {"next": {"$ref": "#/$defs/node"}}}}, "$ref": "#/$defs/node"},
    "all of it again": {"properties": {"next": {"$ref": "#"}}},
    "a reference to nothing": {"$ref": "#/$defs/none"},
}


def as_format(schema: object) -> dict[str, object]:
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}}


def as_tool(schema: object) -> dict[str, object]:
    return {"tools": [{"type": "function", "function": {"name": "f", "parameters": schema}}]}


@pytest.mark.parametrize("name", BAD)
def test_what_no_engine_should_be_asked_for_is_refused_with_its_path(name: str) -> None:
    schema, words = BAD[name]
    for document, path in (
        (as_format(schema), "response_format.json_schema.schema"),
        (as_tool(schema), "tools[0].function.parameters"),
    ):
        with pytest.raises(BadRequest, match=words) as refused:
            refuse_schemas(document, size=100)
        assert (refused.value.code, refused.value.param) == ("invalid_schema", path)


@pytest.mark.parametrize("name", GOOD)
def test_what_is_unusual_but_has_an_end_passes(name: str) -> None:
    refuse_schemas(as_format(GOOD[name]), size=100)
    refuse_schemas(as_tool(GOOD[name]), size=100)


def test_a_schema_over_64_kb_is_refused_and_a_small_one_in_a_large_request_is_not() -> None:
    large = {"properties": {f"name-{number}": {"type": "string"} for number in range(3_000)}}
    with pytest.raises(BadRequest, match="larger than"):
        refuse_schemas(as_format(large), size=100_000)
    refuse_schemas(as_format({"type": "string"}), size=4 << 20)


@pytest.mark.parametrize("document", [{}, {"tools": "x"}, {"tools": [7, {"function": 7}]}, {"response_format": "json"}])
def test_other_shapes_are_left_to_the_backend(document: dict[str, object]) -> None:
    refuse_schemas(document, size=100)
