"""A limit that was met -> the refusal, with when to come again.

Callers that were refused together are told different moments, or they would come back together.
"""

import random
from enum import StrEnum
from typing import Final

from router.base import RateLimited, Remaining
from router.guards.limits.base import Allowance

SOONEST: Final = 1.0  # seconds
LATEST: Final = 120.0  # clients heed no longer wait
_SPREAD: Final = 0.25  # of the wait, and as many seconds: by how much it is lengthened at most


class Met(StrEnum):
    """Which limit; the values are part of what is counted, and what Redis answers."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    IN_FLIGHT = "in_flight"
    RESERVED = "reserved"  # the budget would do, but for what requests in flight may still cost
    BUDGET = "budget"
    UNKNOWN = "unknown"  # what is left of the budget cannot be learnt now


MONEY: Final = frozenset((Met.RESERVED.value, Met.BUDGET.value))
"""What a request that costs less might not meet."""


def refusal(met: Met, allowance: Allowance, *, wait: float, remaining: Remaining) -> RateLimited:
    """Return what the caller is told.

    Args:
        wait: seconds until the same request would be admitted, if nothing else comes.
    """
    again = min(max(wait * (1 + _SPREAD * random.random()) + _SPREAD * random.random(), SOONEST), LATEST)
    is_spent = met is Met.BUDGET
    return RateLimited(
        _said(met, allowance),
        limit=met.value,
        code="insufficient_quota" if is_spent else "rate_limit_exceeded",
        retry_after=again,
        remaining=remaining,
        retryable=not is_spent,
    )


def _said(met: Met, allowance: Allowance) -> str:
    period = "" if allowance.span == "total" else f" of this {allowance.span.value}"
    match met:
        case Met.REQUESTS:
            return f"the limit of {allowance.requests} requests a minute is reached; send fewer, or later"
        case Met.TOKENS:
            return f"the limit of {allowance.tokens} tokens a minute is reached; send shorter requests, or later"
        case Met.IN_FLIGHT:
            return f"{allowance.in_flight} requests are running, and no more may at a time; wait until one has ended"
        case Met.RESERVED:
            return f"requests that are running may use up the budget{period}; wait for them, or set a lower max_tokens"
        case Met.BUDGET:
            return f"what is left of the budget{period} is less than this may cost; lower max_tokens or have it raised"
        case Met.UNKNOWN:
            return f"what is left of the budget{period} cannot be learnt now; try again"
