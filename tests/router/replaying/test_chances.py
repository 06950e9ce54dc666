"""Tests router/replaying/chances.py."""

from collections.abc import Callable

import pytest

from router.base import Tier
from router.config.models import Config
from router.ledger.replays import LoggedRequest
from router.replaying.chances import Chances
from router.replaying.columns import Reward
from router.replaying.report import replayed
from router.replaying.targets import Target
from router.replaying.worth import Means

Made = Callable[..., LoggedRequest]


def test_outside_of_experiments_it_is_the_decisions_own(logged_as: Made) -> None:
    chances = Chances()
    one = logged_as()
    assert chances.of_large(one) == 0.0
    assert chances.of_large(one._replace(propensity=0.9)) == pytest.approx(0.1)
    assert chances.of_large(one._replace(propensity=0.2, tier=Tier.LARGE)) == 0.2


def test_in_an_experiment_it_is_that_of_the_arms_which_would_have_chosen_large(logged_as: Made) -> None:
    one = logged_as()._replace(experiment="e")
    low = one._replace(arm="low", propensity=0.3, threshold=0.2)
    high = one._replace(arm="high", propensity=0.5, threshold=0.6)
    large = one._replace(arm="all", propensity=0.2, reason="fixed", tier=Tier.LARGE)
    chances = Chances()
    for each in (low, high, large):
        chances.note(each)
    assert chances.of_large(low._replace(score=0.1)) == pytest.approx(0.2)
    assert chances.of_large(high._replace(score=0.4)) == pytest.approx(0.5)
    assert chances.of_large(large._replace(score=0.7)) == pytest.approx(1.0)


def test_arms_that_follow_no_one_rule_are_not_known(logged_as: Made) -> None:
    one = logged_as()._replace(experiment="e", arm="a", propensity=1.0)
    chances = Chances()
    chances.note(one._replace(threshold=0.2))
    assert chances.of_large(one) is not None
    chances.note(one._replace(threshold=0.3))
    assert chances.of_large(one) is None


def test_an_arm_that_was_never_seen_leaves_the_others_unknown(logged_as: Made) -> None:
    one = logged_as()._replace(experiment="e", arm="a", propensity=0.5)
    chances = Chances()
    chances.note(one)
    assert chances.of_large(one) is None


def test_where_nothing_is_decided_anew_nothing_was_left_to_chance(logged_as: Made) -> None:
    one = logged_as(propensity=0.5)._replace(experiment="e", is_stream=True)
    arms = {
        Tier.LARGE: {"arm": "often", "threshold": 0.1, "source": "large", "first_byte": 0.9},
        Tier.MINI: {"arm": "never", "threshold": 0.9, "source": "mini", "first_byte": 0.3},
    }
    log = [
        one._replace(id=f"{number:06}", unit=f"{number % 50}", tier=tier, **arms[tier])  # type: ignore[arg-type]  # fields, by name
        for number, tier in enumerate([Tier.LARGE, Tier.MINI, Tier.MINI] * 100)
    ]
    target = Target(Config(), decides=False, reprices=False, says="prices")
    found = replayed(log, target, reward=Reward.LABELS).first_bytes
    assert isinstance(found, Means)
    assert found.target.ips.value == found.target.doubly_robust.value == pytest.approx(found.logged)
