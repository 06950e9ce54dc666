"""Tests router/certifying/suites/schemas.py."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.certifying.suites.schemas import misfit

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-4, 4) | st.sampled_from([0.5, 2.0]) | st.sampled_from(["", "a", "abc"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=5,
)
PLAIN: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["object", "array", "string", "number", "integer", "boolean", "null"])
        | st.lists(st.sampled_from(["object", "array", "string", "integer"]), min_size=1, unique=True),
        "enum": st.lists(VALUES, min_size=1, max_size=3),
        "const": VALUES,
        "minimum": st.integers(-2, 2),
        "exclusiveMaximum": st.integers(-2, 2),
        "multipleOf": st.sampled_from([0.5, 2]),
        "minLength": st.integers(0, 2),
        "maxLength": st.integers(0, 3),
        "pattern": st.sampled_from(["^a", "c$"]),
        "required": st.lists(st.sampled_from("ab"), unique=True),
        "minItems": st.integers(0, 2),
        "maxProperties": st.integers(0, 2),
        "uniqueItems": st.just(value=True),
    },
)
SCHEMAS = st.recursive(
    PLAIN | st.booleans(),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "properties": st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
            "additionalProperties": inner,
            "items": inner,
            "prefixItems": st.lists(inner, min_size=1, max_size=2),
            "anyOf": st.lists(inner, min_size=1, max_size=2),
            "oneOf": st.lists(inner, min_size=1, max_size=2),
            "allOf": st.lists(inner, min_size=1, max_size=2),
            "not": inner,
        },
    ),
    max_leaves=4,
)


@settings(max_examples=40, deadline=None)
@given(VALUES, SCHEMAS)
def test_a_value_fits_where_the_reference_program_says_so(value: object, schema: dict[str, Any]) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    fits = jsonschema.Draft202012Validator(schema).is_valid(value)
    assert (misfit(value, schema) == "") == fits


@pytest.mark.parametrize(
    ("value", "schema", "words"),
    [
        (
            {"a": [1, "x"]},
            {"properties": {"a": {"items": {"type": "integer"}}}},
            "$.a[1] is string, and integer is wanted",
        ),
        ({}, {"required": ["a"]}, "$.a is missing"),
        ({"b": 1}, {"additionalProperties": False}, "$.b is not allowed"),
        (7, {"maximum": 5}, "$ is 7, against maximum 5"),
        ("abc", {"maxLength": 2}, "$ has 3 parts, against maxLength"),
    ],
)
def test_what_does_not_fit_is_named_with_its_place(value: object, schema: dict[str, Any], words: str) -> None:
    assert misfit(value, schema) == words


def test_references_are_followed_and_lead_nowhere_for_ever() -> None:
    tree = {"$ref": "#/$defs/n", "$defs": {"n": {"type": "object", "properties": {"n": {"$ref": "#/$defs/n"}}}}}
    assert misfit({"n": {"n": {}}}, tree) == ""
    assert misfit({"n": {"n": 1}}, tree) == "$.n.n is integer, and object is wanted"
    circle = {"$ref": "#/$defs/a", "$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}]}}}
    assert "deeper than 64 levels" in misfit(1, circle)


@pytest.mark.parametrize(
    "schema", [{"required": 5}, {"properties": {"a": 1}, "pattern": "("}, {"enum": 3}, {"minimum": "x"}]
)
def test_a_schema_that_is_broken_fits_nothing_and_raises_nothing(schema: dict[str, Any]) -> None:
    values: tuple[object, ...] = ({}, "a", 1)
    assert any(misfit(value, schema).startswith("the schema cannot be used") for value in values)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}, 1),
        ({"multipleOf": 1e-300}, 1e300),
        ({"multipleOf": 0.1}, 10**400),
    ],
)
def test_what_takes_for_ever_or_is_too_large_fits_nothing(schema: object, value: object) -> None:
    assert misfit(value, schema).startswith("the schema cannot be used: ")
