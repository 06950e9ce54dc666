"""The body of a chat -> the same, with a history that a certain model takes.

What need not be read stays raw JSON, so that long texts are copied and never spelt anew. A body of a shape that we do
not know passes as it came: its backend says what is wrong with it.
"""

from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from backends.history.options import HistoryOptions
from backends.history.roles import alternating
from backends.history.tool_ids import nine_characters, way_back

Message = dict[str, Raw]

_REASONING: Final = ("reasoning_content", "reasoning", "reasoning_details", "thinking_blocks", "thinking")
_THOUGHTS: Final = ("thinking", "reasoning")
_SYSTEM: Final = Raw(b'"system"')
_DEVELOPER: Final = "developer"
_EMPTY: Final = Raw(b'""')
_LIST: Final = b"["
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_read_fields: Final = msgspec.json.Decoder(dict[str, Raw]).decode
_read_messages: Final = msgspec.json.Decoder(list[Message]).decode
_read_parts: Final = msgspec.json.Decoder(list[dict[str, Any]]).decode
_read_calls: Final = msgspec.json.Decoder(list[dict[str, Raw]] | None).decode
_read_text: Final = msgspec.json.Decoder(str).decode
_encode: Final = msgspec.json.encode


class Rewritten(Struct, frozen=True):
    """A body, and how its ids are to be put back into its reply.

    Attributes:
        ids: the caller's, by those that stand in the body.
    """

    body: bytes
    ids: dict[bytes, str]


def rewritten(body: bytes, options: HistoryOptions, *, key: str) -> Rewritten:
    """Return the body for a model that takes what the options say.

    Args:
        key: whose conversation it is.
    """
    try:
        fields = _read_fields(body)
        messages = _read_messages(fields["messages"])
        ids: dict[bytes, str] = {}
        if options.developer == "system":
            for message in messages:
                _rename_developer(message)
        if options.reasoning == "drop":
            for message in messages:
                _drop_reasoning(message)
        if options.tool_ids == "mistral":
            ids = _rewrite_ids(messages, key)
        if options.roles == "alternate":
            messages = alternating(messages)
    except (*_UNREADABLE, KeyError):
        return Rewritten(body, {})
    return Rewritten(_encode({**fields, "messages": messages}), ids)


def _rename_developer(message: Message) -> None:
    if _role(message) == _DEVELOPER:
        message["role"] = _SYSTEM


def _drop_reasoning(message: Message) -> None:
    if _role(message) != "assistant":
        return
    for name in _REASONING:
        message.pop(name, None)
    content = message.get("content")
    if content is None or not bytes(content).startswith(_LIST):
        return
    parts = _read_parts(content)
    said = [part for part in parts if part.get("type") not in _THOUGHTS]
    if len(said) < len(parts):
        message["content"] = Raw(_encode(said)) if said else _EMPTY


def _rewrite_ids(messages: list[Message], key: str) -> dict[bytes, str]:
    calls = {
        at: _read_calls(message["tool_calls"]) or [] for at, message in enumerate(messages) if "tool_calls" in message
    }
    answered = {
        at: _read_text(message["tool_call_id"]) for at, message in enumerate(messages) if "tool_call_id" in message
    }
    asked = [_read_text(call["id"]) for each in calls.values() for call in each if "id" in call]
    short = nine_characters([*asked, *answered.values()], key=key)
    for at, each in calls.items():
        for call in each:
            if "id" in call:
                call["id"] = Raw(_encode(short[_read_text(call["id"])]))
        messages[at]["tool_calls"] = Raw(_encode(each))
    for at, name in answered.items():
        messages[at]["tool_call_id"] = Raw(_encode(short[name]))
    return way_back(short)


def _role(message: Message) -> str:
    return _read_text(message["role"])
