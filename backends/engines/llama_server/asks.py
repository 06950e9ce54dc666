"""What is asked -> the requests that llama.cpp's server is sent for it.

Fields go on as they came. What llama.cpp would drop without a word is refused here, as is what would touch another
caller's slot: found by sending each of them and looking whether the answer changes.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw

from backends.engines.base import CHAT, Ask, Refused

_OURS: Final = frozenset(
    {
        "id_slot",
        "cache_prompt",
        "lora",
        "n_cache_reuse",
        "n_cmpl",
        "n_predict",
        "n_keep",
        "n_discard",
        "response_fields",
        "return_progress",
        "sse_ping_interval",
        "verbose",
    }
)
"""Fields of llama.cpp's own that say which slot, whose prefix, or another form of answer."""

_DROPPED: Final[Mapping[str, tuple[object, ...]]] = {
    "allowed_token_ids": ([],),
    "audio": (),
    "bad_words": ([],),
    "early_stopping": (False,),
    "function_call": ("none", "auto"),
    "functions": ([],),
    "guided_choice": (),
    "guided_grammar": (),
    "guided_json": (),
    "guided_regex": (),
    "include_stop_str_in_output": (False,),
    "length_penalty": (1,),
    "logits_processors": ([],),
    "min_tokens": (0,),
    "modalities": (["text"],),
    "no_repeat_ngram_size": (0,),
    "num_beams": (1,),
    "prompt_logprobs": (0, False),
    "skip_special_tokens": (True,),
    "spaces_between_special_tokens": (True,),
    "stop_token_ids": ([],),
    "structured_outputs": (),
    "truncate_prompt_tokens": (),
    "use_beam_search": (False,),
    "web_search_options": (),
}
"""Fields that llama.cpp drops, each with the values that ask for nothing."""

_SEEDS: Final = 1 << 32
_read: Final = msgspec.json.decode


def bodies_of(ask: Ask, *, adapters: Mapping[str, int], has_tools: bool) -> list[dict[str, Any]]:
    """Return one request for each choice.

    llama.cpp counts the tokens of one choice only, so it is never asked for several at once. It is asked for streams
    alone; `wholes.py` says why.

    Args:
        adapters: the place of each by its name.
        has_tools: whether the model's chat template writes tools; llama.cpp drops them where it does not.

    Raises:
        Refused: it would not be honoured.
    """
    _check(ask, has_tools=has_tools)
    body: dict[str, Any] = {**ask.fields, "stream": True}
    if ask.wants_usage or not ask.stream:
        body["stream_options"] = {"include_usage": True}
    if ask.max_tokens is not None:
        body["max_tokens"] = ask.max_tokens
    if "repetition_penalty" in body:
        body.setdefault("repeat_penalty", body.pop("repetition_penalty"))
    if adapters:
        # Always all of them: without the list llama.cpp takes what its slot was last computed with for its own.
        body["lora"] = scales_of(ask.adapter, adapters)
    _ask_for_probabilities(body, ask)
    if ask.choices == 1:
        return [body]
    return [{**body, **_seed_of(ask, choice)} for choice in range(ask.choices)]


def wants_probabilities(ask: Ask) -> bool:
    """Tell whether tokens' probabilities are asked for."""
    told = _read(ask.fields.get("logprobs", b"false"))
    return told is not None and told is not False


def prompt_of(ask: Ask) -> bytes:
    """Return the bytes by which two prompts are compared for what they share."""
    return bytes(ask.fields.get("messages" if ask.path == CHAT else "prompt", b""))


def scales_of(adapter: str, adapters: Mapping[str, int]) -> list[dict[str, float]]:
    """Return how much of each adapter is added: all of the one that was asked for."""
    return [{"id": place, "scale": float(name == adapter)} for name, place in adapters.items()]


def _check(ask: Ask, *, has_tools: bool) -> None:
    for name, value in ask.fields.items():
        if name in _OURS or name.startswith("speculative."):
            raise Refused(f"{name} is chosen by the server: leave it out", param=name)
        if name in _DROPPED and _read(value) not in _DROPPED[name]:
            raise Refused(f"{name} is not honoured by this engine: leave it out", param=name)
    if isinstance(_read(ask.fields.get("tool_choice", b"null")), dict):
        raise Refused(
            "tool_choice of one function is not honoured: send that tool alone, and tool_choice 'required'",
            param="tool_choice",
        )
    if not has_tools and _asks_for_tools(ask.fields):
        raise Refused("tools are not honoured: this model's chat template has no place for them", param="tools")


def _asks_for_tools(fields: Mapping[str, Raw]) -> bool:
    return bool(_read(fields.get("tools", b"[]"))) and _read(fields.get("tool_choice", b'"auto"')) != "none"


def _ask_for_probabilities(body: dict[str, Any], ask: Ask) -> None:
    """Have at least one token told where probabilities are asked for: with none, llama.cpp tells nothing at all."""
    if not wants_probabilities(ask):
        return
    name = "top_logprobs" if ask.path == CHAT else "logprobs"
    if not _read(ask.fields.get(name, b"0")):
        body[name] = 1


def _seed_of(ask: Ask, choice: int) -> dict[str, int]:
    seed = _read(ask.fields.get("seed", b"null"))
    return {"seed": (seed + choice) % _SEEDS} if isinstance(seed, int) else {}
