"""Headers and body of a `POST /v1/completions` -> a `Request`, or a refusal.

The old text endpoint: a prompt instead of messages. It is answered as chat is, by the same endpoint with this reader.
Every field travels on as it came; only what routing needs is read into types.

Source: OpenAI API reference, "Completions".
"""

from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Raw, Struct

from classifier.base import Prompt, Turn
from router.base import BadRequest, Needs, Request
from router.endpoints.routing_headers import wanted_quality, wanted_tier
from router.endpoints.wire import Headers, caller_id, new_id, read_typed
from router.model_names import DEFAULT_NAMES, ModelNames

PATH: Final = "/completions"
MAX_PROMPTS: Final = 2_048
_USUAL_LENGTH: Final = 16  # tokens of an answer where the caller sets no limit, by the API's own rule

_read_fields: Final = msgspec.json.Decoder(dict[str, Raw]).decode
_Tokens = Annotated[int, Meta(ge=0, le=1 << 31)]


class _StreamOptions(Struct):
    include_usage: bool | None = None


class _Completion(Struct):
    """The fields that routing reads."""

    model: str
    prompt: str | Annotated[list[str | _Tokens | list[_Tokens]], Meta(min_length=1)] | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    logprobs: Any = None
    max_tokens: _Tokens | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    best_of: Annotated[int, Meta(ge=0, le=128)] | None = None


def read_completion(
    body: bytes,
    headers: Headers,
    *,
    tenant: str,
    received: float,
    timeout: float,
    keep_sampled: bool,
    names: ModelNames = DEFAULT_NAMES,
) -> Request:
    """Return the request; see `router.endpoints.wire.read_chat`.

    A prompt of token ids is of one model's vocabulary, so that one must be named.

    Args:
        names: the models that can be asked for.

    Raises:
        BadRequest: it cannot be understood; `param` says which field.
        UnknownModel: the model is none of ours.
    """
    asked = read_typed(body, _Completion)
    texts, has_tokens, prompts = _prompts(asked)
    named = names.answering(asked.model)
    wanted = wanted_tier(headers) or named.tier
    if has_tokens and wanted is None:
        raise BadRequest(
            "token ids mean something to one model alone: name it, as large or mini, or send text",
            code="tokens_without_model",
            param="prompt",
        )
    several = prompts > 1 or (asked.n or 1) > 1
    return Request(
        id=new_id(),
        caller_id=caller_id(headers),
        tenant=tenant,
        path=PATH,
        model=asked.model,
        wanted=wanted,
        prompt=Prompt(
            turns=tuple(Turn("user", text) for text in texts),
            max_tokens=_USUAL_LENGTH if asked.max_tokens is None else asked.max_tokens,
            tenant=tenant,
        ),
        stream=bool(asked.stream),
        wants_usage=bool(asked.stream_options and asked.stream_options.include_usage),
        fields=_read_fields(body),
        cacheable=b"x-tandem-no-cache" not in headers
        and (keep_sampled or asked.temperature == 0)
        and not several
        and (asked.best_of or 1) == 1,
        received=received,
        deadline=received + timeout,
        quality=wanted_quality(headers),
        lean=named.lean,
        needs=_needs(asked, several=several),
    )


def _prompts(asked: _Completion) -> tuple[Sequence[str], bool, int]:
    """Return the texts, whether there are token ids, and how many prompts there are."""
    prompt = asked.prompt
    if prompt is None or isinstance(prompt, str):
        return ((prompt,) if prompt else ()), False, 1
    if len(prompt) > MAX_PROMPTS and not isinstance(prompt[0], int):
        raise BadRequest(
            f"{len(prompt)} prompts are more than {MAX_PROMPTS}: send fewer", code="invalid_value", param="prompt"
        )
    texts = [part for part in prompt if isinstance(part, str)]
    has_tokens = len(texts) < len(prompt)
    return texts, has_tokens, 1 if isinstance(prompt[0], int) else len(prompt)


def _needs(asked: _Completion, *, several: bool) -> Needs:
    """Return what only some backends can do; and that what comes is no message, which verification could read."""
    found = ["plain_text"]
    if several:
        found.append("several_choices")
    if asked.logprobs is not None and asked.logprobs is not False:
        found.append("logprobs")
    return Needs(frozenset(found))
