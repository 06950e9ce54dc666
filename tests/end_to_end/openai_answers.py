"""A chat request -> what a model might answer: a text, a call of the tool that is offered, or JSON by a schema."""

import json
import re
from typing import Any

WORDS = ("One", " two", " three.")

_NUMBER = re.compile(r"-?\d+")
_QUOTED = re.compile(r"'([^']+)'")


def message_for(body: dict[str, Any]) -> dict[str, Any]:
    """Return content or tool calls."""
    messages, choice = body["messages"], body.get("tool_choice") or "auto"
    said = _text(messages[-1])
    if body.get("tools") and choice != "none" and messages[-1]["role"] != "tool":
        return {"content": None, "tool_calls": [_call(body["tools"], choice, said)]}
    wanted = body.get("response_format") or {"type": "text"}
    if wanted["type"] == "json_schema":
        schema = wanted["json_schema"].get("schema") or {}
        return {"content": json.dumps(_example(schema, schema, said))}
    if wanted["type"] == "json_object":
        return {"content": json.dumps(dict.fromkeys(_QUOTED.findall(said), "yes"))}
    return {"content": "".join(WORDS)}


def _call(tools: list[dict[str, Any]], choice: str | dict[str, Any], said: str) -> dict[str, Any]:
    functions = {tool["function"]["name"]: tool["function"] for tool in tools}
    name = choice["function"]["name"] if isinstance(choice, dict) else next(iter(functions))
    schema = functions[name].get("parameters") or {}
    arguments = json.dumps(_example(schema, schema, said), ensure_ascii=False)
    return {"id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}}


def _example(schema: dict[str, Any], root: dict[str, Any], said: str) -> object:
    """Return a value of a schema, made of what was said where that has one."""
    while "$ref" in schema or "anyOf" in schema:
        schema = root["$defs"][schema["$ref"].rsplit("/", 1)[1]] if "$ref" in schema else schema["anyOf"][0]
    quoted, number = _QUOTED.search(said), _NUMBER.search(said)
    simple: dict[str, object] = {
        "integer": int(number[0]) if number else 1,
        "number": int(number[0]) if number else 1,
        "string": quoted[1] if quoted else said[:40],
        "boolean": True,
        "array": [],
    }
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("type", "object") != "object":
        return simple.get(schema["type"])
    return {name: _example(each, root, said) for name, each in schema.get("properties", {}).items()}


def _text(message: dict[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return " ".join(part.get("text", "") for part in content)
    return content or ""
