"""Logged requests and what another configuration decides of them -> columns of numbers.

One row for each request that a model answered, or would have answered with another cache, and whose cost is known.
What the cache answers, what nobody did and what cannot be decided again is counted. Nothing is estimated here.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import fields
from datetime import UTC, datetime
from typing import Final

import numpy as np

from router.base import Tier
from router.ledger.money import cost
from router.ledger.replays import LoggedCall, LoggedRequest
from router.replaying.answers import NOT_JUDGED, Answered, answer_of, answered, is_of_large, judged
from router.replaying.chances import Chances
from router.replaying.columns import Cached, Columns, Gathered, Outcome, Reward, Uncached
from router.replaying.decisions import Decider, Undecidable
from router.replaying.recaching import ENDED_WELL, Pair, Recacher
from router.replaying.targets import NotReplayable, Target

MOST_UNDECIDABLE: Final = 0.05
"""Share of the requests that may stay as they were since the record does not tell enough of them."""

_DIGITS: Final = 3  # of a user's digest, by which users are put together; see `router.ledger.savings`
_UNKNOWN: Final = float("nan")


def gathered(
    logged: Iterable[LoggedRequest], target: Target, *, reward: Reward, since: float = float("-inf")
) -> Gathered:
    """Return the columns.

    Args:
        since: of the requests that count, seconds since 1970; those before only fill caches.

    Raises:
        ConfigError, WeightsError: the target's policy cannot be opened.
        PriceBookError: its price book cannot be used.
        NotReplayable: requests have no score, its price book has no price for them, or the ledger does not tell which
            of them were equal.
    """
    recacher = None if target.keeps is None else Recacher(target.was, target.keeps)
    gatherer = _Gatherer(target, reward, recacher)
    pairs = _as_they_were(logged, since) if recacher is None else recacher.pairs(logged, since=since)
    for pair in pairs:
        gatherer.take(pair)
    return gatherer.found()


def _as_they_were(logged: Iterable[LoggedRequest], since: float) -> Iterator[Pair]:
    for each in logged:
        if each.started >= since:
            is_hit = each.source == "cache"
            yield Pair(each, each, is_hit, is_hit)


class _Gatherer:
    """Requests, one after the other -> rows and counts."""

    def __init__(self, target: Target, reward: Reward, recacher: Recacher | None) -> None:
        self._target, self._reward, self._recacher = target, reward, recacher
        self._decider, self._chances = Decider(target.config, recalls=False), Chances()
        self._rows: list[tuple[float, ...]] = []
        self._by_arm: list[tuple[int, LoggedRequest]] = []
        self._outcomes: list[Outcome] = []
        self._untold: list[tuple[int, Tier, int]] = []  # which of them no equal request tells of
        self._clusters: dict[tuple[str, str], int] = {}
        self._keys: dict[str, int] = {}
        self._hours: dict[int, int] = {}
        self._uncached = {tier: Uncached() for tier in Tier}
        self._undecidable, self._scorers = Counter[str](), Counter[str]()
        self._requests = self._elsewhere = self._freed = self._unpriced = self._baseline = self._unscored = 0
        self._answered = self._to_large = self._cut_sooner = 0

    def take(self, pair: Pair) -> None:
        """Count a request, and keep its row where a model answers it."""
        was, now = pair.was, pair.now
        self._requests += 1
        if self._recacher is not None and (was.outcome in ENDED_WELL or now is None):
            self._outcomes.append(self._outcome(pair))
        if now is None:
            known = self._uncached[was.tier]
            self._uncached[was.tier] = Uncached(known.requests + 1, known.baseline + (was.baseline or 0))
            self._elsewhere += was.spent or 0  # of looking it up
            self._untold.append((len(self._outcomes) - 1, was.tier, was.baseline or 0))
        elif pair.is_hit and not pair.was_hit:
            self._free(was)
        elif pair.is_hit or now.outcome != "answered" or answer_of(now) is None:
            self._elsewhere += was.spent or 0
        else:
            self._keep(was, now)

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
        found = Gathered(
            columns=columns,
            requests=self._requests,
            answered=self._answered,
            to_large=self._to_large,
            uncached=self._uncached,
            elsewhere=self._elsewhere,
            freed=self._freed,
            undecidable=self._undecidable,
            unpriced=self._unpriced,
            cut_sooner=self._cut_sooner,
            baseline=self._baseline,
            scorers=self._scorers,
            cached=None if self._recacher is None else self._cached(self._recacher),
        )
        for place, tier, baseline in self._untold:
            self._outcomes[place] = self._outcomes[place]._replace(spent=found.without_cache[tier] * baseline)
        return found

    def _cached(self, recacher: Recacher) -> Cached:
        recacher.refuse()
        return Cached(
            self._outcomes,
            keyed=recacher.keyed,
            again=recacher.again,
            differing=recacher.differing,
            by_meaning=recacher.by_meaning,
            strangers=recacher.strangers,
        )

    def _free(self, was: LoggedRequest) -> None:
        """Count a request that a model answered, or did not, and the target's cache would have."""
        if was.spent is None:
            self._unpriced += was.outcome == "answered"
            return
        self._freed += was.spent
        if was.outcome == "answered" and answer_of(was) is not None:
            self._answered += 1
            self._to_large += is_of_large(was)

    def _keep(self, was: LoggedRequest, now: LoggedRequest) -> None:
        """Keep the row of a request that a model answers; one that the log's cache answered cost as good as nothing."""
        found, is_own = self._decided(now), was is now
        answer = answer_of(now)
        if now.spent is None or found is None or found.spent is None or found.answer is None or answer is None:
            self._unpriced += 1
            return
        if is_own:
            self._chances.note(now)
            self._answered += 1
            self._to_large += found.was_large
            if now.score is not None and now.scorer:
                self._scorers[now.scorer] += 1
            self._baseline += (now.baseline or 0) if now.source == Tier.MINI.value else 0
        if now.experiment and self._target.decides:
            self._by_arm.append((len(self._rows), now))
        self._cut_sooner += found.is_cut_sooner
        self._rows.append(
            (
                self._cluster_of(was),
                self._hours.setdefault(was.hour, len(self._hours)),
                found.was_large,
                found.is_large,
                now.source == Tier.LARGE.value,
                found.known_large,
                _number(now.score),
                _number(None if answer.usage is None else answer.usage.total_input),
                _number(None if answer.usage is None else answer.usage.total_output),
                now.spent if is_own else was.spent or 0,
                found.spent,
                found.answer,
                _number(found.other),
                now.sampled if found.is_drawn else 0.0,
                self._chance(now, moves=found.is_large != found.was_large),
                _number(now.first_byte if now.is_stream else None),
                _number(now.strong_score),
                _number(now.weak_score),
                _number(_reward(now, self._reward)),
            )
        )

    def _chance(self, logged: LoggedRequest, *, moves: bool) -> float:
        """Return the probability of what the target decides; where it decides nothing, what was done was certain."""
        if not self._target.decides:
            return 1.0
        return 1.0 - logged.propensity if moves else logged.propensity

    def _decided(self, logged: LoggedRequest) -> Answered | None:
        """Return how the target has a request answered; None where no model did."""
        if not self._target.decides:
            return answered(logged, logged.tier, self._cost_of(logged))
        found, cost_of = self._decider.decide(logged), self._cost_of(logged)
        if isinstance(found, Undecidable):
            self._undecidable[found.why] += 1
            return answered(logged, logged.tier, cost_of)
        if logged.verify is not None:
            return judged(logged, found, cost_of)
        if found.verify is not None:
            self._undecidable[NOT_JUDGED] += 1
            return answered(logged, logged.tier, cost_of)
        self._unscored += found.reason == "default" and logged.reason != "default"
        return answered(logged, found.tier, cost_of)

    def _cost_of(self, logged: LoggedRequest) -> "_CostOf":
        return _CostOf(logged.started, self._decider if self._target.reprices else None)

    def _outcome(self, pair: Pair) -> Outcome:
        was, now, key = pair.was, pair.now, pair.was.reply_key or pair.was.id
        spent = None if now is None else was.spent if pair.was_hit == pair.is_hit else 0 if pair.is_hit else now.spent
        return Outcome(
            user=self._cluster_of(was),
            key=self._keys.setdefault(key, len(self._keys)),
            was_hit=pair.was_hit,
            is_hit=pair.is_hit,
            was=_number(was.spent),
            spent=_number(spent),
            was_first=_number(was.first_byte if was.is_stream else None),
            first=_number(pair.first_byte if was.is_stream else None),
        )

    def _cluster_of(self, logged: LoggedRequest) -> int:
        return self._clusters.setdefault((logged.tenant, logged.unit[:_DIGITS]), len(self._clusters))


class _CostOf:
    """A call of one request -> nano-USD, as they were or at the prices of a target; None where it told no tokens."""

    def __init__(self, started: float, decider: Decider | None) -> None:
        self._started, self._decider = started, decider

    def __call__(self, call: LoggedCall) -> int | None:
        if self._decider is None or call.usage is None:
            return call.cost if self._decider is None or call.cost == 0 else None
        price = self._decider.price_on(call.tier, datetime.fromtimestamp(self._started, UTC).date())
        if price is None:
            who = "vectors" if call.tier is None else call.tier
            raise NotReplayable(f"the price book has no price for {who} on the days of the log")
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
    """Return rows, each in the order of the columns, as columns."""
    table = np.array(list(rows), dtype=np.float64).reshape(-1, len(fields(Columns))).T
    return Columns(
        table[0].astype(np.int64),
        table[1].astype(np.int64),
        table[2] > 0,
        table[3] > 0,
        table[4] > 0,
        table[5] > 0,
        *table[6:],
    )
