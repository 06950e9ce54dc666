"""JSON that somebody sent -> values of the kind that belongs there.

What does not belong is refused with the path of its field, in the words of whoever sent it. Knows no dialect.
"""

from typing import Any, Final

import msgspec

from backends.dialects.base import DialectError

Fields = dict[str, Any]

UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What the decoder raises for damaged JSON, for text that is not UTF-8, and for very deep nesting."""

_KINDS: Final = {str: "a text", list: "a list", dict: "an object", bool: "true or false", int: "a whole number"}


def read_object(body: bytes) -> Fields:
    """Return the object that the bytes spell.

    Raises:
        DialectError: they spell none.
    """
    try:
        document = msgspec.json.decode(body)
    except UNREADABLE as error:
        raise DialectError(f"the body is not JSON: {error}", code="invalid_json") from error
    if not isinstance(document, dict):
        raise DialectError("the body must be a JSON object", code="invalid_type")
    return document


def needed(fields: Fields, name: str, param: str) -> Any:  # noqa: ANN401  (any JSON; the callers ask for its kind)
    """Return a field that must be there.

    Args:
        param: the path of the object that holds it; "" where that is the body.
    """
    value = fields.get(name)
    if value is None:
        path = below(param, name)
        raise DialectError(f"the field {path} is missing", code="missing_required_parameter", param=path)
    return value


def text(value: object, param: str) -> str:
    """Return a text."""
    return value if isinstance(value, str) else refuse_kind(value, str, param)


def listed(value: object, param: str) -> list[Any]:
    """Return a list."""
    return value if isinstance(value, list) else refuse_kind(value, list, param)


def an_object(value: object, param: str) -> Fields:
    """Return an object."""
    return value if isinstance(value, dict) else refuse_kind(value, dict, param)


def objects(value: object, param: str) -> list[tuple[Fields, str]]:
    """Return the objects of a list, each with its own path."""
    return [(an_object(each, f"{param}[{at}]"), f"{param}[{at}]") for at, each in enumerate(listed(value, param))]


def refuse_kind(value: object, kind: type, param: str) -> Any:  # noqa: ANN401  (returns nothing; reads as a value above)
    """Raise `DialectError`: the value is of another kind."""
    found = "null" if value is None else _KINDS.get(type(value), "a number")
    raise DialectError(f"{param} is {found}: send {_KINDS[kind]}", code="invalid_type", param=param)


def below(param: str, name: str) -> str:
    """Return the path of a field in an object."""
    return f"{param}.{name}" if param else name
