"""A request and its reply -> which of its promises could be verified, and which were broken.

JSON where JSON was asked for, the schema where one was sent, and arguments of tools against the tool's own schema. A
schema that cannot be read, or would take too long, is no check: it is told as one that does not apply.
"""

import json
from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Raw

from router.base import Request
from router.quality.replies import Said, ToolCall
from router.quality.schemas import fits

LONGEST: Final = 262_144  # characters of what is checked


def is_verifiable(request: Request) -> bool:
    """Tell whether something of its reply can be verified; a field that is there is enough, whatever it says."""
    fields = request.fields
    return "response_format" in fields or "tools" in fields


def verified(request: Request, said: Said) -> tuple[int, int]:
    """Return how many checks applied, and how many of them failed.

    A reply that refuses, or was cut by its limit, broke no promise of form; a huge one is not looked at.
    """
    if said.refusal or said.finish in ("length", "content_filter"):
        return 0, 0
    if len(said.text) > LONGEST or any(len(call.arguments) > LONGEST for call in said.calls):
        return 0, 0
    results = [*_format_checks(request, said), *_tool_checks(request, said)]
    return len(results), results.count(False)


def _format_checks(request: Request, said: Said) -> list[bool]:
    wanted = _decoded(request.fields.get("response_format"))
    if not isinstance(wanted, dict) or said.calls or wanted.get("type") not in ("json_object", "json_schema"):
        return []
    found, value = _parsed(said.text)
    if wanted["type"] == "json_object":
        return [found and isinstance(value, dict)]
    named: object = wanted.get("json_schema")
    fitting = fits(named.get("schema"), value, size=len(said.text)) if found and isinstance(named, dict) else None
    return [found] if fitting is None else [found, fitting]


def _tool_checks(request: Request, said: Said) -> list[bool]:
    if not said.calls:
        return []
    tools = _decoded(request.fields.get("tools"))
    schemas = {} if not isinstance(tools, list) else dict(filter(None, map(_named, tools)))
    return [check for call in said.calls for check in _call_checks(call, schemas)] if schemas else []


def _named(tool: object) -> tuple[str, object] | None:
    function = tool.get("function") if isinstance(tool, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        return None
    return function["name"], function.get("parameters")


def _call_checks(call: ToolCall, schemas: Mapping[str, object]) -> list[bool]:
    """Check that the tool is there, that its arguments are an object, and that they fit."""
    if call.name not in schemas:
        return [False]
    found, value = _parsed(call.arguments or "{}")
    if not found or not isinstance(value, dict):
        return [True, False]
    fitting = fits(schemas[call.name], value, size=len(call.arguments))
    return [True, True] if fitting is None else [True, True, fitting]


def _parsed(text: str) -> tuple[bool, object]:
    """Return whether a text is JSON, and what it says; with a fence around it, it is not."""
    try:
        return True, json.loads(text)
    except (ValueError, RecursionError):
        return False, None


def _decoded(raw: Raw | None) -> object:
    try:
        return None if raw is None else msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
