"""Requests, records and clocks for tests of limits."""

from collections.abc import Mapping, Sequence
from itertools import count

from msgspec import Raw

from backends.base import Usage
from classifier.base import Prompt
from router.base import Attempt, Needs, Outcome, Price, Record, Request, Tier
from router.guards.limits.base import Allowance
from router.guards.limits.local import LocalLimits
from router.guards.limits.tenants import Tenants
from router.guards.limits.worst_case import WorstCase

BOTH: Sequence[Tier] = (Tier.LARGE, Tier.MINI)
LARGE = Price("big", "v1", fresh_input=2_000_000, cached_input=1_000_000, output=8_000_000)
MINI = Price("small", "v1", fresh_input=200_000, cached_input=200_000, output=800_000)
PRICES: Mapping[Tier, Price | None] = {Tier.LARGE: LARGE, Tier.MINI: MINI}
MESSAGES = b'[{"role":"user","content":"hello"}]'
_ids = count()


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def request_of(
    tenant: str = "shop",
    *,
    max_tokens: int | None = 100,
    received: float = 1_000.0,
    needs: Needs | None = None,
    **fields: bytes,
) -> Request:
    """Return a request."""
    return Request(
        id=f"r{next(_ids)}",
        caller_id="",
        tenant=tenant,
        path="/chat/completions",
        model="auto",
        wanted=None,
        prompt=Prompt((), max_tokens=max_tokens),
        stream=False,
        wants_usage=False,
        fields={name: Raw(value) for name, value in {"messages": MESSAGES, **fields}.items()},
        cacheable=False,
        received=received,
        deadline=received + 60,
        needs=Needs() if needs is None else needs,
    )


def record_of(
    *, cost: int | None = 0, usage: Usage | None = None, outcome: Outcome = Outcome.ANSWERED, attempts: int = 1
) -> Record:
    """Return a record of some equal attempts."""
    attempt = Attempt("primary", Tier.MINI, "small", "h:1", usage, cost, "v1")
    return Record("r", outcome, 200, (attempt,) * attempts, 0.1, 0.2, None)


def limits_of(
    allowance: Allowance, clock: Clock | None = None, *, wall: float = 1_795_178_096.0
) -> tuple[LocalLimits, Tenants]:
    """Return the limits of two tenants who may the same, and what they use; the wall clock tells 2026-11-20, 12:34."""
    clock = Clock() if clock is None else clock
    tenants = Tenants(("shop", "desk"), others=allowance, by_name={}, clock=clock, wall=lambda: wall)
    for use in tenants.uses.values():
        if use is not None and allowance.budget is not None:
            assert use.ends > clock.now
    return LocalLimits(tenants, WorstCase(PRICES.get, answer=1_000)), tenants
