"""A tenant's budget and traffic that changes -> how near its spending comes to the plan, and at what quality.

The policy, the limits and the price are the gateway's own; requests, costs and the clock are simulated. Half-way the
share of complex requests doubles, as nobody has told the plan. What all requests would cost with Large is 1 here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from msgspec import Raw

from backends.base import Usage
from classifier.base import Prompt, Score
from router.base import Attempt, Outcome, Record, Request, Tier
from router.bench.goals import Goal, at_least, at_most, stated
from router.guards.limits.base import Admitted, Allowance, Span
from router.guards.limits.local import hold
from router.guards.limits.pacing import price_of
from router.guards.limits.tenants import Tenants
from router.policies.paced import Pace, Paced
from router.policies.threshold import Threshold

REQUESTS: Final = 50_000
FEWEST: Final = 3_000
WITHIN: Final = 0.01  # one point of what all-Large would cost
TENANT: Final = "shop"
MINI: Final = 0.1  # of Large's price
NANO: Final = 1_000_000_000

_MIDNIGHT: Final = 1_795_132_800.0
_DAY: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Day:
    """One day of a tenant.

    Attributes:
        target: its budget, as a share of what all-Large would cost.
        before, after: the shares of complex requests in the morning and in the afternoon.
        requests: of the day.
        starts: how often the gateway is started anew in between.
    """

    name: str
    target: float
    before: float = 0.2
    after: float = 0.4
    requests: int = REQUESTS
    starts: int = 0


DAYS: Final = (
    Day("doubles", 0.42),
    Day("tight", 0.25),
    Day("section_4", 0.42, after=0.35),
    Day("halves", 0.35, before=0.4, after=0.2),
    Day("few", 0.3, requests=FEWEST),
    Day("restarted", 0.3, starts=5),
)


def goals(*, seed: int, quick: bool) -> list[Goal]:
    """Return all figures."""
    found: list[Goal] = []
    for day in DAYS:
        found += _goals(
            day, np.random.default_rng(seed), requests=max(FEWEST, day.requests // 10) if quick else day.requests
        )
    return found


def _goals(day: Day, chance: np.random.Generator, *, requests: int) -> Iterator[Goal]:
    spent, refused, highest = lived(day, chance, requests=requests)
    yield stated(f"paced_spend_{day.name}", spent)
    yield at_most(f"paced_spend_off_plan_{day.name}", abs(spent - day.target), WITHIN)
    yield at_most(f"paced_refused_{day.name}", refused, 0.001)
    yield at_least(f"paced_floor_kept_{day.name}", 1.0 - highest, _FLOOR)


_FLOOR: Final = 0.05


def lived(day: Day, chance: np.random.Generator, *, requests: int) -> tuple[float, float, float]:
    """Return what a day has cost, the share of requests that were refused, and the highest score that Mini got."""
    is_complex = chance.random(requests) < np.where(np.arange(requests) < requests // 2, day.before, day.after)
    scores = 1.0 / (1.0 + np.exp(-chance.normal(np.where(is_complex, 1.3, -1.3), 1.0)))
    sizes = chance.lognormal(0.0, 0.8, requests)
    large = (sizes / sizes.sum() * NANO * 1_000).astype(np.int64)
    house = _House(int(day.target * large.sum()))
    moments = np.sort(chance.random(requests)) * _DAY
    starts = set(np.linspace(0, requests, day.starts + 2, dtype=int)[1:-1].tolist())
    refused, highest = 0, 0.0
    for row, (moment, score, cost) in enumerate(zip(moments.tolist(), scores.tolist(), large.tolist(), strict=True)):
        house.now = moment
        if row in starts:
            house.start(house.use.spent)
        tier = house.answer(score, cost)
        if tier is None:
            refused += 1
        elif tier is Tier.MINI:
            highest = max(highest, score)
    return house.use.spent / float(large.sum()), refused / requests, highest


class _House:
    """The parts of a gateway that pacing is made of."""

    def __init__(self, budget: int) -> None:
        self.now, self._budget = 0.0, budget
        self._request = Request(
            id="r",
            caller_id="",
            tenant=TENANT,
            path="/chat/completions",
            model="auto",
            wanted=None,
            prompt=Prompt(()),
            stream=False,
            wants_usage=False,
            fields={"messages": Raw(b"[]")},
            cacheable=False,
            received=0.0,
            deadline=0.0,
        )
        self.start(0)

    def start(self, spent: int) -> None:
        """Begin anew, with nothing but what the ledger says was spent."""
        allowance = Allowance(budget=self._budget, span=Span.DAY)
        tenants = Tenants(
            (TENANT,), others=allowance, by_name={}, clock=lambda: self.now, wall=lambda: _MIDNIGHT + self.now
        )
        use = tenants.present(TENANT)
        if use is None:
            raise RuntimeError("the tenant has a budget")
        self.use, use.spent = use, spent
        self._paced = Paced(
            Threshold(0.2, Tier.LARGE), lambda _request: Pace(price_of(use, self.now, most=1.0), _FLOOR), curve=None
        )

    def answer(self, score: float, large: int) -> Tier | None:
        """Return who answers; None where the money does not suffice."""
        given, mini = Score(score, "s"), int(MINI * large)
        left = self._budget - self.use.spent
        decision = self._paced.decide(self._request, given)
        tier = decision.tier
        if tier is Tier.LARGE and large > left:
            affordable = self._paced.affordable(self._request, given)
            if affordable is None:
                return None
            tier = affordable.tier
        cost = large if tier is Tier.LARGE else mini
        if cost > left:
            return None
        admitted = hold(Admitted(self.use, 0, cost, 0.0, self.use.ends))
        attempt = Attempt("primary", tier, "m", "r", Usage(1, None, 1), cost, "v")
        admitted.settle(Record("r", Outcome.ANSWERED, 200, (attempt,), None, 0.0, None))
        return tier
