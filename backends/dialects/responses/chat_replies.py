"""A chat completion, or a chunk of one -> what a `ResponseWriter` takes.

Source: OpenAI API reference, "The chat completion object" and "Chat completion chunk".
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from backends.dialects.base import DialectError
from backends.dialects.reading import UNREADABLE, Fields
from backends.dialects.responses.writing import ResponseWriter

NOTHING: Final = Raw(b"null")


class _Given(Struct):
    name: str | None = None
    arguments: str | None = None
    input: str | None = None


class _Call(Struct):
    index: int | None = None
    id: str | None = None
    type: str | None = None
    function: _Given | None = None
    custom: _Given | None = None


class _Part(Struct):
    text: str | None = None


class Said(Struct):
    """A message, or a piece of one."""

    content: str | list[_Part] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: Any = None
    annotations: list[Fields] | None = None
    tool_calls: list[_Call] | None = None
    function_call: _Given | None = None


class _Odd(Struct):
    token: str = ""
    logprob: float = 0.0
    bytes: list[int] | None = None
    top_logprobs: "list[_Odd] | None" = None


class Odds(Struct):
    """Log-probabilities of tokens."""

    content: list[_Odd] | None = None


class Choice(Struct):
    """One answer, or a piece of it."""

    index: int = 0
    delta: Said | None = None
    message: Said | None = None
    logprobs: Odds | None = None
    finish_reason: str | None = None


class _InputDetails(Struct):
    cached_tokens: int | None = None
    cache_creation_tokens: int | None = None
    cache_write_tokens: int | None = None


class _OutputDetails(Struct):
    reasoning_tokens: int | None = None


class Usage(Struct):
    """What it took, in tokens."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None


class Chat(Struct):
    """A chat completion, or a chunk of one."""

    created: int | float | None = None
    model: str | None = None
    choices: list[Choice] | None = None
    usage: Usage | None = None
    error: Raw = NOTHING


_decode: Final = msgspec.json.Decoder(Chat).decode


def read_chat(body: bytes) -> Chat:
    """Return what the bytes spell.

    Raises:
        DialectError: they spell neither.
    """
    try:
        return _decode(body)
    except UNREADABLE as error:
        raise DialectError(f"it is no chat completion: {error}") from error


def write(writer: ResponseWriter, said: Said, odds: Odds | None) -> None:
    """Write what was said: thoughts, words or a refusal, calls."""
    thoughts = said.reasoning_content or said.reasoning
    if thoughts and isinstance(thoughts, str):
        writer.think(thoughts)
    words = said.content or ""
    text = words if isinstance(words, str) else "".join([part.text for part in words if part.text])
    told = odds.content if odds is not None and odds.content is not None else ()
    if text or told:
        writer.say(text, _odds(told))
    if said.refusal:
        writer.refuse(said.refusal)
    for annotation in said.annotations or ():
        writer.note(_annotation(annotation))
    if said.function_call is not None:
        _write_call(writer, 0, _Call(function=said.function_call))
    for at, call in enumerate(said.tool_calls or ()):
        _write_call(writer, at if call.index is None else call.index, call)


def _write_call(writer: ResponseWriter, index: int, call: _Call) -> None:
    is_custom = call.custom is not None
    given = call.custom or call.function or _Given()
    writer.call(
        index,
        call_id=call.id or "",
        name=given.name or "",
        given=(given.input if is_custom else given.arguments) or "",
        custom=is_custom,
    )


def _odds(told: Sequence[_Odd]) -> list[Fields]:
    """Return log-probabilities as a Response tells them, where bytes are never left out."""
    return [{**_odd(each), "top_logprobs": [_odd(other) for other in each.top_logprobs or ()]} for each in told]


def _odd(told: _Odd) -> Fields:
    spelt = told.bytes if told.bytes is not None else list(told.token.encode())
    return {"token": told.token, "bytes": spelt, "logprob": told.logprob}


def _annotation(annotation: Fields) -> Fields:
    """Return a chat's annotation, whose fields stand within one that bears the name of its type."""
    kind = annotation.get("type")
    within = annotation.get(kind) if isinstance(kind, str) else None
    return {"type": kind, **within} if isinstance(within, dict) else annotation


def usage_of(usage: Usage) -> Fields:
    """Return what it took as a Response tells it."""
    within = usage.prompt_tokens_details or _InputDetails()
    written = within.cache_write_tokens or within.cache_creation_tokens or 0
    thought = None if usage.completion_tokens_details is None else usage.completion_tokens_details.reasoning_tokens
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": within.cached_tokens or 0, "cache_write_tokens": written},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": thought or 0},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }
