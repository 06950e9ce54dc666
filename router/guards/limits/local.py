"""The limits of one process: exact, in memory, without a wait.

What a request may cost is reserved when it is admitted, and what it did cost takes the place of that when it is
settled: no number of requests at one moment can spend more than there is. Money that was spent before the start comes
out of the ledger, by whoever opens this.
"""

from collections.abc import Sequence
from typing import Final

from router.base import RateLimited, Request, Tier
from router.guards.limits.base import MINUTE, Admitted, Use
from router.guards.limits.refusals import Met, refusal
from router.guards.limits.tenants import FREE, Tenants
from router.guards.limits.worst_case import WorstCase, size_of

FEW: Final = 1e-6  # of a request: what adding up floating-point numbers may miss
WAIT: Final = 1.0  # seconds, where nobody knows when a request ends


class LocalLimits:
    """A `router.guards.limits.base.Limits` of this process alone."""

    def __init__(self, tenants: Tenants, worst_case: WorstCase) -> None:
        self._tenants, self._worst_case = tenants, worst_case

    def __repr__(self) -> str:
        return f"<LocalLimits {self._tenants}>"

    async def admit(self, request: Request, tiers: Sequence[Tier]) -> Admitted:
        """Return what the request holds; see `router.guards.limits.base.Limits`."""
        use = self._tenants.use_of(request.tenant)
        if use is None:
            return FREE
        tokens, money = self.take(use, request, tiers)
        return hold(Admitted(use, tokens, money, request.deadline, window_of(use, request)))

    def take(self, use: Use, request: Request, tiers: Sequence[Tier], *, ceiling: int | None = None) -> tuple[int, int]:
        """Take what the request needs, or nothing at all; returns the tokens and the nano-USD that it may need.

        Args:
            ceiling: nano-USD that may be spent and reserved; None: the whole budget.

        Raises:
            RateLimited: there is not enough.
        """
        allowance, now = use.allowance, self._tenants.clock()
        if now >= use.ends:
            self._tenants.roll(use, now)
        use.drain(now)
        if allowance.requests is not None and use.requests + 1 > allowance.requests + FEW:
            raise self._refusal(Met.REQUESTS, use, _wait(use.requests + 1, allowance.requests))
        tokens = money = size = 0
        if allowance.tokens is not None:
            # One request that needs more than all of them waits for a quiet minute, and is paid off afterwards.
            size = size_of(request)
            tokens = min(self._worst_case.tokens(request, size, use.typical), allowance.tokens)
            if use.tokens + tokens > allowance.tokens + FEW:
                raise self._refusal(Met.TOKENS, use, _wait(use.tokens + tokens, allowance.tokens))
        if allowance.in_flight is not None and use.in_flight >= allowance.in_flight:
            use.forget(now)
            if use.in_flight >= allowance.in_flight:
                raise self._refusal(Met.IN_FLIGHT, use, WAIT)
        if allowance.budget is not None:
            money = self._worst_case.money(request, size or size_of(request), tiers, now)
            most = allowance.budget if ceiling is None else ceiling
            if use.spent + use.reserved + money > most:
                use.forget(now)
                if use.spent + use.reserved + money > most:
                    raise self._too_dear(use, money, now, ceiling)
        use.requests += 1
        use.tokens += tokens
        return tokens, money

    def _too_dear(self, use: Use, money: int, now: float, ceiling: int | None) -> RateLimited:
        if ceiling is not None:
            return self._refusal(Met.UNKNOWN, use, WAIT)
        if use.spent + money > (use.allowance.budget or 0):
            return self._refusal(Met.BUDGET, use, use.ends - now)
        return self._refusal(Met.RESERVED, use, WAIT)

    def _refusal(self, met: Met, use: Use, wait: float) -> RateLimited:
        return refusal(met, use.whole, wait=wait, remaining=use.remaining(self._tenants.clock()))


def hold(admitted: Admitted) -> Admitted:
    """Note a request as running."""
    use = admitted.use
    use.in_flight += 1
    use.reserved += admitted.reserved
    use.open.add(admitted)
    return admitted


def window_of(use: Use, request: Request) -> float:
    """Return when the window ends that the request belongs to; the present one, but for who came before it began."""
    return use.ends if request.received >= use.begins else use.begins


def _wait(level: float, limit: int) -> float:
    """Return seconds until a level has drained to its limit."""
    return (level - limit) * MINUTE / limit if limit else MINUTE
