"""Each policy heeds how a request leans, and so does the key of its kept reply.

Tests router/policies/leaning.py and router/reply_keys.py.
"""

import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from classifier.base import Score
from classifier.calibrating.calibrated import Level, Overlay
from classifier.calibrating.maps import Calibration, Platt
from router.base import Request, Tier
from router.endpoints.wire import read_chat
from router.policies.cascade import Zones
from router.policies.certified import Certified
from router.policies.explicit import Explicit
from router.policies.leaning import leant
from router.policies.threshold import Threshold
from router.reply_keys import KeyOf

LEVELS = ((0.05, 1.0), (0.01, -1.0), (0.02, 0.0))
UNIT = st.floats(0, 1, allow_nan=False)


def asked(model: str) -> Request:
    body = msgspec.json.encode({"model": model, "messages": [{"role": "user", "content": "hi"}]})
    return read_chat(body, {}, tenant="ada", received=time.monotonic(), timeout=1.0, keep_sampled=False)


@given(threshold=UNIT, more=UNIT, less=UNIT)
def test_a_lean_moves_a_threshold_within_its_range_and_in_one_direction(
    threshold: float, more: float, less: float
) -> None:
    assert leant(threshold, 0.0) == threshold
    assert leant(threshold, 1.0) == pytest.approx(1.0)
    assert leant(threshold, -1.0) == pytest.approx(0.0)
    assert 0.0 <= leant(threshold, -less) <= threshold <= leant(threshold, more) <= 1.0 + 1e-12


def test_economy_sends_more_to_mini_and_quality_more_to_large() -> None:
    policy = Threshold(0.4, Tier.LARGE)
    for score, tiers in (
        (0.15, "mini mini mini"),
        (0.3, "mini mini large"),
        (0.5, "mini large large"),
        (0.8, "large " * 3),
    ):
        made = [policy.decide(asked(model), Score(score, "s@1")) for model in ("auto-economy", "auto", "auto-quality")]
        assert [each.tier for each in made] == tiers.split()
        assert [each.threshold for each in made] == pytest.approx([0.7, 0.4, 0.2])
        assert {each.reason for each in made} == {"score"}


def test_a_cascade_moves_both_its_zones() -> None:
    policy = Zones(0.2, 0.6, 0.5, Tier.LARGE)
    for score, reasons in (
        (0.05, "easy easy easy"),
        (0.15, "easy easy between"),
        (0.4, "easy between hard"),
        (0.7, "between hard hard"),
    ):
        made = [policy.decide(asked(model), Score(score, "s@1")) for model in ("auto-economy", "auto", "auto-quality")]
        assert [each.reason for each in made] == reasons.split()


def test_what_is_certified_takes_the_loosest_level_or_the_strictest() -> None:
    levels = tuple(Level(loss, 0.9, logit, 0.5, loss / 2, loss, 4 * loss, 1_000) for loss, logit in LEVELS)
    overlay = Overlay("rules@1", "", Calibration(Platt(1.0, 0.0), {}), "lost", levels, {})
    policy = Certified(overlay, loss=0.02, confidence=0.9, default=Tier.LARGE, tell=print)
    made = [policy.decide(asked(model), Score(0.4, "s@1")) for model in ("auto-economy", "auto", "auto-quality")]
    assert [each.policy.rpartition("/")[2] for each in made] == ["0.05", "0.02", "0.01"]
    assert [each.tier for each in made] == ["mini", "mini", "large"]
    named = policy.decide(replace(asked("auto-economy"), quality=0.99), Score(0.4, "s@1"))
    assert named.policy == made[2].policy


def test_a_kept_reply_is_given_to_those_alone_who_lean_alike() -> None:
    plain, key_of = asked("auto"), KeyOf(b"s" * 32, who="")
    assert key_of(plain, "p@1") == key_of(replace(plain, lean=0.0), "p@1") != key_of(replace(plain, lean=0.5), "p@1")


def test_what_is_fixed_leans_nowhere() -> None:
    assert Explicit(Tier.LARGE).decide(asked("auto-economy"), None).tier is Tier.LARGE
