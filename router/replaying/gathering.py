"""Logged requests and what another configuration decides of them -> columns of numbers.

One row for each request that a model answered and whose cost is known. What the cache answered, what nobody did and
what cannot be decided again is counted: there, nothing would have been different. Nothing is estimated here.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from router.base import Decision, Tier
from router.ledger.money import cost
from router.ledger.replays import LoggedCall, LoggedRequest
from router.replaying.chances import Chances
from router.replaying.decisions import Decider, Undecidable
from router.replaying.targets import NotReplayable, Target

Reals = NDArray[np.float64]
Whole = NDArray[np.int64]
Truths = NDArray[np.bool_]

MOST_UNDECIDABLE: Final = 0.05
"""Share of the requests that may stay as they were since the record does not tell enough of them."""

_ANSWERS: Final = ("primary", "failover")
_DIGITS: Final = 3  # of a user's digest, by which users are put together; see `router.ledger.savings`
_UNKNOWN: Final = float("nan")


class Reward(StrEnum):
    """What quality is told by."""

    LABELS = "labels"
    ASSESSMENTS = "assessments"
    RATINGS = "ratings"


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Requests that a model answered, each of shape (n,); numbers that are not known are NaN.

    Attributes:
        clusters, hours: from 0.
        was_large, is_large: decided for Large, by the log and by the target.
        answered_large: Large answered.
        scores, inputs, outputs: the latter two in tokens of the answer.
        was: nano-USD that it cost.
        spent: the same at the target's prices.
        answer: of that, what the attempt took that answered.
        other: nano-USD that a shadow call to the other tier took, at the target's prices.
        meant: probability with which that call was drawn.
        chance: probability with which the log would have decided as the target does.
        first_bytes: seconds, of what was streamed.
        large_scores, mini_scores: what the replies of both were worth, of those with a label.
        rewards: what the reply was worth that was given.
    """

    clusters: Whole
    hours: Whole
    was_large: Truths
    is_large: Truths
    answered_large: Truths
    scores: Reals
    inputs: Reals
    outputs: Reals
    was: Reals
    spent: Reals
    answer: Reals
    other: Reals
    meant: Reals
    chance: Reals
    first_bytes: Reals
    large_scores: Reals
    mini_scores: Reals
    rewards: Reals

    def __len__(self) -> int:
        return len(self.was)

    @property
    def moved(self) -> Truths:
        """Tell the requests that the target sends elsewhere."""
        return np.asarray(self.was_large != self.is_large)


@dataclass(frozen=True, slots=True)
class Kept:
    """What the cache answered from replies of one tier.

    Attributes:
        baseline: nano-USD that Large would have taken for the same tokens.
    """

    requests: int = 0
    baseline: int = 0


@dataclass(frozen=True, slots=True)
class Gathered:
    """What a log holds.

    Attributes:
        requests: all that ended.
        kept: by the tier that had answered first.
        elsewhere: nano-USD of requests that no model answered.
        undecidable: requests that are left as they were, by why.
        unpriced: requests without a cost, which are left out.
        baseline: nano-USD that Mini's answers would have been at Large's price.
        scorers: that gave the scores.
    """

    columns: Columns
    requests: int
    kept: dict[Tier, Kept]
    elsewhere: int
    undecidable: Counter[str]
    unpriced: int
    baseline: int
    scorers: Counter[str]


def gathered(logged: Iterable[LoggedRequest], target: Target, *, reward: Reward) -> Gathered:
    """Return the columns.

    Raises:
        ConfigError, WeightsError: the target's policy cannot be opened.
        PriceBookError: its price book cannot be used.
        NotReplayable: requests have no score, or its price book has no price for them.
    """
    gatherer = _Gatherer(target, reward)
    for each in logged:
        gatherer.take(each)
    return gatherer.found()


class _Gatherer:
    """Requests, one after the other -> rows and counts."""

    def __init__(self, target: Target, reward: Reward) -> None:
        self._target, self._reward = target, reward
        self._decider, self._chances = Decider(target.config, recalls=False), Chances()
        self._rows: list[tuple[float, ...]] = []
        self._by_arm: list[tuple[int, LoggedRequest]] = []
        self._clusters: dict[tuple[str, str], int] = {}
        self._hours: dict[int, int] = {}
        self._kept = {tier: Kept() for tier in Tier}
        self._undecidable, self._scorers = Counter[str](), Counter[str]()
        self._requests = self._elsewhere = self._unpriced = self._baseline = self._unscored = 0

    def take(self, logged: LoggedRequest) -> None:
        """Count a request, and keep its row where a model answered it."""
        self._requests += 1
        if logged.source == "cache":
            was = self._kept[logged.tier]
            self._kept[logged.tier] = Kept(was.requests + 1, was.baseline + (logged.baseline or 0))
            self._elsewhere += logged.spent or 0  # of looking it up
            return
        answer = next((call for call in reversed(logged.calls) if call.kind in _ANSWERS and not call.error), None)
        if logged.outcome != "answered" or answer is None:
            self._elsewhere += logged.spent or 0
            return
        spent, taken, other = _costs(logged, answer, self._decider if self._target.reprices else None)
        if logged.spent is None or spent is None or taken is None:
            self._unpriced += 1
            return
        tier = self._tier(logged)
        self._chances.note(logged)
        if logged.experiment:
            self._by_arm.append((len(self._rows), logged))
        self._scorers[logged.scorer or ""] += logged.score is not None
        self._baseline += (logged.baseline or 0) if logged.source == Tier.MINI.value else 0
        cluster = logged.tenant, logged.unit[:_DIGITS]
        self._rows.append(
            (
                self._clusters.setdefault(cluster, len(self._clusters)),
                self._hours.setdefault(logged.hour, len(self._hours)),
                logged.tier is Tier.LARGE,
                tier is Tier.LARGE,
                logged.source == Tier.LARGE.value,
                _number(logged.score),
                _number(None if answer.usage is None else answer.usage.total_input),
                _number(None if answer.usage is None else answer.usage.total_output),
                logged.spent,
                spent,
                taken,
                _number(other),
                logged.sampled,
                logged.propensity if tier is logged.tier else 1.0 - logged.propensity,
                _number(logged.first_byte if logged.is_stream else None),
                _number(logged.strong_score),
                _number(logged.weak_score),
                _number(_reward(logged, self._reward)),
            )
        )

    def found(self) -> Gathered:
        """Return what has come together."""
        rows = len(self._rows)
        if self._unscored:
            raise NotReplayable(f"{self._unscored:,} of {rows:,} requests have no score, so that it cannot decide them")
        if self._undecidable.total() > MOST_UNDECIDABLE * rows:
            ((why, count),) = self._undecidable.most_common(1)
            raise NotReplayable(f"{count:,} of {rows:,} requests cannot be decided again: {why}")
        columns = _columns(self._rows)
        for row, each in self._by_arm:
            of_large = _number(self._chances.of_large(each))
            columns.chance[row] = of_large if columns.is_large[row] else 1.0 - of_large
        return Gathered(
            columns,
            self._requests,
            self._kept,
            self._elsewhere,
            self._undecidable,
            self._unpriced,
            self._baseline,
            self._scorers,
        )

    def _tier(self, logged: LoggedRequest) -> Tier:
        """Return where the target sends a request."""
        if not self._target.decides:
            return logged.tier
        found = _decided(logged, self._decider)
        if isinstance(found, Undecidable):
            self._undecidable[found.why] += 1
            return logged.tier
        self._unscored += found.reason == "default" and logged.reason != "default"
        return found.tier


def _decided(logged: LoggedRequest, decider: Decider) -> Decision | Undecidable:
    if logged.verify is not None:
        raise NotReplayable(
            "the log is of a cascade, in which another policy's replies would not have been judged; choose a span in"
            " which none ran"
        )
    return decider.decide(logged)


def _costs(
    logged: LoggedRequest, answer: LoggedCall, repriced: Decider | None
) -> tuple[int | None, int | None, int | None]:
    """Return nano-USD of all that was needed, of the answer alone, and of a shadow call to the other tier."""
    other = Tier.MINI if logged.source == Tier.LARGE.value else Tier.LARGE
    shadow = next(
        (call for call in logged.calls if call.kind == "shadow" and call.tier is other and not call.error), None
    )
    if repriced is None:
        return logged.spent, answer.cost, None if shadow is None else shadow.cost
    needed = [_priced(logged, call, repriced) for call in logged.calls if call.kind != "shadow" and call.cost != 0]
    total = None if None in needed else sum(each for each in needed if each is not None)
    return total, _priced(logged, answer, repriced), None if shadow is None else _priced(logged, shadow, repriced)


def _priced(logged: LoggedRequest, call: LoggedCall, decider: Decider) -> int | None:
    """Return what a call takes at other prices; None where it told no tokens."""
    if call.usage is None:
        return None
    price = decider.price_on(call.tier, datetime.fromtimestamp(logged.started, UTC).date())
    if price is None:
        raise NotReplayable(f"the price book has no price for {call.tier} on the days of the log")
    return cost(price, call.usage)


def _reward(logged: LoggedRequest, reward: Reward) -> float | None:
    if reward is Reward.RATINGS:
        return logged.rating
    if reward is Reward.ASSESSMENTS and logged.flaws is not None:
        return float(logged.flaws == 0)
    return None


def _number(value: float | None) -> float:
    return _UNKNOWN if value is None else float(value)


def _columns(rows: Iterable[tuple[float, ...]]) -> Columns:
    table = np.array(list(rows), dtype=np.float64).reshape(-1, 18).T
    return Columns(
        table[0].astype(np.int64),
        table[1].astype(np.int64),
        table[2] > 0,
        table[3] > 0,
        table[4] > 0,
        *table[5:],
    )
