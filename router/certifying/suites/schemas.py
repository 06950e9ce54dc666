"""Value and JSON Schema -> why the value does not fit; "" where it does.

The keywords that schemas of tools and of answers are made of. One that is not known here is passed over, as the
standard says of annotations, but for references, which are followed within the schema.

Source: JSON Schema, draft 2020-12, "Validation".
"""

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import Any, Final

MAX_DEPTH: Final = 64
MOST_STEPS: Final = 100_000

_TYPES: Final[Mapping[str, Callable[[Any], bool]]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "integer": lambda value: (
        not isinstance(value, bool) and (isinstance(value, int) or (isinstance(value, float) and value.is_integer()))
    ),
}


def misfit(value: object, schema: object) -> str:
    """Return the first thing that does not fit, with its place; "" where all does. A broken schema fits nothing."""
    try:
        return _misfit(value, schema, root=schema, place="$", depth=0, steps=count(1))
    except _Endless:
        return f"the schema cannot be used: it takes more than {MOST_STEPS} steps"
    except (
        ArithmeticError,
        AttributeError,
        TypeError,
        re.error,
    ) as error:  # a keyword of another kind, or a huge value
        return f"the schema cannot be used: {error}"


class _Endless(Exception):
    """A schema that refers to itself again and again."""


def _misfit(value: object, schema: object, *, root: object, place: str, depth: int, steps: Iterator[int]) -> str:
    if next(steps) > MOST_STEPS:
        raise _Endless
    if isinstance(schema, bool) or not isinstance(schema, dict):
        return f"{place} is not allowed" if schema is False else ""
    if depth > MAX_DEPTH:
        return f"{place} lies deeper than {MAX_DEPTH} levels"
    if isinstance(schema.get("$ref"), str):
        schema = {**_referred(root, schema["$ref"]), **{name: part for name, part in schema.items() if name != "$ref"}}

    def inner(part: object, of: object, where: str = place) -> str:
        return _misfit(part, of, root=root, place=where, depth=depth + 1, steps=steps)

    return (
        _wrong_kind(value, schema, place)
        or _wrong_choice(value, schema, place, inner)
        or (_wrong_object(value, schema, place, inner) if isinstance(value, dict) else "")
        or (_wrong_list(value, schema, place, inner) if isinstance(value, list) else "")
        or (_wrong_text(value, schema, place) if isinstance(value, str) else "")
        or (_wrong_number(value, schema, place) if _TYPES["number"](value) else "")
    )


_Inner = Callable[..., str]
_Schema = Mapping[str, Any]


def _referred(root: object, reference: str) -> dict[str, Any]:
    value: object = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        if step and isinstance(value, dict):
            value = value.get(step.replace("~1", "/").replace("~0", "~"))
    return value if isinstance(value, dict) else {}


def _wrong_kind(value: object, schema: _Schema, place: str) -> str:
    named = schema.get("type")
    kinds = [named] if isinstance(named, str) else named if isinstance(named, list) else []
    if kinds and not any(_TYPES[kind](value) for kind in kinds if kind in _TYPES):
        return f"{place} is {_kind_of(value)}, and {' or '.join(map(str, kinds))} is wanted"
    return ""


def _kind_of(value: object) -> str:
    return [kind for kind, fits in _TYPES.items() if fits(value)][-1]  # of a whole number, that it is one


def _same(one: object, other: object) -> bool:
    """Tell whether two values are equal as JSON has it, where true is not 1."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _wrong_choice(value: object, schema: _Schema, place: str, inner: _Inner) -> str:
    if "enum" in schema and not any(_same(value, each) for each in schema["enum"]):
        return f"{place} is none of the values that are allowed"
    if "const" in schema and not _same(value, schema["const"]):
        return f"{place} is not the value that is wanted"
    fits = {name: [not inner(value, each) for each in schema.get(name, ())] for name in ("anyOf", "oneOf")}
    if fits["anyOf"] and not any(fits["anyOf"]):
        return f"{place} fits none of anyOf"
    if fits["oneOf"] and sum(fits["oneOf"]) != 1:
        return f"{place} fits {sum(fits['oneOf'])} of oneOf, and one is wanted"
    if "not" in schema and not inner(value, schema["not"]):
        return f"{place} fits what it must not"
    return next((fault for each in schema.get("allOf", ()) if (fault := inner(value, each))), "")


def _wrong_object(value: _Schema, schema: _Schema, place: str, inner: _Inner) -> str:
    missing = [name for name in schema.get("required", ()) if name not in value]
    if missing:
        return f"{place}.{missing[0]} is missing"
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for name, part in value.items():
        fitting = [known[name]] if name in known else []
        fitting += [each for pattern, each in patterns.items() if re.search(pattern, name)]
        for each in fitting or [schema.get("additionalProperties", True)]:
            if fault := inner(part, each, f"{place}.{name}"):
                return fault
    return _wrong_size(len(value), schema, place, ("minProperties", "maxProperties"))


def _wrong_list(value: list[Any], schema: _Schema, place: str, inner: _Inner) -> str:
    first = schema.get("prefixItems", [])
    for number, part in enumerate(value):
        of = first[number] if number < len(first) else schema.get("items", True)
        if fault := inner(part, of, f"{place}[{number}]"):
            return fault
    if schema.get("uniqueItems") and any(_same(one, two) for at, one in enumerate(value) for two in value[:at]):
        return f"{place} holds something twice"
    return _wrong_size(len(value), schema, place, ("minItems", "maxItems"))


def _wrong_text(value: str, schema: _Schema, place: str) -> str:
    pattern = schema.get("pattern")
    if isinstance(pattern, str) and not re.search(pattern, value):
        return f"{place} does not have the pattern that is wanted"
    return _wrong_size(len(value), schema, place, ("minLength", "maxLength"))


def _wrong_size(size: int, schema: _Schema, place: str, limits: tuple[str, str]) -> str:
    least, most = (schema.get(name) for name in limits)
    if (least is not None and size < least) or (most is not None and size > most):
        return f"{place} has {size} parts, against {' and '.join(name for name in limits if name in schema)}"
    return ""


def _wrong_number(value: Any, schema: _Schema, place: str) -> str:  # noqa: ANN401 - JSON
    checks: tuple[tuple[str, Callable[[Any, Any], bool]], ...] = (
        ("minimum", lambda number, limit: number >= limit),
        ("maximum", lambda number, limit: number <= limit),
        ("exclusiveMinimum", lambda number, limit: number > limit),
        ("exclusiveMaximum", lambda number, limit: number < limit),
        ("multipleOf", lambda number, step: not step or abs(number / step - round(number / step)) < _CLOSE),
    )
    wrong = [name for name, fits in checks if name in schema and not fits(value, schema[name])]
    return f"{place} is {value}, against {wrong[0]} {schema[wrong[0]]}" if wrong else ""


_CLOSE: Final = 1e-9
