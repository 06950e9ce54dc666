"""Tests router/replaying/answers.py: of whom another decision asks what, as far as the ledger knows."""

from collections.abc import Callable

import pytest

from router.base import Decision, Tier
from router.ledger.replays import LoggedCall, LoggedRequest
from router.replaying.answers import Answered, answered, judged

MINI, SECOND, LARGE, SHADOW = 1, 10, 100, 1_000  # nano-USD
EASY, HARD = (Decision(tier, "", None, None, "") for tier in (Tier.MINI, Tier.LARGE))
One = Callable[..., LoggedRequest]


def call(kind: str, tier: Tier | None, cost: int, *, error: str = "", told: str = "provider") -> LoggedCall:
    return LoggedCall(kind, tier, error, cost, None, told)


def between(wrong: float) -> Decision:
    return Decision(Tier.MINI, "between", None, None, "", verify=wrong)


JUDGE = call("judge", Tier.MINI, SECOND)
VERIFIED = (JUDGE, call("primary", Tier.MINI, MINI), call("shadow", Tier.LARGE, SHADOW))
ESCALATED = (JUDGE, call("escalation", Tier.MINI, MINI), call("primary", Tier.LARGE, LARGE))
CUT = (JUDGE, call("escalation", Tier.MINI, MINI, told="tokenizer"), *ESCALATED[2:], call("shadow", Tier.MINI, SHADOW))


@pytest.fixture
def one(logged_as: Callable[..., LoggedRequest]) -> One:
    usual = logged_as()._replace(verify=0.5, score=0.4)
    return lambda source, p_wrong, calls, **more: usual._replace(source=source, p_wrong=p_wrong, calls=calls, **more)


def found_of(logged: LoggedRequest, decision: Decision) -> Answered:
    found = judged(logged, decision, lambda each: each.cost)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("source", "p_wrong", "calls", "decision", "by", "known"),
    [
        ("mini", 0.3, VERIFIED, between(0.4), "mini", MINI + SECOND),
        ("mini", 0.3, VERIFIED, EASY, "mini", MINI),
        ("large", 0.7, ESCALATED, between(0.7), "large", MINI + SECOND + LARGE),
        ("large", 0.7, ESCALATED, between(0.71), "mini", MINI + SECOND),
        ("large", 0.7, ESCALATED, EASY, "mini", MINI),
        ("large", 0.7, ESCALATED, HARD, "large", LARGE),
        ("large", 0.7, CUT, HARD, "large", LARGE),
    ],
)
def test_what_was_asked_for_is_known(
    one: One, source: str, p_wrong: float, calls: tuple[LoggedCall, ...], decision: Decision, by: str, known: int
) -> None:
    found = found_of(one(source, p_wrong, calls), decision)
    assert (found.was_large, found.is_large, found.known_large) == (source == "large", by == "large", by == "large")
    assert found.spent == found.answer == known


@pytest.mark.parametrize(
    ("source", "p_wrong", "calls", "decision", "other"),
    [
        ("mini", 0.3, VERIFIED, between(0.3), MINI + SECOND + SHADOW),
        ("mini", 0.3, VERIFIED, HARD, SHADOW),
        ("large", 0.7, CUT, between(0.8), SECOND + SHADOW),
        ("large", 0.7, CUT, EASY, SHADOW),
        ("mini", 0.3, VERIFIED[:2], HARD, None),
        ("mini", 0.3, (*VERIFIED[:2], call("shadow", Tier.LARGE, SHADOW, told="tokenizer")), HARD, None),
    ],
)
def test_what_nobody_was_asked_for_is_told_by_shadow_calls_alone(
    one: One, source: str, p_wrong: float, calls: tuple[LoggedCall, ...], decision: Decision, other: int | None
) -> None:
    found = found_of(one(source, p_wrong, calls), decision)
    assert found.is_large != found.was_large == found.known_large
    assert (found.other, found.is_drawn) == (other, True)


def test_a_stream_that_would_have_been_cut_sooner_is_told(one: One) -> None:
    assert found_of(one("mini", 0.3, VERIFIED, is_stream=True), between(0.2)).is_cut_sooner
    assert not found_of(one("mini", 0.3, VERIFIED, is_stream=True), HARD).is_cut_sooner


@pytest.mark.parametrize(("wrong", "by"), [(0.39, "large"), (0.4, "large"), (0.41, "mini")])
def test_where_nothing_could_be_judged_in_time_the_score_decides(one: One, wrong: float, by: str) -> None:
    found = found_of(one("mini", None, VERIFIED[:2]), between(wrong))
    assert found.is_large == (by == "large")
    assert found.is_drawn == (by == "mini")  # else a makeshift, for which no call is drawn


@pytest.mark.parametrize(
    "calls",
    [
        (call("primary", Tier.MINI, MINI, error="Broken"), call("failover", Tier.LARGE, LARGE)),
        (JUDGE, call("primary", Tier.LARGE, 0, error="ConnectFailed"), call("failover", Tier.MINI, MINI)),
    ],
)
def test_who_failed_is_taken_to_fail_again(one: One, calls: tuple[LoggedCall, ...]) -> None:
    source = calls[-1].tier
    assert source is not None
    for decision in (EASY, HARD, between(0.9)):
        found = found_of(one(source.value, 0.6, calls), decision)
        assert found.was_large == found.is_large == (source is Tier.LARGE)
        assert found.spent == sum(each.cost or 0 for each in calls)


def test_what_stands_beside_both_tiers_is_needed_whoever_answers(one: One) -> None:
    vectors = call("classifier", None, 5)
    assert found_of(one("mini", 0.3, (vectors, *VERIFIED)), EASY).spent == MINI + 5
    assert found_of(one("mini", 0.3, (vectors, *VERIFIED)), HARD).other == SHADOW + 5


def test_without_a_judgement_the_tier_that_was_decided_on_counts(one: One) -> None:
    logged = one("mini", None, VERIFIED, verify=None, tier=Tier.MINI)
    found = answered(logged, Tier.LARGE, lambda each: each.cost)
    assert found == Answered(False, True, False, MINI + SECOND, MINI, SHADOW)  # noqa: FBT003 - in their order
    assert answered(one("mini", None, ()), Tier.LARGE, lambda each: each.cost) is None


def test_an_unknown_cost_of_what_is_needed_is_unknown(one: One) -> None:
    lost = (JUDGE._replace(cost=None), *VERIFIED[1:])
    assert found_of(one("mini", 0.3, lost), between(0.4)).spent is None
    assert found_of(one("mini", 0.3, lost), EASY).spent == MINI
