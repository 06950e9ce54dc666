"""Tests router/policies/paced.py, also over certified levels, and what a tenant may be given for its money."""

from collections.abc import Sequence

import pytest
from pydantic import ValidationError

from classifier.base import Score
from router.base import Decision, Request, Tier
from router.config.limits import LimitsOptions, TenantOptions
from router.policies.cascade import Zones
from router.policies.paced import ALL_MINI, PACED, Curve, Pace, Paced
from router.policies.threshold import Threshold
from tests.router.policies.test_certified import level, policy, request


def paced(pace: Pace | None, *, threshold: float = 0.4, curve: Curve | None = None) -> Paced:
    return Paced(Threshold(threshold, Tier.LARGE), lambda _request: pace, curve)


def decided(found: Paced, score: float | None, asked: Request | None = None) -> tuple[str, str, float | None]:
    decision = found.decide(asked or request(), None if score is None else Score(score, "s"))
    return decision.tier.value, decision.reason, decision.threshold and round(decision.threshold, 3)


# --- uncertified -----------------------------------------------------------------------------------


def test_with_money_enough_nothing_changes() -> None:
    found = paced(Pace(0.0, 0.2))
    assert decided(found, 0.39) == ("mini", "score", 0.4)
    assert decided(found, 0.41) == ("large", "score", 0.4)
    assert decided(paced(None), 0.41) == ("large", "score", 0.4)
    assert found.version == paced(None).version
    assert found.threshold == 0.4


def test_the_threshold_moves_to_the_floor_as_money_gets_dearer() -> None:
    assert decided(paced(Pace(0.5, 0.2)), 0.59) == ("mini", PACED, 0.6)
    assert decided(paced(Pace(0.5, 0.2)), 0.61) == ("large", "score", 0.6)
    assert decided(paced(Pace(1.0, 0.2)), 0.79) == ("mini", PACED, 0.8)
    assert decided(paced(Pace(1.0, 0.2)), 0.81) == ("large", "score", 0.8)


def test_the_budget_goes_beyond_the_floor_where_it_comes_first() -> None:
    assert decided(paced(Pace(1.0, 0.2, budget_first=True)), 0.81) == ("large", "score", 0.8)
    assert decided(paced(Pace(1.5, 0.2, budget_first=True)), 0.89) == ("mini", PACED, 0.9)
    assert decided(paced(Pace(2.0, 0.2, budget_first=True)), 1.0) == ("mini", PACED, 1.0)
    assert decided(paced(Pace(2.0, 0.2)), 0.81) == ("large", "score", 0.8)


def test_a_floor_above_the_configured_quality_holds_too() -> None:
    assert decided(paced(Pace(0.0, 0.9)), 0.2) == ("large", "score", 0.1)
    assert decided(paced(Pace(1.0, 0.9)), 0.2) == ("large", "score", 0.1)


def test_what_was_asked_for_is_left_alone() -> None:
    dear = paced(Pace(2.0, 0.0, budget_first=True))
    assert decided(dear, 0.9, request(wanted=Tier.LARGE))[:2] == ("large", "asked")
    assert decided(dear, None)[:2] == ("large", "default")
    assert decided(dear, 0.95, request(quality=0.9)) == ("large", "score", 0.1)
    assert not dear.needs_score(request(wanted=Tier.LARGE))
    assert dear.needs_score(request())


def test_of_a_cascade_what_is_hard_goes_to_mini_and_what_is_verified_stays_so() -> None:
    found = Paced(Zones(0.2, 0.6, 0.5, Tier.LARGE), lambda _request: Pace(1.0, 0.1))
    assert decided(found, 0.8) == ("mini", PACED, 0.9)
    assert decided(found, 0.95) == ("large", "hard", 0.9)
    between = found.decide(request(), Score(0.4, "s"))
    assert (between.reason, between.verify) == ("between", 0.5)


# --- certified -------------------------------------------------------------------------------------


def certified(pace: Pace, *, alarms: int = 0) -> Paced:
    """Return a policy whose levels .01, .02 and .05 have the thresholds .269, .5 and .731."""
    own = policy()
    for _ in range(alarms):
        while own.version.count("!") == 0 or not own.version.endswith(f"!{alarms}"):
            own.observe_loss(0.0, 1.0)
    return Paced(own, lambda _request: pace, own.curve)


def test_the_threshold_moves_along_the_certified_levels() -> None:
    assert decided(certified(Pace(0.0, 0.95)), 0.49) == ("mini", "certified", 0.5)
    assert decided(certified(Pace(0.5, 0.95)), 0.6) == ("mini", PACED, 0.616)
    assert decided(certified(Pace(1.0, 0.95)), 0.73) == ("mini", PACED, 0.731)
    assert decided(certified(Pace(1.0, 0.95)), 0.74) == ("large", "certified", 0.731)


def test_a_floor_between_two_levels_is_the_stricter_one() -> None:
    assert decided(certified(Pace(1.0, 0.96)), 0.51) == ("large", "certified", 0.5)
    assert decided(certified(Pace(1.0, 0.99)), 0.3) == ("large", "certified", 0.269)
    assert decided(certified(Pace(1.0, 0.999)), 0.01) == ("large", "certified", 0.0)


def test_each_tenant_has_its_own_thresholds() -> None:
    own = policy()
    assert own.curve(request(), 0.95) == pytest.approx([0.5, 0.7311], abs=1e-4)
    assert own.curve(request(tenant="shop"), 0.95) == pytest.approx([0.7311, 0.8808], abs=1e-4)
    assert own.curve(request(quality=0.99), 0.95) == pytest.approx([0.2689, 0.5, 0.7311], abs=1e-4)


def test_after_an_alarm_the_whole_way_is_stricter() -> None:
    assert decided(certified(Pace(1.0, 0.95), alarms=1), 0.6) == ("large", "alarm", 0.5)
    assert decided(certified(Pace(1.0, 0.95), alarms=1), 0.4) == ("mini", PACED, 0.5)


def test_paced_requests_are_no_evidence_of_minis_share() -> None:
    own = policy(level(0.02, 0.0))
    before = own._mini_share
    own.note(request(), Decision(Tier.MINI, PACED, Score(0.6, "s"), 0.7, own.version))
    assert own._mini_share == before


# --- where Large cannot be paid for ----------------------------------------------------------------


def affordable(found: Paced, score: float | None, asked: Request | None = None) -> Decision | None:
    return found.affordable(asked or request(), None if score is None else Score(score, "s"))


def test_mini_answers_down_to_the_floor_and_nobody_below() -> None:
    found = paced(Pace(0.3, 0.2))
    easy, bent = affordable(found, 0.1), affordable(found, 0.79)
    assert easy is not None
    assert bent is not None
    assert (easy.tier, easy.reason) == (Tier.MINI, "score")
    assert (bent.tier, bent.reason, bent.threshold) == (Tier.MINI, PACED, 0.8)
    assert affordable(found, 0.81) is None
    assert affordable(found, None) is None
    assert affordable(paced(None), 0.1) is None
    assert affordable(found, 0.1, request(wanted=Tier.LARGE)) is None


def test_where_the_budget_comes_first_mini_answers_all_but_what_names_a_quality() -> None:
    found = paced(Pace(0.3, 0.2, budget_first=True))
    for score in (0.99, None):
        decision = affordable(found, score)
        assert decision is not None
        assert (decision.tier, decision.reason) == (Tier.MINI, PACED)
    assert affordable(found, 0.5, request(quality=0.9)) is None
    assert affordable(found, None, request(wanted=Tier.LARGE)) is None


def test_nothing_is_verified_that_could_not_be_followed_up() -> None:
    found = Paced(Zones(0.2, 0.6, 0.5, Tier.LARGE), lambda _request: Pace(0.0, 0.5))
    decision = affordable(found, 0.45)
    assert decision is not None
    assert decision.verify is None
    assert affordable(found, 0.55) is None


# --- options ---------------------------------------------------------------------------------------


def pace_of(default: dict[str, object], tenant: dict[str, object]) -> Pace | None:
    options = LimitsOptions.model_validate({"default": default})
    return options.pace_of(TenantOptions.model_validate(tenant))


def test_a_tenant_says_how_far_it_gives_way_or_the_default_does() -> None:
    assert pace_of({}, {}) is None
    assert pace_of({"quality_floor": 0.9}, {}) == Pace(0.0, 0.9)
    assert pace_of({"quality_floor": 0.9}, {"quality_floor": 0.5, "precedence": "budget_first"}) == Pace(
        0.0, 0.5, budget_first=True
    )
    assert pace_of({}, {"precedence": "budget_first"}) is None


@pytest.mark.parametrize("said", [{"quality_floor": 1.1}, {"quality_floor": True}, {"precedence": "cheapest"}])
def test_what_makes_no_sense_is_refused(said: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TenantOptions.model_validate(said)


def test_a_threshold_that_lets_all_through_is_above_every_score() -> None:
    found: Sequence[float] = (1.0, ALL_MINI)
    assert found[0] < found[1]
