"""Another policy's threshold, and the price of a tenant's money -> a threshold that moves with it.

As the price rises from 0 to 1, the threshold moves from where it stands to the tenant's quality floor, so that more
goes to Mini. Of a certified policy it moves along the certified levels, and the floor is a certified loss: whatever
stands below the threshold of a level keeps that level's promise, so every place on the way keeps the floor's. Elsewhere
nothing is promised, and the floor is of single requests: Mini answers none that it is enough for with less than that
probability.

Which of the two goes first is each tenant's choice. Quality: nothing moves beyond the floor, and where the money does
not suffice there, the request is refused. The budget: from 1 to 2 the price moves the threshold on from the floor until
Mini answers all.

What is left alone: what was asked for by name, what has no score, and what the caller wants answered better than usual.
A caller who names a quality is never given less of it. Pure: prices come from whoever counts the money.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from classifier.base import Score
from router.base import Decision, Request, Tier
from router.policies.wrapped import WrappedPolicy

PACED: Final = "paced"
"""The reason of a decision for Mini that is made to keep within the budget, or for Large to keep to the floor."""

ALL_MINI: Final = 1.0 + 1e-9
"""A threshold that every score is below."""

_MOVED: Final = frozenset(("score", "hard", "certified", "alarm"))  # reasons of a choice by the score

Curve = Callable[[Request, float], Sequence[float]]
"""Takes a request and a quality; gives the thresholds of the certified levels from the request's own down to that
quality, rising; none where not even the first is certified."""


class Pace(Struct, frozen=True):
    """How one tenant is to be answered now.

    Attributes:
        price: 0.0 where there is money enough, 1.0 at the floor.
        floor: the least share of all-Large's quality, 0.0 to 1.0.
        budget_first: the floor gives way before a request is refused.
    """

    price: float
    floor: float
    budget_first: bool = False

    @property
    def highest(self) -> float:
        """Return where the price ends."""
        return 2.0 if self.budget_first else 1.0


@dataclass(frozen=True, slots=True)
class Paced(WrappedPolicy):
    """Another policy, whose threshold gives way.

    Attributes:
        policy: decides; what it does not decide by the score stays as it is.
        pace_of: how a request's tenant is to be answered; None where nothing gives way. Two askings for one request
            without a wait between them give the same.
        curve: of the certified levels; None where the policy certifies nothing.
    """

    pace_of: Callable[[Request], Pace | None]
    curve: Curve | None = None

    def decide(self, request: Request, score: Score | None) -> Decision:
        """Return the tier; see `router.base.Policy`."""
        decision = self.policy.decide(request, score)
        pace = self.pace_of(request)
        if pace is None or request.lean < 0 or decision.reason not in _MOVED:
            return decision
        if decision.score is None or decision.threshold is None:
            return decision
        way = self._way(request, decision.threshold, pace)
        threshold = _along(way, min(pace.price, 1.0))
        if pace.price > 1.0 and _gives_way(request, pace):
            threshold = _along((way[-1], ALL_MINI), pace.price - 1.0)
        return _moved(decision, decision.score, threshold)

    def affordable(self, request: Request, score: Score | None) -> Decision | None:
        """Return a decision for Mini, unverified, where Large cannot be paid for; None where the floor forbids it."""
        decision, pace = self.decide(request, score), self.pace_of(request)
        if pace is None or request.wanted is not None:
            return None
        if decision.tier is Tier.MINI and decision.verify is None:
            return decision
        if _gives_way(request, pace):
            return replace(decision, tier=Tier.MINI, reason=PACED, verify=None)
        if decision.score is None or decision.threshold is None or request.lean < 0:
            return None
        lowest = self._way(request, decision.threshold, pace)[-1]
        if decision.score.value >= lowest:
            return None
        return replace(decision, tier=Tier.MINI, reason=PACED, threshold=lowest, verify=None)

    def _way(self, request: Request, threshold: float, pace: Pace) -> Sequence[float]:
        """Return the thresholds from where it stands to the floor, equally far apart in price."""
        floor = pace.floor if request.quality is None else max(pace.floor, request.quality)
        if self.curve is not None:
            return self.curve(request, floor) or (0.0,)
        return min(threshold, 1.0 - floor), 1.0 - floor


def _gives_way(request: Request, pace: Pace) -> bool:
    """Tell whether the floor may be left; what the caller has asked for is kept."""
    return pace.budget_first and request.quality is None and request.lean >= 0


def _moved(decision: Decision, score: Score, threshold: float) -> Decision:
    """Return the decision at another threshold; only one that goes to Mini for it is another one."""
    if score.value >= threshold:
        return replace(decision, tier=Tier.LARGE, threshold=threshold)
    if decision.tier is Tier.MINI:
        return replace(decision, threshold=min(threshold, 1.0))
    return replace(decision, tier=Tier.MINI, reason=PACED, threshold=min(threshold, 1.0))


def _along(way: Sequence[float], price: float) -> float:
    """Return the place on a way that a price from 0.0 to 1.0 leads to."""
    whole, rest = divmod(price * (len(way) - 1), 1.0)
    first = int(whole)
    return way[first] if rest == 0.0 else way[first] + rest * (way[first + 1] - way[first])
