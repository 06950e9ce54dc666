"""The limits of several workers: asked of Redis in one step, or of this worker's own part of them while it is away.

While Redis is away a worker admits its share of each limit and no more, and spends no more money than Redis has allowed
it beforehand; when that is used up, or too old, requests of tenants with a budget wait. So all workers together never
exceed a budget, and requests of others go on.
"""

from collections.abc import Callable, Sequence
from typing import Final

from cache.shared_limits import LASTS, NO_LIMIT, Account, Ask, Grant, SharedLimits, Tenant
from router.base import RateLimited, Remaining, Request, Tier
from router.guards.limits.base import Admitted, Use, remaining_of
from router.guards.limits.local import WAIT, LocalLimits, hold, window_of
from router.guards.limits.refusals import Met, refusal
from router.guards.limits.tenants import FREE, Tenants
from router.guards.limits.worst_case import WorstCase, size_of

_NOTHING: Final = -1  # a ceiling that every sum is above


class WorkersLimits:
    """A `router.guards.limits.base.Limits` of one worker among several.

    Args:
        tenants: with a worker's part of everything.
        shared: stays the caller's.
    """

    def __init__(self, tenants: Tenants, worst_case: WorstCase, shared: SharedLimits) -> None:
        self._tenants, self._worst_case, self._shared = tenants, worst_case, shared
        self._alone = LocalLimits(tenants, worst_case)

    def __repr__(self) -> str:
        return f"<WorkersLimits {self._shared} {self._tenants}>"

    async def admit(self, request: Request, tiers: Sequence[Tier]) -> Admitted:
        """Return what the request holds; see `router.guards.limits.base.Limits`."""
        use = self._tenants.use_of(request.tenant)
        if use is None:
            return FREE
        now = self._tenants.clock()
        if now >= use.ends:
            self._tenants.roll(use, now)
        ask, told = self._ask(use, request, tiers, now), _told(use, now)
        grant = await self._shared.admit(told, ask) if self._shared.is_joined else None
        is_alone = grant is None
        if grant is None:
            ceiling = use.ceiling if now < use.trusted else _NOTHING
            self._alone.take(use, request, tiers, ceiling=ceiling)
            remaining = use.remaining(now)
        else:
            remaining = _mirror(use, grant, now)
            if told.window == use.window:
                use.elsewhere = max(0, grant.spent - told.spent)
            if grant.met:
                raise _refused(use, grant, remaining, now)
            raise_ceiling(use, grant.ceiling, now)
        return hold(
            _Shared(
                use,
                ask.need,
                ask.amount,
                request.deadline,
                window_of(use, request),
                remaining,
                ask.lease,
                ask=ask,
                shared=self._shared,
                clock=self._tenants.clock,
                is_alone=is_alone,
            )
        )

    def _ask(self, use: Use, request: Request, tiers: Sequence[Tier], now: float) -> Ask:
        whole, size = use.whole, size_of(request)
        need = amount = 0
        if whole.tokens is not None:
            need = min(self._worst_case.tokens(request, size, use.typical), whole.tokens)
        if whole.budget is not None:
            amount = self._worst_case.money(request, size, tiers, now)
        return Ask(
            requests=_number(whole.requests),
            tokens=_number(whole.tokens),
            running=_number(whole.in_flight),
            need=need,
            amount=amount,
            lease=self._shared.lease(amount) if _is_leased(use) else "",
        )


class _Shared(Admitted, eq=False, kw_only=True):
    """One request of which other workers know.

    Attributes:
        is_alone: it was admitted while Redis was away, and counted in no level there.
    """

    ask: Ask
    shared: SharedLimits
    clock: Callable[[], float]
    is_alone: bool

    def told(self, correction: int) -> None:
        """Let Redis know."""
        told = _told(self.use, self.clock())
        self.shared.settle(told, self.ask, correction=0 if self.is_alone else correction)


def accounts_of(tenants: Tenants) -> list[Account]:
    """Return what Redis is told of each tenant whose room or money is limited."""
    now = tenants.clock()
    return [
        Account(_told(use, now), [held.lease for held in use.open])
        for use in tenants.uses.values()
        if use is not None and _is_leased(use)
    ]


def raise_ceiling(use: Use, ceiling: int, since: float) -> None:
    """Take note of what may be spent without asking, and when that was asked for."""
    use.ceiling, use.trusted = ceiling, since + LASTS


def _told(use: Use, now: float) -> Tenant:
    """Return what Redis is told of a tenant with everything that is asked of it."""
    whole = use.whole
    if whole.budget is None:
        return Tenant(use.name, whole.span, NO_LIMIT, 0, 0, 0)
    return Tenant(use.name, whole.span, whole.budget, use.window, use.spent, use.ceiling if now < use.trusted else 0)


def _mirror(use: Use, grant: Grant, now: float) -> Remaining:
    """Let this worker's part be as full as the whole is, for the time in which Redis is away."""
    part, whole = use.allowance, use.whole
    use.at = now
    if whole.requests:
        use.requests = grant.requests * (part.requests or 0) / whole.requests
    if whole.tokens:
        use.tokens = grant.tokens * (part.tokens or 0) / whole.tokens
    return remaining_of(whole, grant.requests, grant.tokens)


def _refused(use: Use, grant: Grant, remaining: Remaining, now: float) -> RateLimited:
    wait = grant.wait or (use.ends - now if grant.met == Met.BUDGET else WAIT)
    return refusal(Met(grant.met), use.whole, wait=wait, remaining=remaining)


def _is_leased(use: Use) -> bool:
    """Tell whether it matters what is in flight."""
    return use.whole.in_flight is not None or use.whole.budget is not None


def _number(limit: int | None) -> int:
    return NO_LIMIT if limit is None else limit
