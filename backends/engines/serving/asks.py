"""Bytes of a body -> what is asked of the engine, or why it is refused.

Checked is what holds for every engine: names, types, ranges, and whether the answer can fit. What one kind of engine
alone cannot do it refuses itself, from the fields that travel on.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from backends.engines.base import CHAT, Ask, ContextExceeded, Engine, Refused, UnknownModel

MAX_CHOICES: Final = 16
"""Answers to one request, where the engine has places for so many."""

_Penalty = Annotated[float, Meta(ge=-2, le=2)]
_Repetition = Annotated[float, Meta(gt=0, le=10)]
_Share = Annotated[float, Meta(ge=0, le=1)]
_Tokens = Annotated[int, Meta(ge=1, le=1 << 31)]
_Stop = Annotated[str, Meta(min_length=1, max_length=1024)]
_Id = Annotated[int, Meta(ge=0)]
_Few = Annotated[int, Meta(ge=0, le=20)]
_NULL: Final = Raw(b"null")
_UNREADABLE: Final = (msgspec.DecodeError, RecursionError)
_TAKEN: Final = ("stream", "stream_options", "n", "max_tokens", "max_completion_tokens", "adapter", "cache_salt")
_NOT_DONE: Final = ("best_of", "echo", "suffix")
"""What the API knows and no engine here does; 1, false and an empty text ask for nothing."""


class _Part(Struct):
    type: str
    text: str | None = None


class _Message(Struct):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[_Part] | None = None


class _StreamOptions(Struct, forbid_unknown_fields=True):
    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class _Asked(Struct):
    """The fields that every engine reads alike."""

    model: str | None = None
    messages: Annotated[list[_Message], Meta(min_length=1)] | None = None
    prompt: str | Annotated[list[str | _Id | Annotated[list[_Id], Meta(min_length=1)]], Meta(min_length=1)] | None = (
        None
    )
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    n: int | None = None
    max_tokens: _Tokens | None = None
    max_completion_tokens: _Tokens | None = None
    temperature: Annotated[float, Meta(ge=0, le=100)] | None = None
    top_p: _Share | None = None
    min_p: _Share | None = None
    top_k: Annotated[int, Meta(ge=-1, le=1 << 31)] | None = None
    presence_penalty: _Penalty | None = None
    frequency_penalty: _Penalty | None = None
    repetition_penalty: _Repetition | None = None
    repeat_penalty: _Repetition | None = None
    stop: _Stop | Annotated[list[_Stop], Meta(max_length=16)] | None = None
    seed: Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)] | None = None
    logprobs: bool | _Few | None = None
    top_logprobs: _Few | None = None
    adapter: str | None = None
    cache_salt: Annotated[str, Meta(max_length=256)] | None = None
    best_of: int | None = None
    echo: bool | None = None
    suffix: str | None = None


_read_asked: Final = msgspec.json.Decoder(_Asked).decode
_read_fields: Final = msgspec.json.Decoder(dict[str, Raw]).decode
_read_messages: Final = msgspec.json.Decoder(list[_Message]).decode
_read_list: Final = msgspec.json.Decoder(list[Raw]).decode
_read_prompt: Final = msgspec.json.Decoder(str | list[int]).decode


@dataclass(frozen=True, slots=True)
class Offer:
    """What a server can be asked for.

    Attributes:
        name: the model's.
        adapters: names of its LoRA adapters; "NAME:ADAPTER" asks for one.
        places: answers that are computed at the same time.
    """

    name: str
    adapters: Collection[str]
    places: int

    def models(self) -> list[str]:
        """Return every name that a request may ask for."""
        return [self.name, *(f"{self.name}:{adapter}" for adapter in self.adapters)]


def read_ask(body: bytes, path: str, *, offer: Offer, request_id: str) -> Ask:
    """Return what is asked.

    Raises:
        Refused: it cannot be understood, or no engine does it; `param` says which field.
    """
    try:
        body.decode()
        asked, fields = _read_asked(body), _read_fields(body)
    except msgspec.ValidationError as error:
        raise _invalid(error) from error
    except UnicodeDecodeError as error:
        raise Refused(f"the body is not UTF-8: byte {error.start}", param=None) from error
    except _UNREADABLE as error:
        raise Refused(f"the body is not a JSON object: {error}", param=None) from error
    _check_prompt(asked, path)
    _check_probabilities(asked, path)
    choices = _choices(asked, offer.places)
    return Ask(
        path=path,
        fields=_alone(asked, {name: raw for name, raw in fields.items() if name not in _TAKEN and raw != _NULL}),
        stream=bool(asked.stream),
        wants_usage=bool(asked.stream_options and asked.stream_options.include_usage),
        choices=choices,
        max_tokens=asked.max_tokens if asked.max_completion_tokens is None else asked.max_completion_tokens,
        adapter=_adapter(asked, offer),
        salt=asked.cache_salt or "",
        request_id=request_id,
    )


async def fit(ask: Ask, engine: Engine, *, size: int) -> Ask:
    """Return the ask with an answer that the context has room for: what is longer is cut, as its end would be.

    Args:
        size: of the body, bytes. No token is shorter than a byte, so a small one need not be counted.

    Raises:
        ContextExceeded: the prompt leaves no room, or the answer alone is longer than the context.
    """
    context, wanted = engine.context, ask.max_tokens
    if wanted is not None and wanted > context:
        raise ContextExceeded(
            f"max_tokens is {wanted}, but prompt and answer have {context} tokens together: ask for fewer",
            param="max_tokens",
        )
    if size + (wanted or 1) <= context:
        return ask
    # Counting a text that cannot fit would hold up everybody else's for seconds.
    if size > context * engine.longest_token and (fewest := _fewest_tokens(ask, engine.longest_token)) >= context:
        raise _too_long(ask, f"{fewest} tokens or more", context)
    prompt = await engine.count(ask)
    room = context - prompt
    if room < 1:
        raise _too_long(ask, f"{prompt} tokens", context)
    return msgspec.structs.replace(ask, max_tokens=room) if wanted is not None and wanted > room else ask


def _prompt_of(path: str) -> str:
    return "messages" if path == CHAT else "prompt"


def _too_long(ask: Ask, size: str, context: int) -> ContextExceeded:
    return ContextExceeded(
        f"the prompt has {size}, but prompt and answer have {context} together: shorten it",
        param=_prompt_of(ask.path),
    )


def _fewest_tokens(ask: Ask, longest: int) -> int:
    """Return how many tokens the prompt surely has: a message is set off from the next by one at least."""
    if ask.path != CHAT:
        prompt = _read_prompt(ask.fields["prompt"])
        return len(prompt) if isinstance(prompt, list) else -(-len(prompt.encode()) // longest)
    messages = _read_messages(ask.fields["messages"])
    return len(messages) + sum(len(text.encode()) // longest for message in messages for text in _texts_of(message))


def _texts_of(message: _Message) -> list[str]:
    if isinstance(message.content, list):
        return [part.text or "" for part in message.content]
    return [message.content or ""]


def _check_prompt(asked: _Asked, path: str) -> None:
    param = _prompt_of(path)
    if getattr(asked, param) is None:
        raise Refused(f"the field {param} is missing", param=param)
    for message in asked.messages or ():
        if isinstance(message.content, list):
            kind = next((part.type for part in message.content if part.type != "text"), None)
            if kind is not None:
                raise Refused(f"a message holds {kind[:80]!a}, but this model reads text alone", param="messages")
            if any(part.text is None for part in message.content):
                raise Refused("a message holds a part without its text: give it one", param="messages")
    if asked.stream_options and asked.stream_options.include_obfuscation:
        raise Refused("include_obfuscation is not done here: leave it out", param="stream_options")
    for name in _NOT_DONE:
        value = getattr(asked, name)
        if value is True or value not in (None, False, "", 1):
            raise Refused(f"{name} is not done here: leave it out", param=name)


def _alone(asked: _Asked, fields: dict[str, Raw]) -> dict[str, Raw]:
    """Return the fields with a text or token ids for a prompt, where they stood alone in a list of prompts.

    Raises:
        Refused: there are several; each would be an answer of its own.
    """
    prompt = asked.prompt
    if not isinstance(prompt, list) or all(isinstance(part, int) for part in prompt):
        return fields
    if len(prompt) > 1:
        raise Refused(
            f"prompt holds {len(prompt)} prompts, but one request gets one here: send each alone", param="prompt"
        )
    return {**fields, "prompt": _read_list(fields["prompt"])[0]}


def _check_probabilities(asked: _Asked, path: str) -> None:
    told = asked.logprobs
    if path == CHAT:
        if told is not None and not isinstance(told, bool):
            raise Refused("logprobs is true or false here; top_logprobs says how many", param="logprobs")
        if asked.top_logprobs and not told:
            raise Refused("top_logprobs wants logprobs to be true", param="top_logprobs")
    elif isinstance(told, bool) and told:
        raise Refused("logprobs is a number here, 0 to 20", param="logprobs")


def _choices(asked: _Asked, places: int) -> int:
    choices, most = 1 if asked.n is None else asked.n, min(MAX_CHOICES, places)
    if not 1 <= choices <= most:
        raise Refused(f"n is {choices}, but one request gets 1 to {most} answers", param="n")
    return choices


def _adapter(asked: _Asked, offer: Offer) -> str:
    """Return the adapter that the model's name or the field of its own names; "" is the model itself."""
    model, named = asked.model or offer.name, ""
    if model != offer.name:
        named = model.removeprefix(f"{offer.name}:")
        if named == model or named not in offer.adapters:
            known = ", ".join(offer.models())
            raise UnknownModel(f"the model {model[:80]!a} does not exist: use {known}", param="model")
    wanted = asked.adapter or named
    if wanted and wanted not in offer.adapters:
        known = ", ".join(offer.adapters) or "none"
        raise Refused(f"the adapter {wanted[:80]!a} does not exist: there is {known}", param="adapter")
    if named and wanted != named:
        raise Refused(f"the model asks for the adapter {named!a} and adapter for {wanted[:80]!a}", param="adapter")
    return wanted


def _invalid(error: msgspec.ValidationError) -> Refused:
    """Turn msgspec's "Expected `int`, got `str` - at `$.n`" into a refusal with its param."""
    fact, _, where = str(error).partition(" - at `$")
    param = where.rstrip("`").lstrip(".") or None
    return Refused(f"{param or 'the body'} is wrong: {fact[:1].lower()}{fact[1:]}", param=param)
