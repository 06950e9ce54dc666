"""Items of a conversation, as Responses list them -> the messages of a chat request.

What the model said in one turn stands there in several items, its thoughts, its words and each of its calls, and in
a chat in one message: items that follow each other are joined into it.
"""

from collections.abc import Iterable
from typing import Final

from backends.dialects.base import DialectError
from backends.dialects.reading import Fields, listed, needed, refuse_kind, text
from backends.dialects.responses.compacting import compacted, messages_of
from backends.dialects.responses.parts import TEXTS, to_chat_content

_ROLES: Final = ("user", "system", "developer", "assistant")


def to_chat_messages(items: Iterable[Fields], params: Iterable[str]) -> list[Fields]:
    """Return the messages.

    Args:
        params: the path of each item, for what is wrong with it.

    Raises:
        DialectError: an item is none, or is of a kind that nobody here can answer to.
    """
    found = _Messages()
    for item, param in zip(items, params, strict=True):
        found.add(item, param)
    return found.messages


class _Messages:
    """The messages until now.

    Attributes:
        messages: whole ones, and the model's turn that may go on.
    """

    def __init__(self) -> None:
        self.messages: list[Fields] = []
        self._turn: Fields | None = None  # the model's, while it goes on
        self._thoughts = ""  # of the turn that follows

    def add(self, item: Fields, param: str) -> None:
        """Add one item."""
        match item.get("type") or "message":
            case "message":
                self._add_message(item, param)
            case "reasoning":
                self._thoughts += _thoughts(item, param)
            case "function_call":
                self._add_call(item, param, "function", "arguments")
            case "custom_tool_call":
                self._add_call(item, param, "custom", "input")
            case "function_call_output" | "custom_tool_call_output":
                self._add_output(item, param)
            case "compaction":
                self._end_turn()
                self.messages += messages_of(compacted(item, param))
            case other:
                name = other[:40] if isinstance(other, str) else "?"
                raise DialectError(
                    f"{param}.type is {name!a}, which nobody here can read: leave the item out",
                    code="unsupported",
                    param=f"{param}.type",
                )

    def _add_message(self, item: Fields, param: str) -> None:
        role = needed(item, "role", param)
        if role not in _ROLES:
            raise DialectError(f"{param}.role must be one of {', '.join(_ROLES)}", param=f"{param}.role")
        content = needed(item, "content", param)
        if role == "assistant":
            said = _said(content, f"{param}.content")
            turn = self._turn
            if turn is None or "content" in turn or "refusal" in turn:
                turn = self._begin_turn()
            turn |= said
            return
        self._end_turn()
        message = {"role": role, "content": to_chat_content(content, f"{param}.content")}
        if item.get("name") is not None:
            message["name"] = item["name"]
        self.messages.append(message)

    def _add_call(self, item: Fields, param: str, kind: str, given: str) -> None:
        name = text(needed(item, "name", param), f"{param}.name")
        call = {
            "id": text(needed(item, "call_id", param), f"{param}.call_id"),
            "type": kind,
            kind: {"name": name, given: text(needed(item, given, param), f"{param}.{given}")},
        }
        turn = self._turn or self._begin_turn()
        turn.setdefault("tool_calls", []).append(call)

    def _add_output(self, item: Fields, param: str) -> None:
        self._end_turn()
        output = needed(item, "output", param)
        call_id = text(needed(item, "call_id", param), f"{param}.call_id")
        content = to_chat_content(output, f"{param}.output")
        self.messages.append({"role": "tool", "tool_call_id": call_id, "content": content})

    def _begin_turn(self) -> Fields:
        self._turn = turn = {"role": "assistant"}
        if self._thoughts:
            turn["reasoning_content"] = self._thoughts
            self._thoughts = ""
        self.messages.append(turn)
        return turn

    def _end_turn(self) -> None:
        self._turn = None
        self._thoughts = ""  # of a turn without a word; no chat can say those


def _thoughts(item: Fields, param: str) -> str:
    """Return the readable thoughts: as they were, or else their summary."""
    for name in ("content", "summary"):
        parts = listed(item.get(name) or [], f"{param}.{name}")
        words = [part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str)]
        if words:
            return "\n".join(words)
    return ""


def _said(content: object, param: str) -> Fields:
    """Return what the model said as fields of its chat message."""
    if isinstance(content, str):
        return {"content": content}
    said: Fields = {}
    for at, part in enumerate(listed(content, param)):
        where = f"{param}[{at}]"
        if not isinstance(part, dict):
            refuse_kind(part, dict, where)
        kind = needed(part, "type", where)
        name, given = ("refusal", "refusal") if kind == "refusal" else ("content", "text")
        if kind != "refusal" and kind not in TEXTS:
            raise DialectError(
                f"{where}.type must be output_text or refusal", code="unsupported", param=f"{where}.type"
            )
        said[name] = said.get(name, "") + text(needed(part, given, where), f"{where}.{given}")
    return said or {"content": ""}
