"""A tenant's scored decisions -> whether Large is chosen more often than usual.

Whoever finds words that push the score up could send everything to Large. Each tenant therefore has a usual share;
Large decisions beyond it add up, all others take away from the sum, and what is above a limit is told, or goes to
Mini, lowest scores first. Where Large takes over from a reply of Mini's that is likely wrong, that counts as a decision
for Large, too, at the moment at which it is made; above the limit Mini's reply stays, the least doubtful first. Where
replies are verified, one that the cap has sent to Mini is, too: what room is left goes to those that need it most.

With the cap on, no stretch of `window` scored decisions holds more calls to Large than the usual share and the margin
allow, and one. What was asked for by name is never moved; where a policy has certified a quality, its promise goes
first, and what is above is told only. Who stands in for a backend that failed is not counted. Forgets everything when
the gateway ends.

Source: Page 1954, "Continuous Inspection Schemes", for the sum.
"""

from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from router.base import Decision, Request, Tier

CAPPED: Final = "capped"
"""The reason of a decision that the cap has moved to Mini; in words, as it is counted."""

OVER: Final = "over"
"""In words, a decision for Large that is above the limit and was let through."""

_BY_SCORE: Final = ("score", "hard")  # reasons of decisions for Large that nobody was promised
_DRIFT: Final = 0.5  # of the margin: a share higher by less than this never adds up
_SLACK: Final = 0.4  # of the margin, times the window: what chance alone may add up to
_RISE: Final = 0.1  # likewise: over so much more, the score that Large takes rises from the threshold to 1


@dataclass(slots=True)
class _Tenant:
    """What is known of one tenant.

    Attributes:
        usual: share of Large among its scored decisions; None while it is being learned.
        seen, large: decisions that it is learned from.
        excess: Large decisions beyond what is usual; 0.0 or more.
    """

    usual: float | None
    seen: int = 0
    large: int = 0
    excess: float = 0.0


class LargeShare:
    """The shares of all tenants; touched by the loop alone.

    Args:
        usual: share of Large among scored decisions, 0.0 to 1.0; None learns each tenant's from its first `window`.
        margin: how much more may pass, such as 0.05.
        window: decisions, over which the margin is meant.
        caps: what is above goes to Mini; where not, it is told only.
        verify: Large takes over from this P(Mini's reply is wrong) on, also where the cap has chosen Mini; None where
            the policy verifies nothing.
    """

    def __init__(
        self, *, usual: float | None, margin: float, window: int, caps: bool, verify: float | None = None
    ) -> None:
        self._usual, self._window, self._caps, self._verify = usual, window, caps, verify
        self._drift = _DRIFT * margin
        self._slack, self._rise = _SLACK * margin * window, _RISE * margin * window
        self._most = self._slack + self._rise + 1  # what is above is forgotten: the alarm ends when its cause does
        self._tenants: dict[str, _Tenant] = {}

    def weigh(self, request: Request, decision: Decision) -> Decision:
        """Return the decision, or the one for Mini in its place; notes nothing."""
        tenant = self._tenants.get(request.tenant) if self._caps and decision.tier is Tier.LARGE else None
        if tenant is None or decision.reason not in _BY_SCORE or decision.score is None:
            return decision
        above = (tenant.excess - self._slack) / self._rise
        threshold = decision.threshold or 0.0
        floor = threshold + (1 - threshold) * above
        if above <= 0 or (above < 1 and decision.score.value >= floor):
            return decision
        verify = None if self._verify is None or not request.needs.is_verifiable else self._verify
        return replace(decision, tier=Tier.MINI, reason=CAPPED, threshold=min(floor, 1.0), verify=verify)

    def excess(self, tenant: str) -> float:
        """Return how far a tenant is above its usual share; a decision that is made again needs it."""
        known = self._tenants.get(tenant)
        return 0.0 if known is None else known.excess

    def recall(self, tenant: str, excess: float) -> None:
        """Take what `excess` has returned."""
        self._tenants[tenant] = _Tenant(self._usual, excess=excess)

    def note(self, request: Request, decision: Decision) -> str:
        """Count a decision that is carried out; returns `OVER`, `CAPPED` or ""."""
        if decision.score is None:
            return ""
        tenant = self._tenants.get(request.tenant)
        if tenant is None:
            tenant = self._tenants[request.tenant] = _Tenant(self._usual)
        is_large = decision.tier is Tier.LARGE
        if tenant.usual is None:
            tenant.seen += 1
            tenant.large += is_large
            if tenant.seen == self._window:
                tenant.usual = tenant.large / tenant.seen
            return ""
        tenant.excess = min(max(tenant.excess + is_large - tenant.usual - self._drift, 0.0), self._most)
        if decision.reason == CAPPED:
            return CAPPED
        return OVER if is_large and tenant.excess > self._slack else ""

    def note_escalation(self, request: Request, decision: Decision, p_wrong: float) -> str:
        """Count a call to Large in the place of Mini's reply; returns `CAPPED` where it may not be made, `OVER` or "".

        Args:
            decision: for Mini, noted before.
            p_wrong: how likely Mini's reply is wrong; at or above the decision's `verify`.
        """
        tenant = self._tenants.get(request.tenant)
        if tenant is None or tenant.usual is None:
            if tenant is not None:
                tenant.large += 1
            return ""
        above = (tenant.excess - self._slack) / self._rise
        if self._caps and above > 0:
            wrong = decision.verify or 0.0
            if above >= 1 or p_wrong < wrong + (1 - wrong) * above:
                return CAPPED
        tenant.excess = min(tenant.excess + 1, self._most)
        return OVER if tenant.excess > self._slack else ""
