"""Decision -> the routes that may be tried, in order.

Own tier first. The other tier stands in only where the caller left the choice to us, and where it can serve and was
not refused for what it was not certified for.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from msgspec import Struct

from backends.base import Backend
from router.base import Decision, Price, Request, Tier
from router.eligibility import CAPABILITY, UNCERTIFIED


class Route(Struct, frozen=True):
    """A model on a backend, with what it costs.

    Attributes:
        price_of: gives today's price; None means unpriced, never free.
    """

    tier: Tier
    model: str
    backend: Backend
    price_of: Callable[[], Price | None]

    @property
    def price(self) -> Price | None:
        """Return what it costs today."""
        return self.price_of()

    def dated(self) -> "Route":
        """Return the route at the price of this moment: a request is charged by the day on which it was sent."""
        price = self.price_of()
        return Route(self.tier, self.model, self.backend, lambda: price)


@dataclass(frozen=True, slots=True)
class Routes:
    """Both tiers' routes.

    Attributes:
        uncertified: Mini stands in for Large also where it was not certified.
    """

    by_tier: Mapping[Tier, Route]
    uncertified: bool = False

    def plan(self, request: Request, decision: Decision) -> tuple[Route, ...]:
        """Return the decided route and, where the choice was ours, the one that stands in."""
        own = self.by_tier[decision.tier]
        if request.wanted is not None or decision.reason == CAPABILITY:
            return (own,)
        if decision.reason == UNCERTIFIED and not self.uncertified:
            return (own,)
        return (own, self.by_tier[decision.tier.other])
