"""A body's messages -> the same with an arm's text around the system prompt.

What the classifier sees stays the caller's prompt: how hard a question is must not depend on the arm.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw

from router.experiments.definition import Prompt

Rewrite = Callable[[Mapping[str, Raw]], Mapping[str, Raw]]

_MESSAGES: Final = "messages"
_read: Final = msgspec.json.Decoder(list[Raw]).decode
_read_message: Final = msgspec.json.Decoder(dict[str, Any]).decode


def rewriting(prompt: Prompt | None) -> Rewrite | None:
    """Return what changes a request's fields; None where nothing is added."""
    if prompt is None or not (prompt.prefix or prompt.suffix):
        return None
    prefix, suffix = prompt.prefix, prompt.suffix

    def rewrite(fields: Mapping[str, Raw]) -> Mapping[str, Raw]:
        messages = fields.get(_MESSAGES)
        if messages is None:
            return fields
        every = _read(messages)
        first = _read_message(every[0]) if every else {}
        if first.get("role") in ("system", "developer"):
            first["content"] = _around(first.get("content"), prefix, suffix)
            every[0] = Raw(msgspec.json.encode(first))
        else:
            said = "\n\n".join(part for part in (prefix, suffix) if part)
            every.insert(0, Raw(msgspec.json.encode({"role": "system", "content": said})))
        return {**fields, _MESSAGES: Raw(msgspec.json.encode(every))}

    return rewrite


def _around(content: object, prefix: str, suffix: str) -> object:
    if isinstance(content, list):
        before = [{"type": "text", "text": prefix}] if prefix else []
        behind = [{"type": "text", "text": suffix}] if suffix else []
        return [*before, *content, *behind]
    return "\n\n".join(part for part in (prefix, content, suffix) if isinstance(part, str) and part)
