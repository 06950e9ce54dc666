"""Tests router/replaying/chances.py."""

from collections.abc import Callable

import pytest

from router.base import Tier
from router.ledger.replays import LoggedRequest
from router.replaying.chances import Chances

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
