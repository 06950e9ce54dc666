"""Ask -> prompt and settings that the engine can honour, or a refusal that names the field.

A field is honoured, or known to change nothing here, or refused: none is dropped silently. Ranges that hold for every
engine were checked where the request came in; here they are checked again, since an ask may come from elsewhere.
"""

from collections.abc import Callable
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Raw, Struct

from backends.engines.base import CHAT, Ask, ContextExceeded, Refused
from backends.engines.fields import check_idle
from backends.engines.torch_engine.sampling import Sampling
from backends.engines.torch_engine.tokenising import Message, Tokenizer

MAX_CHOICES: Final = 128
"""Answers to one request, as the OpenAI API has it."""

_MOST_LOGPROBS: Final = 20
_LONGEST_ID: Final = 9  # digits; a longer one is no token's
_Few = Annotated[int, Meta(ge=0, le=_MOST_LOGPROBS)]
_Share = Annotated[float, Meta(ge=0, le=1)]
_Penalty = Annotated[float, Meta(ge=-2, le=2)]
_Repetition = Annotated[float, Meta(gt=0, le=10)]
_Stop = Annotated[str, Meta(min_length=1, max_length=1024)]

_HONOURED: Final[dict[str, Any]] = {
    "messages": Annotated[list[Message], Meta(min_length=1)],
    "prompt": str | Annotated[list[Annotated[int, Meta(ge=0)]], Meta(min_length=1)],
    "temperature": Annotated[float, Meta(ge=0, le=100)],
    "top_p": _Share,
    "min_p": _Share,
    "top_k": Annotated[int, Meta(ge=-1, lt=1 << 31)],
    "presence_penalty": _Penalty,
    "frequency_penalty": _Penalty,
    "repetition_penalty": _Repetition,
    "repeat_penalty": _Repetition,
    "logit_bias": dict[str, Annotated[float, Meta(ge=-100, le=100)]],
    "stop": _Stop | Annotated[list[_Stop], Meta(max_length=16)],
    "seed": Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)],
    "logprobs": bool | _Few,
    "top_logprobs": _Few,
    "ignore_eos": bool,
}


class Wanted(Struct, frozen=True):
    """What one request wants.

    Attributes:
        prompt: token ids.
        begins: whether an answer is a text of its own, as in a chat, and not the prompt's continuation.
        limit: tokens of one answer.
        stops: texts that end an answer and are not part of it.
        ignores_end: go on behind the model's own end, as measurements want.
    """

    prompt: list[int]
    begins: bool
    limit: int
    sampling: Sampling
    stops: tuple[str, ...]
    ignores_end: bool


def read_wanted(ask: Ask, tokenizer: Tokenizer, *, context: int) -> Wanted:
    """Return what the ask wants.

    Raises:
        Refused: it cannot be honoured; `param` says which field.
    """
    fields = _read_fields(ask.fields)
    chat = ask.path == CHAT
    sampling = _sampling(fields, chat=chat, vocabulary=tokenizer.size)
    if not 1 <= ask.choices <= MAX_CHOICES:
        raise Refused(f"n is {ask.choices}, but one request gets 1 to {MAX_CHOICES} answers", param="n")
    if ask.max_tokens is not None and ask.max_tokens < 1:
        raise Refused(f"max_tokens is {ask.max_tokens}, take 1 or more", param="max_tokens")
    stop = fields.get("stop", ())
    prompt = read_prompt(ask, tokenizer)
    return Wanted(
        prompt=prompt,
        begins=chat,
        limit=_limit(len(prompt), ask, context=context),
        sampling=sampling,
        stops=(stop,) if isinstance(stop, str) else tuple(stop),
        ignores_end=fields.get("ignore_eos", False),
    )


def read_prompt(ask: Ask, tokenizer: Tokenizer) -> list[int]:
    """Return the prompt's token ids.

    Raises:
        Refused: there is none, or the model's template cannot write it.
    """
    name = "messages" if ask.path == CHAT else "prompt"
    raw = ask.fields.get(name)
    if raw is None:
        raise Refused(f"the field {name} is missing", param=name)
    given = _read(name, raw)
    if name == "messages":
        ids = tokenizer.chat(given)
    elif isinstance(given, str):
        ids = tokenizer.prompt(given)
    else:
        ids = given
        if max(ids) >= tokenizer.size:
            raise Refused(f"prompt holds the token {max(ids)}, but there are {tokenizer.size}", param=name)
    if not ids:
        raise Refused("the prompt is empty: give it a text", param=name)
    return ids


def _limit(prompt: int, ask: Ask, *, context: int) -> int:
    param = "messages" if ask.path == CHAT else "prompt"
    if prompt >= context:
        message = f"the prompt has {prompt} tokens, but prompt and answer have {context} together: shorten it"
        raise ContextExceeded(message, param=param)
    if ask.max_tokens is None:
        return context - prompt
    if prompt + ask.max_tokens > context:
        message = f"prompt and max_tokens are {prompt} + {ask.max_tokens} tokens, more than the context of {context}"
        raise ContextExceeded(f"{message}: ask for {context - prompt} or fewer", param="max_tokens")
    return ask.max_tokens


def _read_fields(raw: dict[str, Raw]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in raw.items():
        if name not in _HONOURED:
            check_idle(name, value)
        elif name not in ("messages", "prompt") and bytes(value) != b"null":
            fields[name] = _read(name, value)
    return fields


def _read(name: str, value: Raw) -> Any:  # noqa: ANN401 - whatever the field's type is
    try:
        return _DECODERS[name](value)
    except msgspec.ValidationError as error:
        fact, _, where = str(error).partition(" - at `$")
        place = f"{name}{where.rstrip('`')}"
        raise Refused(f"{place} is wrong: {fact[:1].lower()}{fact[1:]}", param=name) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(f"{name} is not JSON: {error}", param=name) from error


def _sampling(fields: dict[str, Any], *, chat: bool, vocabulary: int) -> Sampling:
    return Sampling(
        temperature=fields.get("temperature", 0.0),
        top_p=fields.get("top_p", 1.0),
        top_k=max(fields.get("top_k", 0), 0),
        min_p=fields.get("min_p", 0.0),
        repetition=fields.get("repetition_penalty", fields.get("repeat_penalty", 1.0)),
        presence=fields.get("presence_penalty", 0.0),
        frequency=fields.get("frequency_penalty", 0.0),
        bias=_bias(fields.get("logit_bias", {}), vocabulary),
        seed=fields.get("seed"),
        logprobs=min(told, vocabulary) if (told := _logprobs(fields, chat=chat)) is not None else None,
    )


def _logprobs(fields: dict[str, Any], *, chat: bool) -> int | None:
    told, top = fields.get("logprobs"), fields.get("top_logprobs")
    if not chat:
        if told is True:
            raise Refused("logprobs is a number here, 0 to 20", param="logprobs")
        return None if told is False else told
    if told is not None and not isinstance(told, bool):
        raise Refused("logprobs is true or false here; top_logprobs says how many", param="logprobs")
    if top and not told:
        raise Refused("top_logprobs wants logprobs to be true", param="top_logprobs")
    return (top or 0) if told else None


def _bias(given: dict[str, float], vocabulary: int) -> tuple[tuple[int, float], ...]:
    for token in given:
        known = token.isascii() and token.isdigit() and len(token) <= _LONGEST_ID and int(token) < vocabulary
        if not known:
            raise Refused(f"logit_bias names {token[:40]!a}, but tokens are 0 to {vocabulary - 1}", param="logit_bias")
    return tuple((int(token), bias) for token, bias in given.items())


_DECODERS: Final[dict[str, Callable[[Raw], Any]]] = {
    name: msgspec.json.Decoder(kind).decode for name, kind in _HONOURED.items()
}
