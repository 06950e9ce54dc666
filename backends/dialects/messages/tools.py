"""Tools and the choice among them, from either dialect to the other.

Tools that one company's servers run, or whose words a model must have learnt, are refused: nobody here has them.

Source: Anthropic API reference, "Messages"; OpenAI API reference, "Chat completions".
"""

from typing import Final

from backends.dialects.base import DialectError
from backends.dialects.reading import Fields, an_object, needed, objects, text

_NO_ARGUMENTS: Final = {"type": "object", "properties": {}}
_CHOICES: Final = {"auto": "auto", "any": "required", "none": "none"}
_CHOICES_BACK: Final = {spoken: said for said, spoken in _CHOICES.items()}


def to_functions(tools: object) -> list[Fields]:
    """Return the functions of a chat for the tools of a Messages request.

    Raises:
        DialectError: a tool is not one that the caller runs.
    """
    return [_function(tool, param) for tool, param in objects(tools, "tools")]


def _function(tool: Fields, param: str) -> Fields:
    kind = tool.get("type")
    if kind not in (None, "custom"):
        shown = kind[:80] if isinstance(kind, str) else type(kind).__name__
        raise DialectError(
            f"{param} is the tool {shown!a}, which no backend here has: describe it with name and input_schema",
            code="unsupported_tool",
            param=f"{param}.type",
        )
    function: Fields = {"name": text(needed(tool, "name", param), f"{param}.name")}
    if tool.get("description") is not None:
        function["description"] = text(tool["description"], f"{param}.description")
    function["parameters"] = an_object(needed(tool, "input_schema", param), f"{param}.input_schema")
    if tool.get("strict") is not None:
        function["strict"] = tool["strict"]
    return {"type": "function", "function": function}


def to_tool_choice(choice: object) -> Fields:
    """Return the fields of a chat for a `tool_choice`."""
    chosen = an_object(choice, "tool_choice")
    kind = text(needed(chosen, "type", "tool_choice"), "tool_choice.type")
    if kind == "tool":
        name = text(needed(chosen, "name", "tool_choice"), "tool_choice.name")
        found: Fields = {"tool_choice": {"type": "function", "function": {"name": name}}}
    elif kind in _CHOICES:
        found = {"tool_choice": _CHOICES[kind]}
    else:
        raise _unknown(kind, (*_CHOICES, "tool"))
    return {**found, "parallel_tool_calls": False} if chosen.get("disable_parallel_tool_use") is True else found


def to_tools(functions: object) -> list[Fields]:
    """Return the tools of a Messages request for the `tools` of a chat."""
    return [_tool(function, param) for function, param in objects(functions, "tools")]


def _tool(declared: Fields, param: str) -> Fields:
    if declared.get("type") != "function":
        raise DialectError(
            f"{param} is no function, which is the one kind of tool that this backend takes",
            code="unsupported_tool",
            param=f"{param}.type",
        )
    param = f"{param}.function"
    function = an_object(declared.get("function"), param)
    tool: Fields = {"name": text(needed(function, "name", param), f"{param}.name")}
    for name in ("description", "strict"):
        if function.get(name) is not None:
            tool[name] = function[name]
    schema = function.get("parameters") or _NO_ARGUMENTS
    tool["input_schema"] = {"type": "object", **an_object(schema, f"{param}.parameters")}
    return tool


def from_tool_choice(choice: object, *, in_parallel: bool, has_tools: bool) -> Fields | None:
    """Return a `tool_choice` of Messages; None where nothing needs to be said.

    Args:
        choice: of the chat, or None.
        in_parallel: several calls may come at once.
    """
    if not has_tools or (choice is None and in_parallel):
        return None
    one_by_one = {} if in_parallel else {"disable_parallel_tool_use": True}
    if isinstance(choice, dict):
        if choice.get("type") != "function":
            raise _unknown(choice.get("type"), (*_CHOICES_BACK, "function"))
        function = an_object(choice.get("function"), "tool_choice.function")
        name = text(needed(function, "name", "tool_choice.function"), "tool_choice.function.name")
        return {"type": "tool", "name": name, **one_by_one}
    kind = _CHOICES_BACK.get("auto" if choice is None else text(choice, "tool_choice"))
    if kind is None:
        raise _unknown(choice, (*_CHOICES_BACK, "function"))
    return {"type": "none"} if kind == "none" else {"type": kind, **one_by_one}


def _unknown(kind: object, known: tuple[str, ...]) -> DialectError:
    shown = kind[:80] if isinstance(kind, str) else type(kind).__name__
    return DialectError(f"tool_choice is {shown!a}: use one of {', '.join(known)}", param="tool_choice")
