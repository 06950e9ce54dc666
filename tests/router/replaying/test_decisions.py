"""Tests router/replaying/decisions.py, router/replaying/checking.py and router/policies/inputs.py.

Every policy decides requests of all kinds as the pipeline has it decide; what is kept of that must be enough to decide
again, to the last bit.
"""

import random
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from msgspec.structs import replace

from cache.base import Holding
from classifier.base import Prompt, Score, Turn
from router.base import Decision, Needs, Policy, Prefix, Request, Tier
from router.config.models import Config
from router.eligibility import UNCERTIFIED
from router.guards.large_share import CAPPED, LargeShare
from router.ledger.replays import LoggedRequest
from router.policies.certified import Certified
from router.policies.inputs import decision_inputs, read_inputs
from router.policies.paced import PACED, Pace, Paced
from router.policies.sticky import AFFINITY, Sticky
from router.replaying.checking import Check, checked
from router.replaying.decisions import UNKNOWN_FLOOR, Decider, Undecidable
from tests.router.policies.test_certified import policy as certified_policy

PRICED_ON = date(2027, 1, 15)
PRICES = Path(__file__).with_name("prices.yaml")
OPEN = Request("r", "", "acme", "", "auto", None, Prompt(()), False, False, {}, False, 0.0, 0.0)  # noqa: FBT003 - no part of it
BOTH = (Tier.LARGE, Tier.MINI)


def config_of(**values: object) -> Config:
    return Config.model_validate({"prices": PRICES, **values})


def decider_of(**values: object) -> Decider:
    return Decider(config_of(**values), recalls=True)


def kept(decision: Decision, inputs: str, *, config: str = "c1") -> LoggedRequest:
    """Return what the ledger holds of a decision."""
    score = decision.score
    return LoggedRequest(
        id="req_1",
        tenant="acme",
        unit="~00",
        started=1_800_000_000.0,
        hour=500_000,
        is_stream=False,
        tier=decision.tier,
        reason=decision.reason,
        score=None if score is None else score.value,
        scorer=None if score is None else score.source,
        threshold=decision.threshold,
        policy=decision.policy,
        propensity=1.0,
        verify=decision.verify,
        stay_cost=decision.stay_cost,
        switch_cost=decision.switch_cost,
        experiment="",
        arm="",
        sampled=0.0,
        inputs=inputs,
        config=config,
        outcome="answered",
        source=decision.tier.value,
        first_byte=None,
        spent=1,
        baseline=1,
        duration=None,
        overhead=None,
        finish="stop",
        p_wrong=None,
        cache="",
        reply_key="",
        strong_score=None,
        weak_score=None,
        rating=None,
        flaws=None,
        calls=(),
    )


def asked(rng: random.Random) -> Request:
    """Return a request of any kind."""
    answers = rng.randrange(3)
    large = Holding(tokens=rng.randrange(1, 9_000), prompt_tokens=9_100) if rng.random() < 0.3 else Holding()
    return replace(
        OPEN,
        wanted=rng.choice([None, None, None, Tier.LARGE, Tier.MINI]),
        prompt=Prompt((Turn("assistant", ""),) * answers, max_tokens=rng.choice([None, 7, 900]), tenant="acme"),
        quality=rng.choice([None, None, rng.random()]),
        lean=rng.choice([0.0, 0.0, rng.uniform(-1, 1)]),
        needs=rng.choice([Needs(), Needs(), Needs(frozenset({"tools"}))]),
        stalled=rng.random() < 0.1,
        prefix=Prefix("s", None, large, Holding(tokens=rng.randrange(50)), rng.randrange(500)),
    )


def decided(policy: Policy, request: Request, score: Score | None) -> Decision:
    """Decide as the pipeline does, where both tiers may serve."""
    if not policy.needs_score(request):
        return policy.decide(request, None)
    if request.stalled:
        return Decision(Tier.LARGE, "stalled", None, None, policy.version)
    return policy.decide(request, score)


def sticky(decider: Decider, policy: Policy) -> Policy:
    """Return the policy with what staying is worth at the prices of the day of `kept`."""
    large, mini = (decider.price_on(tier, PRICED_ON) for tier in Tier)
    return Sticky(policy, lambda: large, lambda: mini)


def score_of(rng: random.Random) -> Score | None:
    return Score(rng.random(), "rules@1") if rng.random() < 0.95 else None


def replayed(decider: Decider, make: Callable[[Request, Score | None], tuple[Decision, str]]) -> Check:
    """Return how decisions of all kinds of requests come out."""
    rng = random.Random(7)
    return checked((kept(*make(asked(rng), score_of(rng))) for _ in range(300)), decider)


@pytest.mark.parametrize(
    "policy",
    [
        {"use": "threshold", "threshold": 0.1 + 0.2},
        {"use": "cascade", "easy": 0.3, "hard": 0.7, "wrong": 1 / 3},
        {"use": "explicit", "tier": "mini"},
        {"use": "threshold", "default_tier": "mini"},
    ],
)
def test_decisions_of_each_policy_are_equal_to_the_last_bit(policy: dict[str, object]) -> None:
    decider = decider_of(policy=policy)
    stays = policy["use"] != "explicit"
    served = sticky(decider, decider.policy) if stays else decider.policy

    def make(request: Request, score: Score | None) -> tuple[Decision, str]:
        return decided(served, request, score), decision_inputs(request, BOTH)

    check = replayed(decider, make)
    assert check.unequal.total() == check.others.total() == check.undecidable.total() == 0
    assert check.equal.total() == 300
    assert check.equal["asked"] > 50
    assert (AFFINITY in check.equal) == (policy["use"] == "cascade")
    assert "300 decisions are equal to the last bit" in check.words()[0]


def test_alarms_budgets_and_caps_move_decisions_again() -> None:
    decider = decider_of()
    decider.policy = decider.promise = certified_policy()
    alarmed = certified_policy()
    alarmed.stand_after(1)
    pace = Pace(1.0 / 3.0, 0.95)
    paced = sticky(decider, Paced(alarmed, lambda _asked: pace, alarmed.curve))

    def make(request: Request, score: Score | None) -> tuple[Decision, str]:
        return decided(paced, request, score), decision_inputs(request, BOTH, pace=pace)

    check = replayed(decider, make)
    assert check.unequal.total() == check.others.total() == 0
    assert check.equal[PACED] > 0
    assert check.equal["alarm"] > 0


def test_what_the_cap_moved_is_moved_again() -> None:
    decider = decider_of(policy={"use": "threshold", "threshold": 0.3})
    share = LargeShare(usual=0.2, margin=0.05, window=1_000, caps=True)
    share.recall("acme", 22.123456789)
    served = sticky(decider, decider.policy)

    def make(request: Request, score: Score | None) -> tuple[Decision, str]:
        decision = share.weigh(request, decided(served, request, score))
        excess = share.excess("acme") if decision.reason == CAPPED else None
        return decision, decision_inputs(request, BOTH, excess=excess)

    check = replayed(decider_of(policy={"use": "threshold", "threshold": 0.3}), make)
    assert check.unequal.total() == 0
    assert check.equal[CAPPED] > 0


def test_what_could_not_be_paid_for_goes_to_mini_again() -> None:
    decider = decider_of(policy={"use": "threshold", "threshold": 0.3})
    pace = Pace(0.5, 0.4)
    paced = Paced(decider.policy, lambda _asked: pace)
    decision = paced.affordable(OPEN, Score(0.55, "rules@1"))
    assert decision is not None
    check = checked([kept(decision, decision_inputs(OPEN, BOTH, pace=pace, affordable=False))], decider)
    assert check.equal == {PACED: 1}
    assert checked([kept(decision, '{"affordable":false}')], decider).undecidable == {UNKNOWN_FLOOR: 1}


def test_what_was_dear_before_the_price_rose_goes_to_mini_again() -> None:
    decider = decider_of(policy={"use": "threshold", "threshold": 0.3})
    pace = Pace(0.0, 0.2)
    decision = Paced(decider.policy, lambda _asked: pace).affordable(OPEN, Score(0.55, "rules@1"))
    assert decision is not None
    check = checked([kept(decision, decision_inputs(OPEN, BOTH, pace=pace, affordable=False))], decider)
    assert (check.equal, check.undecidable) == ({PACED: 1}, {})


@pytest.mark.parametrize("because", ["capability", UNCERTIFIED])
def test_a_tier_that_alone_may_serve_serves_again(because: str) -> None:
    decider = decider_of()
    decision = Decision(Tier.LARGE, because, None, None, decider.policy.version)
    check = checked([kept(decision, decision_inputs(OPEN, (Tier.LARGE,), because=because))], decider)
    assert check.equal == {because: 1}


def test_a_single_bit_is_a_difference_and_is_named() -> None:
    decider = decider_of(policy={"use": "threshold", "threshold": 0.3})
    decision = decided(decider.policy, OPEN, Score(0.5, "rules@1"))
    check = checked([kept(decision, "")._replace(threshold=0.30000000000000004)], decider)
    assert check.unequal == {"score": 1}
    assert check.examples[0].startswith("req_1: threshold was 0x1.3333333333334p-2, is 0x1.3333333333333p-2")
    assert "1 are not: score 1" in check.words()


def test_other_policies_and_what_is_not_told_are_counted_apart() -> None:
    decider = decider_of(policy={"use": "threshold", "threshold": 0.3})
    other = decider_of(policy={"use": "threshold", "threshold": 0.4}).policy
    decision = decided(other, OPEN, Score(0.35, "rules@1"))
    refused = Decision(Tier.LARGE, "capability", None, None, decider.policy.version)
    kept_reply = Decision(Tier.MINI, "kept", None, None, decider.policy.version)
    rows = [
        kept(decision, ""),
        kept(decision, "", config=""),
        kept(decision, "{nonsense"),
        kept(refused, ""),
        kept(kept_reply, ""),
    ]
    check = checked(rows, decider)
    assert check.others == {"threshold@0.4/large": 1}
    assert check.equal.total() == check.unequal.total() == 0
    assert check.undecidable.total() == 4
    assert any("made before the ledger kept" in why for why in check.undecidable)
    assert set(check.as_json()) == {"equal", "unequal", "other_policies", "undecidable", "examples"}


def test_what_had_moved_decisions_then_moves_nothing_in_another_world() -> None:
    decider = Decider(config_of(policy={"use": "threshold", "threshold": 0.3}), recalls=False)
    pace = Pace(0.5, 0.4)
    row = kept(Decision(Tier.MINI, PACED, Score(0.5, "s"), 0.6, "x"), decision_inputs(OPEN, BOTH, pace=pace))
    found = decider.decide(row)
    assert not isinstance(found, Undecidable)
    assert (found.tier, found.threshold) == (Tier.LARGE, 0.3)


# --- inputs ----------------------------------------------------------------------------------------


def test_of_the_usual_request_nothing_is_kept() -> None:
    assert decision_inputs(OPEN, BOTH) == ""
    assert decision_inputs(OPEN, BOTH, pace=Pace(0.0, 0.9)) == ""


def test_what_is_unusual_is_kept_and_nothing_else() -> None:
    assert decision_inputs(replace(OPEN, wanted=Tier.MINI), BOTH) == '{"wanted":"mini"}'
    assert decision_inputs(replace(OPEN, quality=0.1 + 0.2), BOTH) == '{"quality":0.30000000000000004}'
    assert read_inputs('{"quality":0.30000000000000004}').quality == 0.1 + 0.2


@pytest.mark.parametrize("text", ["{", '{"lean":"much"}', "[]"])
def test_text_that_is_none_of_ours_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="no inputs of a decision"):
        read_inputs(text)


def test_an_alarm_is_read_from_the_policys_version() -> None:
    found: Certified = certified_policy()
    assert "!" not in found.version
    found.stand_after(2)
    assert found.version.endswith("!2")
