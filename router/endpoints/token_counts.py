"""A request -> how many tokens its prompt has for the model that would answer it.

That model's own tokenizer counts where its server offers one, as vLLM's and our engines do; elsewhere it is an
estimate, and is called one.
"""

import time
from contextlib import aclosing
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct, structs

from backends.base import BackendError
from backends.server_paths import TOKENIZE
from router.base import BadRequest, Request, Tier
from router.dispatch import call_for
from router.eligibility import token_bounds
from router.pipeline import Pipeline

WITHIN: Final = 2.0
"""Seconds that a tokenizer has; an estimate is better than a caller who waits."""


class Counted(Struct, frozen=True):
    """How many tokens, and how that is known."""

    tokens: int
    tier: Tier
    by: Literal["tokenizer", "estimate"]


class _Told(Struct):
    count: Annotated[int, Meta(ge=0)]


_read_count: Final = msgspec.json.Decoder(_Told).decode


async def count(request: Request, pipeline: Pipeline) -> Counted:
    """Return the count; of a prompt that no model has room for, Large's."""
    try:
        tier = pipeline.decide(request).tier
    except BadRequest:
        tier = request.wanted or Tier.LARGE
    found = await _by_tokenizer(request, tier, pipeline)
    return Counted(estimate(request), tier, "estimate") if found is None else Counted(found, tier, "tokenizer")


def estimate(request: Request) -> int:
    """Return the middle between the fewest tokens that the prompt can have and the most that it is likely to have."""
    fewest, most = token_bounds(request)
    return max((fewest + most) // 2, 1)


async def _by_tokenizer(request: Request, tier: Tier, pipeline: Pipeline) -> int | None:
    call = call_for(request, pipeline.routes.by_tier[tier])
    call = structs.replace(call, path=TOKENIZE, stream=False, deadline=time.monotonic() + WITHIN)
    try:
        reply = await pipeline.routes.by_tier[tier].backend.send(call)
        async with aclosing(reply.chunks) as chunks:
            return _read_count(b"".join([piece async for piece in chunks])).count
    except (BackendError, msgspec.DecodeError, UnicodeDecodeError):
        return None  # it has no tokenizer for callers, or it is away
