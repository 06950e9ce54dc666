"""A caller's schema or grammar -> why llama.cpp must not read it.

llama.cpp turns both into rules that every token is held against, on the one thread that computes for all. A range
whose end lies before its beginning makes it write rules until no memory is left, and a grammar that is nested deep
enough overflows its stack: either ends the engine, with everybody's answers. So what is of this kind is refused here.
Rules that are only slow, since a text fits them in many ways, cannot be told from others by looking at them.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from backends.engines.base import Refused

MAX_SCHEMA: Final = 32 * 1024
"""Bytes of one schema; a choice among as many words as fit into this is held against for about a second."""

MAX_GRAMMAR: Final = 16 * 1024
"""Characters of one grammar; nested brackets overflow the stack at about ten times as many."""

_KINDS: Final = ("text", "json_object", "json_schema")
_RANGES: Final = (
    ("minLength", "maxLength"),
    ("minItems", "maxItems"),
    ("minProperties", "maxProperties"),
    ("minimum", "maximum"),
    ("minimum", "exclusiveMaximum"),
    ("exclusiveMinimum", "maximum"),
    ("exclusiveMinimum", "exclusiveMaximum"),
)
_TIMES: Final = re.compile(r"\{\s*([0-9]+)\s*(?:,\s*([0-9]+)\s*)?\}")
_MOST_TIMES: Final = 9  # digits; more of them would wrap around


def check_format(told: dict[str, Any] | None, *, is_chat: bool) -> None:
    """Check a `response_format`.

    Raises:
        Refused: it cannot be honoured.
    """
    if told is None:
        return
    param, kind = "response_format", told.get("type")
    if kind not in _KINDS:
        raise Refused(f"response_format.type is {str(kind)[:80]!a}, take one of {', '.join(_KINDS)}", param=param)
    if kind != "text" and not is_chat:
        raise Refused("response_format is not honoured here: ask /chat/completions with messages", param=param)
    schema = told.get("schema")  # beside "json_object", as llama.cpp has it
    if kind == "json_schema":
        named = told.get("json_schema")
        schema = named.get("schema") if isinstance(named, dict) else None
        if not isinstance(schema, dict):
            raise Refused("response_format.json_schema.schema is missing: give an object", param=param)
    if schema is not None:
        check_schema(schema, param=param)


def check_tools(tools: Sequence[dict[str, Any]]) -> None:
    """Check the schemas of tools' parameters.

    Raises:
        Refused: one of them cannot be honoured.
    """
    for tool in tools:
        check_schema(tool, param="tools")


def check_schema(schema: object, *, param: str) -> None:
    """Check a schema, and all that lie within it.

    Raises:
        Refused: it is too long, or a range within it is empty.
    """
    size = len(msgspec.json.encode(schema))
    if size > MAX_SCHEMA:
        raise Refused(f"{param} holds a schema of {size} bytes, {MAX_SCHEMA} are read: shorten it", param=param)
    for part in _parts(schema):
        for least, most in _RANGES:
            low, high = part.get(least), part.get(most)
            if isinstance(low, int | float) and isinstance(high, int | float) and not low <= high:
                raise Refused(f"{param} wants {least} {low} and {most} {high}: nothing is both", param=param)
        if isinstance(part.get("pattern"), str):
            check_grammar(part["pattern"], param=param)


def check_grammar(text: str, *, param: str) -> None:
    """Check a grammar, or a pattern in a schema.

    Raises:
        Refused: it is too long, or asks for a repetition that ends before it begins.
    """
    if len(text) > MAX_GRAMMAR:
        raise Refused(f"{param} has {len(text)} characters, {MAX_GRAMMAR} are read: shorten it", param=param)
    for least, most in _TIMES.findall(text):
        if max(len(least), len(most)) > _MOST_TIMES or int(least) > int(most or least):
            wanted = f"{least[:40]} to {(most or least)[:40]}"
            raise Refused(f"{param} wants {wanted} of something: take fewer to more", param=param)


def _parts(schema: object) -> Iterator[dict[str, Any]]:
    """Yield every object that lies anywhere within; depth costs no stack here."""
    left = [schema]
    while left:
        part = left.pop()
        if isinstance(part, dict):
            yield part
            left += part.values()
        elif isinstance(part, list):
            left += part
