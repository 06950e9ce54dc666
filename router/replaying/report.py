"""A log and a target -> what would have been, in words and as JSON.

    requests, where they would have gone, what that would have cost, how soon and how well they would have been answered

Each figure stands with its interval, or with the reason why there is none.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from router.base import Tier
from router.ledger.money import usd
from router.ledger.replays import LoggedRequest
from router.replaying.columns import Gathered, Reward
from router.replaying.gathering import gathered
from router.replaying.hits import Hits, hits_of
from router.replaying.targets import NotReplayable, Target
from router.replaying.worth import Means, Modelled, Refused, cost_of, first_bytes_of, quality_of
from router.statistics.estimates import Estimate
from router.statistics.off_policy import Evaluation

_ESTIMATORS: Final = {"ips": "IPS", "snips": "SNIPS", "doubly_robust": "DR"}


@dataclass(frozen=True, slots=True)
class Replay:
    """What would have been.

    Attributes:
        says: what was replayed, in words.
        requests: that ended.
        decided: of them, those that a model answered and that have a price.
        to_large, to_mini: of those, and of what comes out of no cache any more, what moves.
        large_share, was_large_share: of what a model would have answered, and has; where replies are verified, that
            Large answers, else that it was decided on.
        was: nano-USD that the log cost, but for learning.
        cost: what the target would have cost.
        cache: what another cache would have answered; None where that is no question.
        first_bytes: seconds, of streamed answers.
        reward: what quality is told by.
        quality: 0.0 to 1.0; by labels, what the target adds to it.
        doubts: what the figures do not tell, a sentence each.
    """

    says: str
    requests: int
    decided: int
    to_large: int
    to_mini: int
    large_share: float
    was_large_share: float
    was: int
    cost: Estimate | Refused
    cache: Hits | None
    first_bytes: Means | Modelled | Refused
    reward: Reward
    quality: Means | Refused
    doubts: tuple[str, ...]

    def as_json(self) -> dict[str, object]:
        """Return what `--json` prints; money in nano-USD, times in seconds."""
        saved = None if isinstance(self.cost, Refused) or not self.was else 1.0 - self.cost.value / self.was
        return {
            "replayed": self.says,
            "requests": self.requests,
            "decided": self.decided,
            "moved": {"to_large": self.to_large, "to_mini": self.to_mini},
            "large_share": {"logged": self.was_large_share, "target": self.large_share},
            "cost": {"logged": self.was, "target": self.cost.as_json(), "saved": saved},
            "cache": None if self.cache is None else self.cache.as_json(),
            "first_byte": _figure_json(self.first_bytes),
            "quality": {"reward": self.reward.value, **_figure_json(self.quality)},
            "doubts": list(self.doubts),
        }

    def words(self) -> list[str]:
        """Return it in lines to be read."""
        return [
            f"{self.requests:,} requests, of which {self.decided:,} were answered by a model; replayed: {self.says}",
            f"large share {self.large_share:.1%}, was {self.was_large_share:.1%}",
            f"{self.to_large:,} requests move to large, {self.to_mini:,} to mini",
            self._cost_words(),
            *([] if self.cache is None else self.cache.words()),
            _figure_words("first byte", self.first_bytes, "s"),
            _figure_words(f"quality by {self.reward}", self.quality, ""),
            *self.doubts,
        ]

    def _cost_words(self) -> str:
        cost = self.cost
        if isinstance(cost, Refused):
            return f"cost: no estimate: {cost.why}"
        low, high = usd(round(cost.low)), usd(round(cost.high))
        change = f", {cost.value / self.was - 1.0:+.1%}" if self.was else ""
        return f"cost {usd(round(cost.value))} USD{change}, 95 % interval {low} to {high}; was {usd(self.was)} USD"


def replayed(
    logged: Iterable[LoggedRequest], target: Target, *, reward: Reward, since: float = float("-inf")
) -> Replay:
    """Return what would have been.

    Args:
        since: of the requests that count, seconds since 1970; those before only fill caches.

    Raises:
        NotReplayable: the log tells nothing of it.
        ConfigError, WeightsError, PriceBookError: the target cannot be opened.
    """
    found = gathered(logged, target, reward=reward, since=since)
    columns, uncached = found.columns, found.uncached
    if not found.answered:
        raise NotReplayable("no request of that time was answered by a model at a known price")
    extra = {tier: round(each.baseline * found.without_cache[tier]) for tier, each in uncached.items()}
    cost = cost_of(columns)
    more = sum(extra.values()) + found.elsewhere
    if isinstance(cost, Estimate):
        cost = Estimate(cost.value + more, cost.low + more, cost.high + more, cost.error, cost.degrees)
    counted = len(columns) + sum(each.requests for each in uncached.values())
    return Replay(
        says=target.says,
        requests=found.requests,
        decided=found.answered,
        to_large=int((columns.moved & columns.is_large).sum()),
        to_mini=int((columns.moved & ~columns.is_large).sum()),
        large_share=(int(columns.is_large.sum()) + uncached[Tier.LARGE].requests) / max(counted, 1),
        was_large_share=found.to_large / found.answered,
        was=int(columns.was.sum()) + found.elsewhere + found.freed,
        cost=cost,
        cache=None if found.cached is None else hits_of(found.cached),
        first_bytes=first_bytes_of(columns),
        reward=reward,
        quality=quality_of(columns, reward),
        doubts=tuple(_doubts(found, target)),
    )


def _doubts(found: Gathered, target: Target) -> list[str]:
    said = [f"{count:,} requests stay as they were: {why}" for why, count in found.undecidable.most_common()]
    if found.unpriced:
        said.append(f"{found.unpriced:,} requests without a price are left out")
    if target.decides:
        said.append("budgets, caps and alarms, which move decisions while a gateway runs, are left out")
    if len(found.scorers) > 1 and target.decides:
        said.append(
            f"scores are of {len(found.scorers)} versions of the classifier: {', '.join(sorted(found.scorers))}"
        )
    if found.cut_sooner:
        said.append(f"{found.cut_sooner:,} streams of mini would have been cut sooner, and are counted whole")
    return said + _doubts_of_cache(found)


def _doubts_of_cache(found: Gathered) -> list[str]:
    said, uncached, cached = [], sum(each.requests for each in found.uncached.values()), found.cached
    if uncached:
        said.append(f"{uncached:,} kept replies are priced by their tokens, without an interval of their own")
    if cached is None:
        return said
    said.append(
        "requests are equal whose reply keys are; a cache that is full or away, replies over cache.max_reply_bytes and"
        " refusals, which are not kept, are not in the ledger"
    )
    if cached.differing:
        said.append(
            f"the log's own cache, replayed, treats {cached.differing:,} of {cached.keyed:,} requests otherwise"
        )
    if cached.strangers:
        said.append(f"{cached.strangers:,} kept replies stay that, as it is not known how old they were")
    if cached.by_meaning:
        said.append(
            f"{cached.by_meaning:,} kept replies were to requests that only meant the same, which keys do not tell"
        )
    return said


def _figure_json(found: Means | Modelled | Refused) -> dict[str, object]:
    if isinstance(found, Refused):
        return dict(found.as_json())
    if isinstance(found, Modelled):
        return {"logged": found.logged, "modelled": found.target, "rows": found.rows, "no_interval": found.why}
    support = found.target.support
    return {
        "logged": found.logged,
        "rows": found.rows,
        **{name: getattr(found.target, name).as_json() for name in _ESTIMATORS},
        "support": {
            "differing": support.differing,
            "matching": support.matching,
            "minority": support.minority,
            "effective": support.effective,
            "mean_weight": support.mean_weight,
        },
    }


def _figure_words(name: str, found: Means | Modelled | Refused, unit: str) -> str:
    if isinstance(found, Refused):
        return f"{name}: no estimate: {found.why}"
    space = f" {unit}" if unit else ""
    if isinstance(found, Modelled):
        return f"{name} {found.target:.3f}{space} by a model, without an interval ({found.why}); was {found.logged:.3f}"
    said = "; ".join(
        f"{words} {each.value:.3f} ({each.low:.3f} to {each.high:.3f})" for words, each in _each(found.target)
    )
    return f"{name}{space}: {said}; was {found.logged:.3f}"


def _each(found: Evaluation) -> list[tuple[str, Estimate]]:
    return [(words, getattr(found, name)) for name, words in _ESTIMATORS.items()]
