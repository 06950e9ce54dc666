"""Tools, and which of them shall be called: as Responses write them <-> as chat completions do.

Functions and custom tools are run by the caller. All others are run by the servers of one company, and are refused:
an answer without them would be another one than was asked for.
"""

from typing import Any, Final

from backends.dialects.base import DialectError
from backends.dialects.reading import Fields, an_object, needed, objects, text

_FUNCTION: Final = ("name", "description", "parameters", "strict")
_RUN_ELSEWHERE: Final = frozenset({"type", "allowed_callers", "async", "defer_loading", "output_schema"})
"""They say how tools are found and called by a server that runs programs; each is loaded and called the plain way."""

MODES: Final = ("none", "auto", "required")


def to_chat_tools(tools: object) -> list[Fields]:
    """Return the tools of a chat request.

    Raises:
        DialectError: one is neither a function nor a custom tool.
    """
    return [_to_chat_tool(tool, param) for tool, param in objects(tools, "tools")]


def _to_chat_tool(tool: Fields, param: str) -> Fields:
    kind = needed(tool, "type", param)
    if kind == "function":
        text(needed(tool, "name", param), f"{param}.name")
        function = {name: value for name, value in tool.items() if name not in _RUN_ELSEWHERE and value is not None}
        return {"type": "function", "function": function}
    if kind == "custom":
        text(needed(tool, "name", param), f"{param}.name")
        custom = {name: value for name, value in tool.items() if name not in _RUN_ELSEWHERE}
        if custom.get("format") is not None:
            custom["format"] = _to_chat_format(an_object(custom["format"], f"{param}.format"))
        return {"type": "custom", "custom": custom}
    raise _not_run(kind, f"{param}.type")


def _to_chat_format(wanted: Fields) -> Fields:
    if wanted.get("type") != "grammar":
        return wanted
    return {"type": "grammar", "grammar": {name: value for name, value in wanted.items() if name != "type"}}


def to_chat_choice(choice: object) -> str | Fields:
    """Return the `tool_choice` of a chat request.

    Raises:
        DialectError: it names a tool that is run elsewhere, or is none.
    """
    if isinstance(choice, str):
        if choice not in MODES:
            raise DialectError(f"tool_choice must be one of {', '.join(MODES)}", param="tool_choice")
        return choice
    chosen = an_object(choice, "tool_choice")
    kind = needed(chosen, "type", "tool_choice")
    if kind == "allowed_tools":
        tools = [_named(tool, param) for tool, param in objects(chosen.get("tools"), "tool_choice.tools")]
        return {"type": kind, "allowed_tools": {"mode": chosen.get("mode", "auto"), "tools": tools}}
    return _named(chosen, "tool_choice")


def _named(tool: Fields, param: str) -> Fields:
    kind = needed(tool, "type", param)
    if kind not in ("function", "custom"):
        raise _not_run(kind, f"{param}.type")
    return {"type": kind, kind: {"name": text(needed(tool, "name", param), f"{param}.name")}}


def _not_run(kind: object, param: str) -> DialectError:
    name = kind[:40] if isinstance(kind, str) else "?"
    return DialectError(
        f"{param} is {name!a}, which is run by nobody here: send functions, and run them yourself",
        code="unsupported",
        param=param,
    )


def told_tools(tools: object) -> list[Any]:
    """Return the tools as a Response repeats them: what was left out of a function is null there."""
    return [
        {"parameters": None, "strict": None, **tool}
        if isinstance(tool, dict) and tool.get("type") == "function"
        else tool
        for tool in (tools if isinstance(tools, list) else ())
    ]


def from_chat_tools(tools: object, functions: object) -> list[Fields]:
    """Return the tools of a Responses request.

    Args:
        tools: of a chat request, or None.
        functions: the older way to name them, or None.

    Raises:
        DialectError: one is neither a function nor a custom tool.
    """
    found = [_from_chat_tool(tool, param) for tool, param in objects(tools or [], "tools")]
    # A chat's functions are not strict unless they say so, and those of Responses are.
    return found + [
        {"strict": False, **function, "type": "function"} for function, _ in objects(functions or [], "functions")
    ]


def _from_chat_tool(tool: Fields, param: str) -> Fields:
    kind = needed(tool, "type", param)
    if kind == "function":
        function = an_object(needed(tool, kind, param), f"{param}.{kind}")
        return {"strict": False, "parameters": {"type": "object", "properties": {}}, **function, "type": kind}
    if kind == "custom":
        custom = {**an_object(needed(tool, kind, param), f"{param}.{kind}"), "type": kind}
        form = custom.get("format")
        if isinstance(form, dict) and isinstance(form.get("grammar"), dict):
            custom["format"] = {"type": "grammar", **form["grammar"]}
        return custom
    raise DialectError(f"{param}.type must be function or custom", code="unsupported", param=f"{param}.type")


def from_chat_choice(choice: object) -> object:
    """Return the `tool_choice` of a Responses request; what a chat's is not passes as it came."""
    if not isinstance(choice, dict):
        return choice
    kind = choice.get("type")
    if kind == "allowed_tools" and isinstance(choice.get(kind), dict):
        allowed = choice[kind]
        tools = allowed.get("tools")
        return {"type": kind, **allowed, "tools": [from_chat_choice(tool) for tool in tools or ()]}
    if kind in ("function", "custom") and isinstance(choice.get(kind), dict):
        return {"type": kind, "name": choice[kind].get("name")}
    return choice
