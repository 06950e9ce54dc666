"""Messages of a chat that are too many -> as many as are let in, the first of them told in one.

For who asks what was said, and not for who goes on with it: of a turn that is told, no call can be answered any more.
Nothing is left out but what a model thought.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from backends.dialects.reading import Fields

_TELLS: Final = "The conversation began so:\n\n"
_OF_ONE: Final = 8  # names that the message which tells the others has, and some to spare


class Room(Struct, frozen=True):
    """What a chat may have at most.

    Attributes:
        names: of fields, in the whole request.
    """

    messages: int
    names: int


def names_in(part: object) -> int:
    """Return how many names of fields a part of a request has."""
    if isinstance(part, dict):
        return len(part) + sum(map(names_in, part.values()))
    return sum(map(names_in, part)) if isinstance(part, (list, tuple)) else 0


def shortened(messages: Sequence[Fields], room: Room) -> Sequence[Fields]:
    """Return messages that say the same and find room; instructions stay in front, and the last ones as they are.

    Pictures cannot be told in words: where there are thousands of them, their names are too many all the same.
    """
    names = [names_in(each) for each in messages]
    if len(messages) <= room.messages and sum(names) <= room.names:
        return messages
    first = 1 if messages[0]["role"] == "system" else 0
    free, free_names = room.messages - first - 1, room.names - sum(names[:first]) - _OF_ONE
    at = len(messages)
    while at > first and free and names[at - 1] <= free_names:
        at -= 1
        free, free_names = free - 1, free_names - names[at]
    while at < len(messages) and messages[at]["role"] == "tool":
        at += 1  # its call is told
    return [*messages[:first], _told(messages[first:at]), *messages[at:]]


def _told(messages: Sequence[Fields]) -> Fields:
    """Return one message that tells the others: a text, and between its lines what else they hold."""
    parts, lines = list[Fields](), list[str]()
    for message in messages:
        content = message.get("content")
        given = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
        words = [each["text"] for each in given if each.get("type") == "text"]
        lines.append(f"{_who(message)}: " + "\n".join([*words, *_refused(message), *_called(message)]))
        others = [each for each in given if each.get("type") != "text"]
        if others:
            parts += [_text(lines), *others]
            lines = []
    if lines:
        parts.append(_text(lines))
    parts[0] = {**parts[0], "text": _TELLS + parts[0]["text"]}
    return {"role": "user", "content": parts if len(parts) > 1 else parts[0]["text"]}


def _text(lines: Sequence[str]) -> Fields:
    return {"type": "text", "text": "\n\n".join(lines)}


def _who(message: Fields) -> str:
    """Return who says it; a tool with the call that it answers, since of several the order need not tell."""
    return f"tool, to {message['tool_call_id']}" if message["role"] == "tool" else str(message["role"])


def _refused(message: Fields) -> Sequence[str]:
    return (message["refusal"],) if message.get("refusal") else ()


def _called(message: Fields) -> Sequence[str]:
    calls = [(each, each[each["type"]]) for each in message.get("tool_calls", ())]
    return [
        f"(calls {called['name']}, as {call['id']}, with {called.get('arguments', called.get('input'))})"
        for call, called in calls
    ]
