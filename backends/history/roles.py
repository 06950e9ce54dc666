"""Messages of a chat -> the same, in turns that alternate.

For models whose template takes a system prompt, and then user and assistant by turns. Contents stay raw JSON where
they are not joined.
"""

from typing import Any, Final

import msgspec
from msgspec import Raw

FIRST_WORDS: Final = "(the conversation begins)"
"""What the user says where a conversation begins with the assistant."""

_BETWEEN: Final = "\n\n"
_JOINED: Final = ("system", "user", "assistant")
_USER: Final = Raw(b'"user"')

_read_text: Final = msgspec.json.Decoder(str).decode
_read_content: Final = msgspec.json.Decoder(str | list[dict[str, Any]] | None).decode
_read_list: Final = msgspec.json.Decoder(list[Raw] | None).decode


def alternating(messages: list[dict[str, Raw]]) -> list[dict[str, Raw]]:
    """Return the messages with neighbours of one role joined; what is said by the system later on is the user's."""
    found: list[dict[str, Raw]] = []
    for message in messages:
        role = _read_text(message["role"])
        if role == "system" and found and _role(found[-1]) != "system":
            message, role = {**message, "role": _USER}, "user"  # noqa: PLW2901 (the same message from here on)
        if role == "assistant" and (not found or _role(found[-1]) == "system"):
            found.append({"role": _USER, "content": _raw(FIRST_WORDS)})
        if found and role in _JOINED and _role(found[-1]) == role:
            found[-1] = _joined(found[-1], message)
        else:
            found.append(message)
    return found


def _joined(one: dict[str, Raw], other: dict[str, Raw]) -> dict[str, Raw]:
    both = {**one, **other}
    contents = [_read_content(each["content"]) for each in (one, other) if "content" in each]
    said = [each for each in contents if each]
    both["content"] = _raw(_as_one(said) if said else "" if "" in contents else None)
    calls = [call for each in (one, other) for call in _read_list(each.get("tool_calls", Raw(b"null"))) or ()]
    if calls:
        both["tool_calls"] = _raw(calls)
    return both


def _as_one(said: list[str | list[dict[str, Any]]]) -> str | list[dict[str, Any]]:
    texts = [each for each in said if isinstance(each, str)]
    if len(texts) == len(said):
        return _BETWEEN.join(texts)
    return [part for each in said for part in ([{"type": "text", "text": each}] if isinstance(each, str) else each)]


def _role(message: dict[str, Raw]) -> str:
    return _read_text(message["role"])


def _raw(value: object) -> Raw:
    return Raw(msgspec.json.encode(value))
