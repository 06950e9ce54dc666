"""The messages of a chat request -> the items that a Responses request lists.

What the model thought in earlier turns is left out: a server of Responses takes back only thoughts that it has signed.
"""

from collections.abc import Sequence
from typing import Any, Final

from backends.dialects.base import DialectError
from backends.dialects.reading import Fields, an_object, needed, objects, text
from backends.dialects.responses.parts import from_chat_content

_HEARD: Final = ("user", "system", "developer")
_OLD_CALL: Final = "call_function_"  # for calls of the older kind, which have no id


def to_items(messages: object) -> list[Fields]:
    """Return the items.

    Raises:
        DialectError: a message is none.
    """
    found = _Items()
    for message, param in objects(messages, "messages"):
        found.add(message, param)
    return found.items


class _Items:
    """The items until now."""

    def __init__(self) -> None:
        self.items: list[Fields] = []
        self._custom: set[str] = set()  # ids of calls of custom tools
        self._old_calls = 0

    def add(self, message: Fields, param: str) -> None:
        """Add what one message said."""
        role = needed(message, "role", param)
        if role in _HEARD:
            content = from_chat_content(needed(message, "content", param), f"{param}.content")
            self.items.append({"type": "message", "role": role, "content": content})
        elif role == "assistant":
            self._add_turn(message, param)
        elif role == "tool":
            call_id = text(needed(message, "tool_call_id", param), f"{param}.tool_call_id")
            self._add_output(message, param, call_id)
        elif role == "function":
            self._add_output(message, param, f"{_OLD_CALL}{self._old_calls}")
        else:
            raise DialectError(f"{param}.role is none that is known", param=f"{param}.role")

    def _add_turn(self, message: Fields, param: str) -> None:
        parts = _spoken(message, param)
        if parts:
            self.items.append({"type": "message", "role": "assistant", "content": parts})
        for call, at in objects(message.get("tool_calls") or [], f"{param}.tool_calls"):
            self._add_call(call, at)
        if message.get("function_call") is not None:
            self._old_calls += 1
            call = {"id": f"{_OLD_CALL}{self._old_calls}", "function": message["function_call"]}
            self._add_call(call, f"{param}.function_call")

    def _add_call(self, call: Fields, param: str) -> None:
        call_id = text(needed(call, "id", param), f"{param}.id")
        is_custom = call.get("type") == "custom"
        kind, given = ("custom", "input") if is_custom else ("function", "arguments")
        called = an_object(needed(call, kind, param), f"{param}.{kind}")
        if is_custom:
            self._custom.add(call_id)
        self.items.append(
            {
                "type": "custom_tool_call" if is_custom else "function_call",
                "call_id": call_id,
                "name": text(needed(called, "name", param), f"{param}.{kind}.name"),
                given: text(called.get(given) or "", f"{param}.{kind}.{given}"),
            }
        )

    def _add_output(self, message: Fields, param: str, call_id: str) -> None:
        content: Any = message.get("content")
        output = from_chat_content("" if content is None else content, f"{param}.content")
        kind = "custom_tool_call_output" if call_id in self._custom else "function_call_output"
        self.items.append({"type": kind, "call_id": call_id, "output": output})


def _spoken(message: Fields, param: str) -> Sequence[Fields]:
    content: Any = message.get("content")
    said = from_chat_content("" if content is None else content, f"{param}.content", spoken=True)
    parts = [{"type": "output_text", "text": said}] if said and isinstance(said, str) else [*said]
    if message.get("refusal"):
        parts.append({"type": "refusal", "refusal": text(message["refusal"], f"{param}.refusal")})
    return parts
