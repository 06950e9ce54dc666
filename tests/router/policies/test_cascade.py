"""Which zone a request falls into: router/policies/cascade.py."""

import json

import pytest

from classifier.base import Score
from router.base import Request, Tier
from router.endpoints.wire import read_chat
from router.policies.cascade import Zones

ZONES = Zones(easy=0.1, hard=0.7, wrong=0.5, default=Tier.LARGE)


def asked(**more: object) -> Request:
    """Return a request of one turn."""
    body = {"model": "auto", "messages": [{"role": "user", "content": "hello"}], **more}
    return read_chat(json.dumps(body).encode(), {}, tenant="acme", received=0.0, timeout=1.0, keep_sampled=False)


@pytest.mark.parametrize(
    ("score", "tier", "reason", "verify"),
    [
        (0.0999, Tier.MINI, "easy", None),
        (0.1, Tier.MINI, "between", 0.5),
        (0.6999, Tier.MINI, "between", 0.5),
        (0.7, Tier.LARGE, "hard", None),
    ],
)
def test_the_score_says_which_zone(score: float, tier: Tier, reason: str, verify: float | None) -> None:
    decision = ZONES.decide(asked(), Score(score, "test@1"))
    assert (decision.tier, decision.reason, decision.verify) == (tier, reason, verify)
    assert decision.threshold == 0.7


@pytest.mark.parametrize("model", ["large", "mini"])
def test_a_tier_that_was_asked_for_is_never_verified(model: str) -> None:
    request = asked(model=model)
    assert not ZONES.needs_score(request)
    decision = ZONES.decide(request, None)
    assert (decision.tier, decision.reason, decision.verify) == (Tier(model), "asked", None)


def test_without_a_score_the_default_tier_answers_unverified() -> None:
    assert ZONES.needs_score(asked())
    decision = ZONES.decide(asked(), None)
    assert (decision.tier, decision.reason, decision.verify) == (Tier.LARGE, "default", None)


@pytest.mark.parametrize("more", [{"n": 2}, {"tools": [{"type": "function"}]}, {"functions": [{"name": "f"}]}])
def test_what_cannot_be_verified_knows_two_zones(more: dict[str, object]) -> None:
    between = ZONES.decide(asked(**more), Score(0.2, "test@1"))
    assert (between.tier, between.reason, between.threshold, between.verify) == (Tier.LARGE, "hard", 0.1, None)
    assert ZONES.decide(asked(**more), Score(0.05, "test@1")).tier is Tier.MINI
    assert ZONES.decide(asked(n=1), Score(0.2, "test@1")).verify == 0.5


def test_other_thresholds_are_another_policy() -> None:
    others = [(0.2, 0.7, 0.5), (0.1, 0.8, 0.5), (0.1, 0.7, 0.6), (0.1, 0.7, 0.5)]
    assert len({Zones(*each, default=Tier.LARGE).version for each in others}) == 4
    assert Zones(0.1, 0.7, 0.5, default=Tier.MINI).version != ZONES.version
