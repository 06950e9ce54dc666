"""Items of a request, as they were sent -> as they are kept, and listed to whoever asks for them.

Each has an id, and a message its parts, whatever short form it came in.
"""

from collections.abc import Sequence
from typing import Final

from backends.dialects.reading import Fields

_PREFIXES: Final = {
    "message": "msg",
    "compaction": "cmp",
    "reasoning": "rs",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "cto",
}


def listed_items(items: Sequence[Fields], stem: str, *, keeps_ids: bool = True) -> list[Fields]:
    """Return the items as they are listed.

    Args:
        stem: makes ids that nobody else has.
        keeps_ids: an item that has an id keeps it; else each gets another one, as in a conversation, where none may
            stand twice.
    """
    given = items if keeps_ids else [{name: item[name] for name in item if name != "id"} for item in items]
    return [_listed(item, f"{stem}i{at:04x}") for at, item in enumerate(given)]


def _listed(item: Fields, stem: str) -> Fields:
    kind = item.get("type") or "message"
    identifier = item.get("id") or f"{_PREFIXES.get(kind, 'item')}_{stem}"
    found = {"status": "completed", **item, "id": identifier, "type": kind}
    if kind == "message" and isinstance(found.get("content"), str):
        found["content"] = [_text(found["content"], is_spoken=found.get("role") == "assistant")]
    if kind == "reasoning":
        found.setdefault("summary", [])
    return found


def _text(text: str, *, is_spoken: bool) -> Fields:
    return (
        {"type": "output_text", "text": text, "annotations": []} if is_spoken else {"type": "input_text", "text": text}
    )
