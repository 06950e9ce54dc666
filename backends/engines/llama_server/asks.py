"""What is asked -> the requests that llama.cpp's server is sent for it.

Fields go on as they came. llama.cpp takes what it does not understand for nothing, and some of what it does understand
fills the memory or touches another caller's slot: so only fields that are known to be honoured reach it, with values
that are known to be read. Found by sending each of them and looking at what came back.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from backends.engines.base import CHAT, Ask, Refused
from backends.engines.fields import check_idle
from backends.engines.llama_server.grammars import check_format, check_grammar, check_tools

_Bias = Annotated[float, Meta(ge=-100, le=100)]
_HONOURED: Final[dict[str, Any]] = {
    "chat_template_kwargs": dict[str, Any],
    "frequency_penalty": float,
    "grammar": str,
    "ignore_eos": bool,
    "logit_bias": dict[str, _Bias] | list[tuple[int, _Bias]],
    "logprobs": bool | int,
    "messages": list[Any],
    "min_p": float,
    "presence_penalty": float,
    "prompt": str | list[int],
    "repeat_penalty": float,
    "repetition_penalty": float,
    "response_format": dict[str, Any],
    "seed": int,
    "stop": str | list[str],
    "temperature": float,
    "tool_choice": str | dict[str, Any],
    "tools": list[dict[str, Any]],
    "top_k": int,
    "top_logprobs": int,
    "top_p": float,
    "typical_p": Annotated[float, Meta(ge=0, le=1)],
}
"""Fields that llama.cpp reads, with what it can read; ranges that hold for every engine were checked before."""

_UNLOOKED: Final = frozenset({"messages"})  # large, and read where the request came in
_LONGEST_ID: Final = 9  # digits; a longer one is no token's
_SEEDS: Final = (1 << 32) - 1
"""Seeds that llama.cpp takes; it takes the one after them for none at all."""

_read: Final = msgspec.json.decode


def bodies_of(ask: Ask, *, adapters: Mapping[str, int], has_tools: bool, vocabulary: int) -> list[dict[str, Any]]:
    """Return one request for each choice.

    llama.cpp counts the tokens of one choice only, so it is never asked for several at once. It is asked for streams
    alone; `wholes.py` says why.

    Args:
        adapters: the place of each by its name.
        has_tools: whether the model's chat template writes tools; llama.cpp drops them where it does not.
        vocabulary: tokens of the model; llama.cpp takes what is beyond for another token, or for none.

    Raises:
        Refused: it would not be honoured.
    """
    _check(ask, _checked_fields(ask), has_tools=has_tools, vocabulary=vocabulary)
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


def _checked_fields(ask: Ask) -> dict[str, Any]:
    """Return the values of fields that are looked at.

    Raises:
        Refused: a field is not known, or its value is none that llama.cpp would read.
    """
    fields: dict[str, Any] = {}
    for name, value in ask.fields.items():
        if name not in _DECODERS:
            check_idle(name, value)
        elif name not in _UNLOOKED:
            try:
                fields[name] = _DECODERS[name](value)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                fact = str(error).partition(" - at `$")[0]
                raise Refused(f"{name} is wrong: {fact[:1].lower()}{fact[1:]}", param=name) from error
    return fields


def _check(ask: Ask, fields: Mapping[str, Any], *, has_tools: bool, vocabulary: int) -> None:
    prompt, bias = fields.get("prompt"), fields.get("logit_bias", {})
    if prompt == "":
        raise Refused("the prompt is empty: give it a text", param="prompt")
    if isinstance(prompt, list):
        _check_token(max(prompt, default=0), vocabulary, "prompt")
    for token in bias if isinstance(bias, dict) else (pair[0] for pair in bias):
        _check_token(token, vocabulary, "logit_bias")
    if "grammar" in fields:
        check_grammar(fields["grammar"], param="grammar")
    check_format(fields.get("response_format"), is_chat=ask.path == CHAT)
    _check_tools(fields, has_tools=has_tools)


def _check_token(token: int | str, vocabulary: int, param: str) -> None:
    digits = str(token)
    known = digits.isascii() and digits.isdigit() and len(digits) <= _LONGEST_ID and int(digits) < vocabulary
    if not known:
        raise Refused(f"{param} names the token {digits[:40]!a}, but tokens are 0 to {vocabulary - 1}", param=param)


def _check_tools(fields: Mapping[str, Any], *, has_tools: bool) -> None:
    tools, choice = fields.get("tools", []), fields.get("tool_choice", "auto")
    if isinstance(choice, dict):
        raise Refused(
            "tool_choice of one function is not honoured: send that tool alone, and tool_choice 'required'",
            param="tool_choice",
        )
    if not tools and choice == "required":
        raise Refused("tool_choice is 'required', but there are no tools: send some", param="tool_choice")
    if tools and choice != "none" and not has_tools:
        raise Refused("tools are not honoured: this model's chat template has no place for them", param="tools")
    check_tools(tools)


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


_DECODERS: Final = {name: msgspec.json.Decoder(kind).decode for name, kind in _HONOURED.items()}
