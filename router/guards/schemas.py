"""JSON schemas of a request -> the same, or a refusal of those that an engine could choke on.

Answers are made to fit them, token by token: what is endless, huge or no schema at all must not reach an engine. What
each keyword means is the engine's affair. The languages of regular expressions differ; only what is broken in all of
them is refused.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Final

from router.base import BadRequest
from router.guards.documents import Document

MAX_DEPTH: Final = 32
MAX_BYTES: Final = 64 * 1024
MAX_PATTERN: Final = 1_000  # characters

_BROKEN: Final = ("missing )", "unbalanced parenthesis", "unterminated", "nothing to repeat", "multiple repeat")
_OF_NAMES: Final = frozenset(("properties", "patternProperties", "$defs", "definitions", "dependentSchemas"))
"""Keywords whose object has names of its own, each with a schema."""
_OF_VALUES: Final = frozenset(("enum", "const", "default", "examples"))
"""Keywords whose value is data and no schema."""

_Found = tuple[object, int, bool]  # a value, how deep it lies, and whether its names are names of its own


def refuse_schemas(document: Document, *, size: int) -> None:
    """Refuse what no engine should be asked for.

    Args:
        document: a chat request.
        size: bytes of it, so that a small one is not measured part by part.

    Raises:
        BadRequest: with the code `invalid_schema` and the path of the schema.
    """
    for path, schema in _schemas(document):
        fault = _fault(schema, size)
        if fault:
            raise BadRequest(f"the schema at {path} {fault}", code="invalid_schema", param=path)


def _schemas(document: Document) -> Iterator[tuple[str, object]]:
    """Yield the schemas of a chat request, with their paths; what has another shape is left to the backend."""
    wanted = document.get("response_format")
    if isinstance(wanted, dict) and isinstance(wanted.get("json_schema"), dict) and "schema" in wanted["json_schema"]:
        yield "response_format.json_schema.schema", wanted["json_schema"]["schema"]
    tools = document.get("tools")
    for number, tool in enumerate(tools) if isinstance(tools, list) else ():
        function = tool.get("function") if isinstance(tool, dict) else None
        if isinstance(function, dict) and function.get("parameters") is not None:
            yield f"tools[{number}].function.parameters", function["parameters"]


def _fault(schema: object, size: int) -> str:
    """Return what is wrong, in words; "" where nothing is."""
    if not isinstance(schema, dict):
        return "is no object"
    if size > MAX_BYTES and len(json.dumps(schema)) > MAX_BYTES:
        return f"is larger than {MAX_BYTES} bytes"
    references: list[str] = []
    waiting: list[_Found] = [(schema, 1, False)]
    while waiting:
        value, depth, has_own_names = waiting.pop()
        if depth > MAX_DEPTH:
            return f"is nested deeper than {MAX_DEPTH} levels"
        if isinstance(value, list):
            waiting += [(below, depth + 1, False) for below in value if isinstance(below, (dict, list))]
        elif isinstance(value, dict):
            fault = "" if has_own_names else _keyword_fault(value, references)
            if fault:
                return fault
            waiting += [
                (below, depth + 1, not has_own_names and name in _OF_NAMES)
                for name, below in value.items()
                if isinstance(below, (dict, list)) and (has_own_names or name not in _OF_VALUES)
            ]
    return next((fault for each in references if (fault := _reference_fault(schema, each))), "")


def _keyword_fault(schema: Mapping[str, object], references: list[str]) -> str:
    """Look at the keywords of one level; takes down its reference."""
    reference = schema.get("$ref")
    if isinstance(reference, str):
        references.append(reference)
    patterns = [schema.get("pattern")]
    if isinstance(schema.get("patternProperties"), dict):
        patterns += schema["patternProperties"]  # type: ignore[arg-type]  # its names are patterns
    return next((fault for each in patterns if isinstance(each, str) and (fault := _pattern_fault(each))), "")


def _pattern_fault(pattern: str) -> str:
    if len(pattern) > MAX_PATTERN:
        return f"has a pattern longer than {MAX_PATTERN} characters"
    try:
        re.compile(pattern)
    except re.error as error:
        if error.msg.startswith(_BROKEN):
            return f"has a pattern that is none: {error.msg}"
    except (OverflowError, RecursionError):
        return "has a pattern that is none: it is too large"
    return ""


def _reference_fault(schema: Mapping[str, object], reference: str) -> str:
    """Follow a reference through others; one that leads through something else may lead back, as trees do."""
    seen: set[str] = set()
    while reference not in seen:
        seen.add(reference)
        if not reference.startswith("#"):
            return "refers to something outside of it"
        target = _pointed_at(schema, reference)
        following = target.get("$ref") if isinstance(target, dict) else None
        if target is schema or not isinstance(following, str):
            return ""
        reference = following
    return "has references that lead in a circle"


def _pointed_at(schema: Mapping[str, object], reference: str) -> object:
    value: object = schema
    for step in reference.removeprefix("#").strip("/").split("/"):
        name = step.replace("~1", "/").replace("~0", "~")
        if name and isinstance(value, dict):
            value = value.get(name)
    return value
