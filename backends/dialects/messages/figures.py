"""Why a reply ended and what it took, from either dialect to the other.

Chat completions count cached tokens among those of the prompt; Messages keep the two apart.

Source: Anthropic API reference, "Messages"; OpenAI API reference, "Chat completions".
"""

from collections.abc import Mapping
from typing import Annotated, Final

from msgspec import Meta, Struct

_Tokens = Annotated[int, Meta(ge=0, le=10**9)]

_STOP_REASONS: Final = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
_FINISH_REASONS: Final = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


def stop_reason(finish_reason: str, *, calls_tools: bool, refuses: bool, sequence: str | None) -> str:
    """Return why a Message ended.

    Args:
        finish_reason: of the chat completion; a word that nobody knows counts as an end of its own accord.
        calls_tools: some servers finish with "stop" whatever they called.
        refuses: the reply is a refusal.
        sequence: the stop sequence that ended it; None where none did.
    """
    reason = _STOP_REASONS.get(finish_reason, "end_turn")
    if reason != "end_turn":
        return reason
    return "tool_use" if calls_tools else "refusal" if refuses else "stop_sequence" if sequence else reason


def finish_reason(stop_reason: str) -> str:
    """Return why a chat completion ended."""
    return _FINISH_REASONS.get(stop_reason, "stop")


_TIERS: Final = {"standard": "default"}
"""Messages' words for tiers of service that chat completions have another one for."""


class _Kept(Struct):
    ephemeral_5m_input_tokens: _Tokens | None = None
    ephemeral_1h_input_tokens: _Tokens | None = None


class _PromptDetails(Struct):
    cached_tokens: _Tokens | None = None
    cache_creation_tokens: _Tokens | None = None
    cache_creation_token_details: _Kept | None = None


class _CompletionDetails(Struct):
    reasoning_tokens: _Tokens | None = None


class ChatUsage(Struct):
    """What a chat completion took."""

    prompt_tokens: _Tokens = 0
    completion_tokens: _Tokens | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None


def message_usage(usage: ChatUsage | None) -> dict[str, object]:
    """Return a Message's usage: buckets that have no token in common."""
    told = usage or ChatUsage()
    details = told.prompt_tokens_details or _PromptDetails()
    read, written = details.cached_tokens or 0, details.cache_creation_tokens or 0
    found: dict[str, object] = {
        "input_tokens": max(told.prompt_tokens - read - written, 0),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "output_tokens": told.completion_tokens or 0,
    }
    thought = told.completion_tokens_details and told.completion_tokens_details.reasoning_tokens
    if details.cache_creation_token_details is not None:
        found["cache_creation"] = details.cache_creation_token_details
    return found if thought is None else {**found, "output_tokens_details": {"thinking_tokens": thought}}


class _OutputDetails(Struct):
    thinking_tokens: _Tokens | None = None


class MessageUsage(Struct):
    """What a Message took; of a stream, what one event says of it."""

    input_tokens: _Tokens | None = None
    cache_creation_input_tokens: _Tokens | None = None
    cache_read_input_tokens: _Tokens | None = None
    cache_creation: _Kept | None = None
    output_tokens: _Tokens | None = None
    output_tokens_details: _OutputDetails | None = None
    service_tier: str | None = None

    def updated(self, later: "MessageUsage") -> "MessageUsage":
        """Return it with what a later event says: its figures are totals, and what it leaves out stays."""
        names = self.__struct_fields__
        return MessageUsage(
            *(getattr(self, name) if getattr(later, name) is None else getattr(later, name) for name in names)
        )


def chat_figures(usage: MessageUsage | None) -> Mapping[str, object]:
    """Return a chat completion's `usage` and `service_tier`; neither where the Message told of no prompt."""
    if usage is None or usage.input_tokens is None:
        return {}
    read, written = usage.cache_read_input_tokens, usage.cache_creation_input_tokens or 0
    prompt, output = usage.input_tokens + (read or 0) + written, usage.output_tokens or 0
    found: dict[str, object] = {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": prompt + output,
    }
    if read is not None or written:
        details: dict[str, object] = {} if read is None else {"cached_tokens": read}
        details["cache_creation_tokens"] = written
        if usage.cache_creation is not None:
            details["cache_creation_token_details"] = usage.cache_creation
        found["prompt_tokens_details"] = details
    thought = usage.output_tokens_details and usage.output_tokens_details.thinking_tokens
    if thought is not None:
        found["completion_tokens_details"] = {"reasoning_tokens": thought}
    tier = usage.service_tier
    return {"usage": found} if tier is None else {"usage": found, "service_tier": _TIERS.get(tier, tier)}
