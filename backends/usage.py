"""What an answer says that it took -> disjoint buckets of tokens.

Providers count alike in name alone: cached tokens stand within those of the prompt, or beside them; reasoning within
the completion, or beside it. Here each token is put into one bucket. What cannot be put so is a contradiction: nothing
is bent until it fits, since the sum would then be wrong in silence.

Source: OpenAI API reference, "Chat completion object" and "The response object"; DeepSeek API docs, "Context caching";
Kimi API docs, "Chat completion"; xAI docs, "Consumption"; Anthropic API reference, "Messages"; Gemini API reference,
"UsageMetadata".
"""

from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Struct, UnsetType

from backends.base import Usage

NOTHING: Final = msgspec.Raw(b"null")
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What the decoder raises for damaged JSON, for text that is not UTF-8, and for very deep nesting."""

STRANGE_TIER: Final = "?"
"""A service tier that is no word; no price is known for it."""

_LONGEST_TIER: Final = 40  # characters
_GEMINI: Final = b"gemini"

_Tokens = Annotated[int, msgspec.Meta(ge=0, le=10**9)]
_Told = _Tokens | None


class Contradiction(Exception):
    """The figures cannot be true together."""


class _Kept(Struct):
    ephemeral_5m_input_tokens: _Told = None
    ephemeral_1h_input_tokens: _Told = None


class _InputDetails(Struct):
    cached_tokens: _Told = None
    cache_creation_tokens: _Told = None
    cache_write_tokens: _Told = None
    cache_creation_token_details: _Kept | None = None
    audio_tokens: _Told = None
    image_tokens: _Told = None


class _OutputDetails(Struct):
    reasoning_tokens: _Told = None
    thinking_tokens: _Told = None
    audio_tokens: _Told = None
    image_tokens: _Told = None


class _Chat(Struct):
    prompt_tokens: _Told = None
    completion_tokens: _Told = None
    total_tokens: _Told = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None
    cached_tokens: _Told = None
    prompt_cache_hit_tokens: _Told = None
    prompt_cache_miss_tokens: _Told = None


class _Modality(Struct):
    modality: str = ""
    token_count: _Tokens = msgspec.field(name="tokenCount", default=0)


class _Native(Struct, rename="camel"):
    """The names of providers' own APIs: Messages and Responses first, then Gemini's."""

    input_tokens: _Told = msgspec.field(name="input_tokens", default=None)
    output_tokens: _Told = msgspec.field(name="output_tokens", default=None)
    total_tokens: _Told = msgspec.field(name="total_tokens", default=None)
    cache_read_input_tokens: _Told = msgspec.field(name="cache_read_input_tokens", default=None)
    cache_creation_input_tokens: _Told = msgspec.field(name="cache_creation_input_tokens", default=None)
    cache_creation: _Kept | None = msgspec.field(name="cache_creation", default=None)
    input_tokens_details: _InputDetails | UnsetType | None = msgspec.field(name="input_tokens_details", default=UNSET)
    output_tokens_details: _OutputDetails | None = msgspec.field(name="output_tokens_details", default=None)
    prompt_token_count: _Told = None
    cached_content_token_count: _Told = None
    candidates_token_count: _Told = None
    thoughts_token_count: _Told = None
    tool_use_prompt_token_count: _Told = None
    total_token_count: _Told = None
    prompt_tokens_details: list[_Modality] | None = None
    cache_tokens_details: list[_Modality] | None = None
    candidates_tokens_details: list[_Modality] | None = None


_NO_INPUT_DETAILS: Final = _InputDetails()
_NO_OUTPUT_DETAILS: Final = _OutputDetails()
_read_chat: Final = msgspec.json.Decoder(_Chat).decode
_read_native: Final = msgspec.json.Decoder(_Native).decode
_read_word: Final = msgspec.json.Decoder(str).decode


def read_usage(raw: msgspec.Raw, *, model: msgspec.Raw = NOTHING, service_tier: str = "") -> Usage | None:
    """Return the tokens by bucket; None where nothing is told, or nothing but zeros, as by those who do not count.

    Args:
        raw: the answer's `usage`.
        model: that the answer names; some models' thoughts are told by the total alone.
        service_tier: as `tier_of` gives it.

    Raises:
        Contradiction: the figures cannot be true together, or are none.
    """
    if raw == NOTHING:
        return None
    try:
        told = _read_chat(raw)
    except UNREADABLE as error:
        raise Contradiction("it is no usage") from error
    if told.prompt_tokens is None:
        return _native(raw, service_tier)
    return _of_chat(told, told.prompt_tokens, model, service_tier)


def tier_of(raw: msgspec.Raw) -> str:
    """Return an answer's service tier in lower case; "" where it tells none."""
    if raw == NOTHING:
        return ""
    try:
        word = _read_word(raw).strip().lower()
    except UNREADABLE:
        return STRANGE_TIER
    return word if len(word) <= _LONGEST_TIER and word.isprintable() else STRANGE_TIER


def _of_chat(told: _Chat, prompt: int, model: msgspec.Raw, service_tier: str) -> Usage | None:
    completion = told.completion_tokens or 0
    if not prompt and not completion and not told.total_tokens:
        return None
    within, out = told.prompt_tokens_details, told.completion_tokens_details or _NO_OUTPUT_DETAILS
    reasoning, total = out.reasoning_tokens or 0, told.total_tokens
    if total is not None and total != prompt + completion:
        reasoning = _beside(total - prompt - completion, reasoning, model)
        completion += reasoning
    cached = None if within is None else within.cached_tokens
    if told.cached_tokens is not None:
        cached = _agreed(cached, told.cached_tokens)
    if told.prompt_cache_hit_tokens is not None:
        cached = _agreed(cached, told.prompt_cache_hit_tokens)
        _agreed(told.prompt_cache_miss_tokens, prompt - cached)
    return _buckets(prompt, completion, within or _NO_INPUT_DETAILS, out, cached, reasoning, service_tier)


def _buckets(
    prompt: int,
    completion: int,
    within: _InputDetails,
    out: _OutputDetails,
    cached: int | None,
    reasoning: int,
    service_tier: str,
) -> Usage:
    """Return what is left when each part has been taken out of the whole."""
    if within is _NO_INPUT_DETAILS and out is _NO_OUTPUT_DETAILS and not cached and not reasoning:
        return Usage(prompt, cached, completion, service_tier=service_tier)
    short, long = _written(within)
    audio, pictures = within.audio_tokens or 0, within.image_tokens or 0
    if cached:
        pictures = 0  # the prefix holds some of them, and nobody tells how many: they count as the text beside them
    sound, drawn = out.audio_tokens or 0, out.image_tokens or 0
    fresh = prompt - (cached or 0) - short - long - audio - pictures
    text = completion - reasoning - sound - drawn
    if fresh < 0 or text < 0:
        raise Contradiction("the parts are more than the whole")
    return Usage(fresh, cached, text, short, long, audio, pictures, reasoning, sound, drawn, service_tier)


def _written(within: _InputDetails) -> tuple[int, int]:
    """Return the tokens that were written into a cache, for minutes and for an hour."""
    whole, other, kept = within.cache_creation_tokens, within.cache_write_tokens, within.cache_creation_token_details
    if other is not None:
        whole = _agreed(whole, other)
    return (0, 0) if whole is None and kept is None else _split(whole, kept)


def _split(whole: int | None, kept: _Kept | None) -> tuple[int, int]:
    if kept is None or (kept.ephemeral_5m_input_tokens is None and kept.ephemeral_1h_input_tokens is None):
        return whole or 0, 0
    short, long = kept.ephemeral_5m_input_tokens or 0, kept.ephemeral_1h_input_tokens or 0
    _agreed(whole, short + long)
    return short, long


def _beside(excess: int, reasoning: int, model: msgspec.Raw) -> int:
    """Return the reasoning that stands beside a completion, by which a total is more than its parts."""
    if excess == reasoning:
        return reasoning
    if excess > 0 and not reasoning and _GEMINI in bytes(model):  # its compatible API tells no thoughts but so
        return excess
    raise Contradiction("the total is not the sum of its parts")


def _agreed(one: int | None, other: int) -> int:
    if one is not None and one != other:
        raise Contradiction("the same tokens are told twice, and differ")
    return other


def _native(raw: msgspec.Raw, service_tier: str) -> Usage | None:
    try:
        told = _read_native(raw)
    except UNREADABLE as error:
        raise Contradiction("it is no usage") from error
    if told.prompt_token_count is not None:
        return _of_gemini(told, told.prompt_token_count, service_tier)
    if told.input_tokens is None:
        return None
    if told.input_tokens_details is UNSET:
        return _of_message(told, told.input_tokens, service_tier)
    chat = _Chat(
        told.input_tokens,
        told.output_tokens,
        told.total_tokens,
        told.input_tokens_details,
        told.output_tokens_details,
    )
    return _of_chat(chat, told.input_tokens, NOTHING, service_tier)


def _of_message(told: _Native, fresh: int, service_tier: str) -> Usage | None:
    """Return a Message's: its buckets are disjoint, but for thoughts, which are within the output."""
    short, long = _split(told.cache_creation_input_tokens, told.cache_creation)
    cached, output = told.cache_read_input_tokens, told.output_tokens or 0
    thought = (told.output_tokens_details or _NO_OUTPUT_DETAILS).thinking_tokens or 0
    if not fresh and not output and not cached and not short and not long:
        return None
    if thought > output:
        raise Contradiction("the parts are more than the whole")
    return Usage(fresh, cached, output - thought, short, long, reasoning=thought, service_tier=service_tier)


def _of_gemini(told: _Native, prompt: int, service_tier: str) -> Usage | None:
    """Return Gemini's own: thoughts stand beside the candidates, what tools added beside the prompt."""
    said, thought = told.candidates_token_count or 0, told.thoughts_token_count or 0
    whole_prompt = prompt + (told.tool_use_prompt_token_count or 0)
    if not whole_prompt and not said and not thought:
        return None
    if told.total_token_count is not None:
        _agreed(told.total_token_count, whole_prompt + said + thought)
    cached = told.cached_content_token_count
    heard, seen = (_of(told.prompt_tokens_details, each) - _of(told.cache_tokens_details, each) for each in _SENSES)
    sound, drawn = (_of(told.candidates_tokens_details, each) for each in _SENSES)
    fresh, text = whole_prompt - (cached or 0) - heard - seen, said - sound - drawn
    if min(fresh, text, heard, seen) < 0:
        raise Contradiction("the parts are more than the whole")
    return Usage(
        fresh,
        cached,
        text,
        audio_input=heard,
        image_input=seen,
        reasoning=thought,
        audio_output=sound,
        image_output=drawn,
        service_tier=service_tier,
    )


_SENSES: Final = ("AUDIO", "IMAGE")


def _of(details: list[_Modality] | None, modality: str) -> int:
    return sum(each.token_count for each in details or () if each.modality == modality)
