"""Tests router/quality/schemas.py."""

import json
import time
from typing import Any

import pytest

from router.quality.schemas import HEAVIEST, fits, weight_of

PERSON = {
    "type": "object",
    "properties": {"id": {"type": "string", "pattern": "^[a-z]{1,8}$"}, "of": {"$ref": "#/$defs/of"}},
    "required": ["id"],
    "$defs": {"of": {"type": "array", "items": {"$ref": "#"}}},
}


def doubled(times: int, leaf: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a schema of a few hundred bytes whose leaf is looked at 2 ** times."""
    parts = {"d0": leaf} | {
        f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n - 1}"}] * 2, **more} for n in range(1, times + 1)
    }
    return {"$ref": f"#/$defs/d{times}", "$defs": parts}


def nested(times: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"properties": {"a": {}}}
    for _ in range(times):
        schema = {"allOf": [schema], "unevaluatedProperties": False}
    return schema


def fit(schema: dict[str, Any], value: object) -> bool | None:
    return fits(schema, value, size=len(json.dumps(value)))


def test_a_schema_as_people_write_them_is_light_and_checked() -> None:
    pytest.importorskip("jsonschema_rs")
    assert weight_of(PERSON) < 200
    assert fit(PERSON, {"id": "ann", "of": [{"id": "bob"}]}) is True
    assert fit(PERSON, {"id": "ann", "of": [{"id": 3}]}) is False
    assert fit({"items": {"properties": {"$ref": {"type": "string"}}}}, [{"$ref": "x"}]) is True


@pytest.mark.parametrize(
    "schema",
    [
        doubled(40, {"type": "object"}),
        nested(24),
        doubled(9, {}, unevaluatedItems=False),
        {"allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"$id": "x", "$ref": "#/$defs/b"}, "b": {}}},
        {"$schema": "http://json-schema.org/draft-04/schema#", "allOf": [{"id": "x", "$ref": "#"}]},
        {"$ref": "#name", "$defs": {"a": {"$anchor": "name"}}},
        {"$ref": "#/$defs/%61", "$defs": {"a": {}}},
        {"$ref": "#/allOf/7", "allOf": [{}]},
        {"$ref": "#/type/x", "type": "object"},
    ],
)
def test_one_that_may_take_for_ever_or_that_nobody_can_weigh_is_none(schema: dict[str, Any]) -> None:
    assert weight_of(schema) > HEAVIEST
    begun = time.thread_time()
    assert fit(schema, {"a": 1}) is None
    assert time.thread_time() - begun < 0.2


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"pattern": "[ab]*a[ab]{5000}c"}, "ab" * 100_000),
        ({"pattern": "[ab]*a[ab]{500}c"}, "ab" * 100_000),
        ({"items": {"enum": [f"{n}" for n in range(9_000)]}}, ["8999"] * 20_000),
        (doubled(8, {"properties": {"a": {"$ref": "#"}}}), {"a": {"a": {"a": {"a": {}}}}}),
    ],
)
def test_whatever_is_checked_takes_little_time(schema: dict[str, Any], value: object) -> None:
    pytest.importorskip("jsonschema_rs")
    begun = time.thread_time()
    fit(schema, value)
    assert time.thread_time() - begun < 0.3


def test_what_contains_itself_is_weighed_once() -> None:
    assert weight_of({"items": {"$ref": "#"}}) < 20
