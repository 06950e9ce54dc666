"""Tests router/replaying/worth.py, router/replaying/gathering.py and router/replaying/report.py.

The traffic is made up, so that what another policy would have cost is known.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from router.base import Tier
from router.config.models import Config
from router.ledger.replays import LoggedCall, LoggedRequest
from router.replaying.columns import Columns, Gathered, Reward
from router.replaying.gathering import gathered
from router.replaying.report import replayed
from router.replaying.targets import Keeping, NotReplayable, Target
from router.replaying.worth import Means, Modelled, Refused, cost_of, first_bytes_of, quality_of
from router.statistics.estimates import Estimate
from router.statistics.tails import NO_TAIL
from tests.router.replaying.conftest import Known


def target(*, threshold: float = 0.5, **values: object) -> Target:
    policy = {"use": "threshold", "threshold": threshold}
    prices = Path(__file__).with_name("prices.yaml")
    config = Config.model_validate({"policy": policy, "prices": prices, **values})
    return Target(config, decides=True, reprices=False, says="policy")


def columns_at(log: list[LoggedRequest], threshold: float, reward: Reward = Reward.LABELS) -> Columns:
    return gathered(log, target(threshold=threshold), reward=reward).columns


def tier_at(known: Known, threshold: float) -> Tier:
    return Tier.LARGE if (known.logged.score or 0.0) >= threshold else Tier.MINI


@pytest.mark.parametrize("threshold", [0.2, 0.8])
def test_the_cost_of_another_threshold_is_covered(
    log: list[LoggedRequest], traffic: list[Known], threshold: float
) -> None:
    found = cost_of(columns_at(log, threshold))
    truth = sum(known.cost(tier_at(known, threshold)) for known in traffic)
    assert isinstance(found, Estimate)
    assert found.low < truth < found.high
    assert found.half_width < 0.02 * truth


def test_what_moves_nowhere_costs_what_it_cost(log: list[LoggedRequest], traffic: list[Known]) -> None:
    found = cost_of(columns_at(log, 0.5))
    assert isinstance(found, Estimate)
    assert found.value == found.low == found.high == sum(known.cost(known.logged.tier) for known in traffic)


def test_few_shadow_calls_are_refused_with_what_draws_more(log: list[LoggedRequest]) -> None:
    found = cost_of(columns_at(log, 0.49))
    assert isinstance(found, Refused)
    assert "move to large" in found.why
    assert found.why.endswith("and 100 are needed; learning.shadow draws more")
    never = [each._replace(sampled=0.0, calls=each.calls[:1]) for each in log]
    found = cost_of(columns_at(never, 0.8))
    assert isinstance(found, Refused)
    assert "0 have a shadow call there, and 100 are needed; learning.shadow_large draws more" in found.why


def test_requests_that_no_call_could_be_drawn_for_are_refused(log: list[LoggedRequest]) -> None:
    half = [each._replace(sampled=0.0, calls=each.calls[:1]) if i < 900 else each for i, each in enumerate(log)]
    found = cost_of(columns_at(half, 0.2))
    assert isinstance(found, Refused)
    assert "no shadow call could be drawn; begin the replay where they could, with --since" in found.why


def test_quality_by_labels_is_the_difference_that_the_target_makes(
    log: list[LoggedRequest], traffic: list[Known]
) -> None:
    found = quality_of(columns_at(log, 0.8), Reward.LABELS)
    truth = np.mean([known.worth[tier_at(known, 0.8)] - known.worth[known.logged.tier] for known in traffic])
    assert isinstance(found, Means)
    for estimate in (found.target.ips, found.target.snips, found.target.doubly_robust):
        assert estimate.low < truth < estimate.high < 0.0


def test_quality_of_moves_that_few_labels_tell_of_is_refused(log: list[LoggedRequest]) -> None:
    found = quality_of(columns_at(log, 0.49), Reward.LABELS)
    assert isinstance(found, Refused)
    assert "have a label, and 100 are needed; learning.shadow draws more" in found.why
    nowhere = quality_of(columns_at(log, 0.5), Reward.LABELS)
    assert nowhere == Refused("no request moves, so that quality stays what it was")


def test_without_chance_the_first_byte_is_modelled_and_has_no_interval(log: list[LoggedRequest]) -> None:
    found = first_bytes_of(columns_at(log, 0.2))
    assert isinstance(found, Modelled)
    prompts = np.array([each.calls[0].usage.fresh_input for each in log if each.calls[0].usage])
    share = np.mean([(each.score or 0.0) >= 0.2 for each in log])
    assert found.target == pytest.approx(0.3 + 0.6 * share + 0.0001 * prompts.mean(), abs=1e-6)
    assert "the log could not see" in found.why


def by_chance(log: list[LoggedRequest], traffic: list[Known]) -> list[LoggedRequest]:
    """Return the log of a gateway that takes the other tier for each fifth request."""
    found = []
    for number, (each, known) in enumerate(zip(log, traffic, strict=True)):
        tier = each.tier.other if number % 5 == 0 else each.tier
        call = LoggedCall("primary", tier, "", known.cost(tier), each.calls[0].usage, "provider")
        found.append(
            each._replace(
                tier=tier,
                source=tier.value,
                propensity=0.2 if number % 5 == 0 else 0.8,
                calls=(call,),
                spent=known.cost(tier),
                first_byte=(0.9 if tier is Tier.LARGE else 0.3) + 0.0001 * known.tokens[tier][0],
                rating=known.worth[tier],
                sampled=0.0,
            )
        )
    return found


def test_chance_tells_of_cost_time_and_ratings(log: list[LoggedRequest], traffic: list[Known]) -> None:
    columns = columns_at(by_chance(log, traffic), 0.8, Reward.RATINGS)
    cost, times, quality = cost_of(columns), first_bytes_of(columns), quality_of(columns, Reward.RATINGS)
    assert isinstance(cost, Estimate)
    assert isinstance(times, Means)
    assert isinstance(quality, Means)
    tiers = [tier_at(known, 0.8) for known in traffic]
    assert cost.low < sum(known.cost(tier) for known, tier in zip(traffic, tiers, strict=True)) < cost.high
    prompts = [known.tokens[Tier.MINI][0] for known in traffic]
    seconds = np.mean([0.9 if tier is Tier.LARGE else 0.3 for tier in tiers]) + 0.0001 * np.mean(prompts)
    assert times.target.doubly_robust.low < seconds < times.target.doubly_robust.high
    worth = np.mean([known.worth[tier] for known, tier in zip(traffic, tiers, strict=True)])
    assert quality.target.snips.low < worth < quality.target.snips.high


def test_of_costs_whose_largest_were_not_drawn_the_interval_is_wider(
    log: list[LoggedRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = columns_at(log, 0.2)
    seen = columns.moved & ~np.isnan(columns.other)
    costs = np.random.default_rng(8).pareto(1.5, len(columns)) * 1e6
    costs = np.minimum(costs, np.sort(costs[seen])[-5])
    columns = replace(columns, other=np.where(seen, costs, np.nan))
    wide = cost_of(columns)
    monkeypatch.setattr("router.replaying.worth.unseen", lambda _: NO_TAIL)
    narrow = cost_of(columns)
    assert isinstance(wide, Estimate)
    assert isinstance(narrow, Estimate)
    assert wide.half_width > 1.1 * narrow.half_width


def test_times_have_a_tail_and_quality_has_bounds(log: list[LoggedRequest], traffic: list[Known]) -> None:
    """The same numbers, of which only seconds may be larger than any that was seen."""
    columns = columns_at(by_chance(log, traffic), 0.8, Reward.RATINGS)
    long = np.random.default_rng(9).pareto(0.7, len(columns))
    long /= long.max()
    times = first_bytes_of(replace(columns, first_bytes=long))
    assert isinstance(times, Modelled)
    assert times.why.startswith("the largest outcomes reach out so far (tail index ")
    assert isinstance(quality_of(replace(columns, rewards=long), Reward.RATINGS), Means)
    labelled = columns_at(log, 0.8)
    better = replace(labelled, large_scores=labelled.large_scores * 0.0, mini_scores=long)
    assert isinstance(quality_of(better, Reward.LABELS), Means)


def test_other_prices_are_exact(log: list[LoggedRequest], traffic: list[Known]) -> None:
    """The book of this test asks a tenth of what the log was charged at, rounded for each bucket."""
    found = replayed(log, replace(target(), decides=False, reprices=True), reward=Reward.LABELS)
    assert isinstance(found.cost, Estimate)
    assert found.cost.low == found.cost.high
    assert found.was == sum(known.cost(known.logged.tier) for known in traffic)
    assert found.cost.value == pytest.approx(found.was / 10, rel=0.001)


def test_without_its_cache_a_log_costs_more(logged_as: Callable[..., LoggedRequest]) -> None:
    """Large's kept reply at its price, Mini's at the ratio of Mini's others: 1/10 of Large's price here."""
    asked = logged_as()
    kept = [logged_as(kept=True, tier=tier, tokens=(1_000, 1_000), decided=tier) for tier in (Tier.LARGE, Tier.MINI)]
    uncached = Target(target().config, False, False, "cache", was=Keeping(3_600.0), keeps=Keeping())  # noqa: FBT003
    found = replayed([asked, *kept], uncached, reward=Reward.LABELS)
    assert isinstance(found.cost, Estimate)
    assert found.cost.value == 60_000 + 10_000_000 + 1_000_000
    assert found.was == 60_000
    assert found.large_share == pytest.approx(1 / 3)
    assert any("2 kept replies are priced by their tokens" in doubt for doubt in found.doubts)


def test_failed_requests_cost_what_they_cost_and_unpriced_ones_are_told(
    logged_as: Callable[..., LoggedRequest],
) -> None:
    log = [logged_as(), logged_as(priced=False), logged_as()._replace(outcome="broken")]
    found = gathered(log, target(), reward=Reward.LABELS)
    assert isinstance(found, Gathered)
    assert (len(found.columns), found.unpriced, found.elsewhere) == (1, 1, 60_000)


def test_where_nothing_was_scored_no_classifier_has_scored_it(logged_as: Callable[..., LoggedRequest]) -> None:
    log = [logged_as(), logged_as(score=None, reason="asked", inputs='{"wanted":"mini"}')]
    found = replayed(log, target(), reward=Reward.LABELS)
    assert gathered(log, target(), reward=Reward.LABELS).scorers == {"linear@1": 1}
    assert not [doubt for doubt in found.doubts if "versions of the classifier" in doubt]
    other = replayed([*log, logged_as()._replace(scorer="linear@2")], target(), reward=Reward.LABELS)
    assert "scores are of 2 versions of the classifier: linear@1, linear@2" in other.doubts


def test_what_the_record_does_not_tell_is_refused(logged_as: Callable[..., LoggedRequest]) -> None:
    with pytest.raises(NotReplayable, match="1 of 1 requests cannot be decided again: made before the ledger kept"):
        gathered([logged_as(config="")], target(), reward=Reward.LABELS)
    with pytest.raises(NotReplayable, match="1 of 1 requests have no score"):
        gathered([logged_as(score=None, reason="fixed")], target(), reward=Reward.LABELS)
    with pytest.raises(NotReplayable, match="no request of that time was answered"):
        replayed([], target(), reward=Reward.LABELS)


def test_a_replay_is_told_in_words_and_as_json(log: list[LoggedRequest]) -> None:
    found = replayed(log, target(threshold=0.2), reward=Reward.LABELS)
    said, words = found.as_json(), "\n".join(found.words())
    assert said["moved"] == {"to_large": found.to_large, "to_mini": 0}
    assert found.to_large > 700
    assert "95 % interval" in words
    assert "by a model, without an interval" in words
    assert "budgets, caps and alarms" in words
    quality = said["quality"]
    assert isinstance(quality, dict)
    assert {"reward", "logged", "rows", "ips", "snips", "doubly_robust", "support"} == set(quality)
