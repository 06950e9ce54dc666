"""`POST /v1/embeddings`: a body -> a `Request`, and the walk that answers it.

One backend embeds, so nothing is scored or chosen; what remains of the walk is the same as for chat, and it is the
same pipeline with the same single record. Every field but the model's name travels on as it came.

Source: OpenAI API reference, "Embeddings".
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Final, Literal, cast

import msgspec
from msgspec import Meta, Raw, Struct

from backends.base import Backend
from classifier.base import Prompt
from router.account import Books
from router.base import BadRequest, Price, Request, Tier
from router.eligibility import Eligibility
from router.endpoints.wire import Headers, caller_id, new_id, read_typed
from router.guards.large_share import LargeShare
from router.guards.limits.base import Limits
from router.model_names import DEFAULT_NAMES, EMBEDDINGS, ModelNames
from router.pipeline import Pipeline
from router.policies.explicit import Explicit
from router.prefix_affinity import PrefixAffinity
from router.routes import Route, Routes

PATH: Final = "/embeddings"
MAX_INPUTS: Final = 2_048
MAX_TOKENS: Final = 300_000  # ids in one request, all inputs together

_read_fields: Final = msgspec.json.Decoder(dict[str, Raw]).decode
_Token = Annotated[int, Meta(ge=0, le=1 << 31)]


class _Beside(StrEnum):
    """Who answers beside the two tiers."""

    EMBEDDINGS = EMBEDDINGS


TIER: Final = cast("Tier", _Beside.EMBEDDINGS)
"""Stands in records and figures where a tier does. It is none that anybody may choose, hence no member of `Tier`."""


class _Embedding(Struct):
    """The fields that are looked at."""

    model: str
    input: str | Annotated[list[str | _Token | list[_Token]], Meta(min_length=1)]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Meta(ge=1, le=1 << 20)] | None = None


def read_embedding(
    body: bytes,
    headers: Headers,
    *,
    tenant: str,
    received: float,
    timeout: float,
    keep_sampled: bool,  # noqa: ARG001  (every reader is asked so; vectors are not kept, and not drawn)
    names: ModelNames = DEFAULT_NAMES,
) -> Request:
    """Return the request; see `router.endpoints.wire.read_chat`.

    Raises:
        BadRequest: it cannot be understood; `param` says which field.
        UnknownModel: the model is not the one that embeds, or there is none.
    """
    asked = read_typed(body, _Embedding)
    names.check_embedding(asked.model)
    _check_size(asked.input)
    return Request(
        id=new_id(),
        caller_id=caller_id(headers),
        tenant=tenant,
        path=PATH,
        model=asked.model,
        wanted=TIER,
        prompt=Prompt((), tenant=tenant),
        stream=False,
        wants_usage=False,
        fields=_read_fields(body),
        cacheable=False,
        received=received,
        deadline=received + timeout,
    )


def _check_size(given: str | list[str | int | list[int]]) -> None:
    if isinstance(given, str):
        return
    tokens = sum(len(part) if isinstance(part, list) else isinstance(part, int) for part in given)
    inputs = 1 if isinstance(given[0], int) else len(given)
    if inputs > MAX_INPUTS or tokens > MAX_TOKENS:
        raise BadRequest(
            f"{inputs} inputs of {tokens} token ids are more than {MAX_INPUTS} of {MAX_TOKENS}: send fewer",
            code="invalid_value",
            param="input",
        )


def embeddings_pipeline(
    backend: Backend,
    *,
    model: str,
    price_of: Callable[[], Price | None],
    books: Books,
    affinity: PrefixAffinity,
    large_share: LargeShare,
    limits: Limits,
) -> Pipeline:
    """Return a walk that ends at one backend; what Large would have cost is what this costs."""
    route = Route(TIER, model, backend, price_of)
    return Pipeline(
        eligibility=Eligibility({}),
        affinity=affinity,
        large_share=large_share,
        classifier=None,
        policy=Explicit(TIER),
        replies=None,
        key_of=_no_key,
        routes=Routes({TIER: route, Tier.LARGE: route}),
        books=books,
        shadows=None,
        limits=limits,
    )


def _no_key(_request: Request, _policy: str) -> bytes:
    return b""
