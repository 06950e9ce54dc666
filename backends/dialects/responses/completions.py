"""A whole Response -> a chat completion.

Source: OpenAI API reference, "The response object" and "The chat completion object".
"""

from typing import Any, Final

import msgspec
from msgspec import Struct

from backends.dialects.base import DialectError
from backends.dialects.reading import UNREADABLE, Fields

BETWEEN_THOUGHTS: Final = "\n\n"

_REASONS: Final = {"max_output_tokens": "length", "content_filter": "content_filter"}


class Part(Struct):
    """A part of a message, of thoughts or of their summary."""

    type: str = ""
    text: str | None = None
    refusal: str | None = None
    annotations: list[Fields] | None = None
    logprobs: list[Fields] | None = None


class OutputItem(Struct):
    """One item of an output, of any kind."""

    type: str = ""
    id: str | None = None
    content: list[Part] | None = None
    summary: list[Part] | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    input: str | None = None

    @property
    def is_call(self) -> bool:
        """Tell whether it calls a tool that the caller runs."""
        return self.type in ("function_call", "custom_tool_call")

    @property
    def given(self) -> str:
        """Return what a call gives to its tool."""
        return (self.input if self.type == "custom_tool_call" else self.arguments) or ""

    def call(self, given: str) -> Fields:
        """Return the call as a chat completion has it."""
        kind, name = ("custom", "input") if self.type == "custom_tool_call" else ("function", "arguments")
        return {"id": self.call_id or self.id or "", "type": kind, kind: {"name": self.name or "", name: given}}


class _Details(Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None


class _Usage(Struct):
    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int | None = None
    input_tokens_details: _Details | None = None
    output_tokens_details: _Details | None = None


class _Incomplete(Struct):
    reason: str | None = None


class _Error(Struct):
    message: str | None = None
    code: Any = None


class Told(Struct):
    """A Response, as far as a chat completion can tell of it."""

    id: str = ""
    created_at: float = 0.0
    model: str = ""
    status: str | None = None
    output: list[OutputItem] | None = None
    usage: _Usage | None = None
    incomplete_details: _Incomplete | None = None
    error: _Error | None = None
    service_tier: str | None = None

    @property
    def finish_reason(self) -> str:
        """Return why the answer ends."""
        if self.status == "incomplete":
            return _REASONS.get((self.incomplete_details or _Incomplete()).reason or "", "length")
        return "tool_calls" if any(item.is_call for item in self.output or ()) else "stop"

    @property
    def chat_usage(self) -> Fields | None:
        """Return what it took."""
        used = self.usage
        if used is None:
            return None
        within = used.input_tokens_details or _Details()
        told = {"cached_tokens": within.cached_tokens, "cache_write_tokens": within.cache_write_tokens or None}
        details = {name: tokens for name, tokens in told.items() if tokens is not None}
        thought = None if used.output_tokens_details is None else used.output_tokens_details.reasoning_tokens
        return {
            "prompt_tokens": used.input_tokens,
            "completion_tokens": used.output_tokens,
            "total_tokens": used.input_tokens + used.output_tokens if used.total_tokens is None else used.total_tokens,
            **({"prompt_tokens_details": details} if details else {}),
            **({} if thought is None else {"completion_tokens_details": {"reasoning_tokens": thought}}),
        }


_read: Final = msgspec.json.Decoder(Told).decode


def completion_of(body: bytes) -> Fields:
    """Return the chat completion.

    Raises:
        DialectError: it is no Response, or one without an answer.
    """
    try:
        told = _read(body)
    except UNREADABLE as error:
        raise DialectError(f"it is no Response: {error}") from error
    if told.status not in ("completed", "incomplete") or told.output is None:
        why = "" if told.error is None else f": {told.error.message}"
        raise DialectError(f"it is a Response that is {told.status}{why}")
    message, odds = _message(told.output)
    found: Fields = {
        "id": told.id,
        "object": "chat.completion",
        "created": int(told.created_at),
        "model": told.model,
        "choices": [{"index": 0, "message": message, "logprobs": odds, "finish_reason": told.finish_reason}],
    }
    if told.usage is not None:
        found["usage"] = told.chat_usage
    if told.service_tier is not None:
        found["service_tier"] = told.service_tier
    return found


def _message(output: list[OutputItem]) -> tuple[Fields, Fields | None]:
    """Return the message, and the log-probabilities of its tokens."""
    parts = [part for item in output if item.type == "message" for part in item.content or ()]
    words = [part.text for part in parts if part.text]
    refusals = [part.refusal for part in parts if part.refusal]
    message: Fields = {
        "role": "assistant",
        "content": "".join(words) if words else None,
        "refusal": "".join(refusals) if refusals else None,
    }
    thoughts = BETWEEN_THOUGHTS.join([text for item in output if (text := _thoughts(item))])
    if thoughts:
        message["reasoning_content"] = thoughts
    annotations = [annotation_of(each) for part in parts for each in part.annotations or ()]
    if annotations:
        message["annotations"] = annotations
    calls = [item.call(item.given) for item in output if item.is_call]
    if calls:
        message["tool_calls"] = calls
    odds = [each for part in parts for each in part.logprobs or ()]
    return message, {"content": odds, "refusal": None} if odds else None


def _thoughts(item: OutputItem) -> str:
    """Return the thoughts as they were, or else their summary."""
    if item.type != "reasoning":
        return ""
    thoughts = "".join([part.text for part in item.content or () if part.text])
    return thoughts or BETWEEN_THOUGHTS.join([part.text for part in item.summary or () if part.text])


def annotation_of(annotation: Fields) -> Fields:
    """Return an annotation as a chat completion has it: its fields within one that bears the name of its type."""
    kind = annotation.get("type")
    if not isinstance(kind, str):
        return annotation
    return {"type": kind, kind: {name: value for name, value in annotation.items() if name != "type"}}
