"""Tests router/guards/large_share.py, alone, in the pipeline and before escalations (router/metrics/counters.py)."""

import random
from collections.abc import Iterator
from itertools import pairwise

import pytest

from classifier.base import Prompt, Score
from router.base import Decision, Needs, Request, Tier
from router.guards.large_share import CAPPED, OVER, LargeShare
from tests.router.conftest import OpenHouse, chat
from tests.router.verifying import BETWEEN, CHAT, ScriptedVerifier, told

WINDOW, MARGIN, THRESHOLD = 1_000, 0.05, 0.5
WRONG = 0.4

KEY = {"tenant": "one", "key": "0123456789abcdef"}


def request_of(
    tenant: str = "shop", *, quality: float | None = None, features: frozenset[str] = frozenset()
) -> Request:
    """Return a request of a tenant."""
    return Request(
        id="r",
        caller_id="",
        tenant=tenant,
        path="/chat/completions",
        model="auto",
        wanted=None,
        prompt=Prompt(()),
        stream=False,
        wants_usage=False,
        fields={},
        cacheable=False,
        received=0.0,
        deadline=1.0,
        quality=quality,
        needs=Needs(features),
    )


def scored(value: float, reason: str = "score") -> Decision:
    """Return what a threshold makes of a score."""
    tier = Tier.LARGE if value >= THRESHOLD else Tier.MINI
    return Decision(tier, reason, Score(value, "t@1"), THRESHOLD, "threshold@1")


def zoned(value: float) -> Decision:
    """Return what a cascade makes of a score."""
    if value >= THRESHOLD:
        return scored(value, "hard")
    return Decision(Tier.MINI, "between", Score(value, "t@1"), THRESHOLD, "cascade@1", verify=WRONG)


def share_of(
    *, usual: float | None = 0.2, caps: bool = True, window: int = WINDOW, verify: float | None = None
) -> LargeShare:
    """Return a guard."""
    return LargeShare(usual=usual, margin=MARGIN, window=window, caps=caps, verify=verify)


def scores(rng: random.Random, large: float, count: int) -> Iterator[float]:
    """Yield scores of which this share is above the threshold."""
    for _ in range(count):
        yield rng.uniform(THRESHOLD, 1) if rng.random() < large else rng.uniform(0, THRESHOLD - 0.01)


def carried_out(guard: LargeShare, values: Iterator[float], request: Request) -> list[tuple[Decision, str]]:
    """Return what became of the scores, one after the other."""
    done = []
    for value in values:
        decision = guard.weigh(request, scored(value))
        done.append((decision, guard.note(request, decision)))
    return done


@pytest.mark.parametrize("large", [0.3, 0.6, 1.0])
def test_no_window_holds_more_large_decisions_than_usual_and_the_margin(large: float) -> None:
    rng = random.Random(f"attack/{large}")
    done = carried_out(share_of(), scores(rng, large, 6 * WINDOW), request_of())
    are_large = [decision.tier is Tier.LARGE for decision, _ in done]
    counts = [sum(are_large[at : at + WINDOW]) for at in range(0, len(are_large) - WINDOW, 10)]
    assert max(counts) <= (0.2 + MARGIN) * WINDOW + 1
    assert max(counts) > 0.2 * WINDOW
    moved = [decision for decision, found in done if found == CAPPED]
    assert moved
    assert all((decision.tier, decision.reason) == (Tier.MINI, "capped") for decision in moved)


def test_usual_traffic_is_neither_capped_nor_told() -> None:
    rng = random.Random("usual")
    done = carried_out(share_of(), scores(rng, 0.2, 5 * WINDOW), request_of())
    assert [found for _, found in done if found] == []


def test_the_lowest_scores_are_moved_first() -> None:
    rng = random.Random("lowest")
    done = carried_out(share_of(), scores(rng, 0.3, 6 * WINDOW), request_of())
    moved = [decision.score.value for decision, found in done if found == CAPPED and decision.score]
    kept = [decision.score.value for decision, found in done if found != CAPPED and decision.score]
    above = [value for value in kept if value >= THRESHOLD]
    assert sum(moved) / len(moved) + 0.1 < sum(above) / len(above)


def test_a_capped_decision_tells_the_score_that_large_would_have_taken() -> None:
    done = carried_out(share_of(), scores(random.Random("told"), 1.0, WINDOW), request_of())
    moved = [decision for decision, found in done if found == CAPPED]
    assert all(THRESHOLD < (decision.threshold or 0) <= 1 for decision in moved)


def test_without_the_cap_the_excess_is_told_and_nothing_is_moved() -> None:
    done = carried_out(share_of(caps=False), scores(random.Random("told"), 0.5, WINDOW), request_of())
    assert {decision.reason for decision, _ in done} == {"score"}
    found = [found for _, found in done]
    assert found.count(OVER) > 0.3 * WINDOW
    assert OVER not in found[:40]
    assert OVER in found[:200]  # a rise of 30 points is told within some dozens of decisions


def test_a_tenants_own_beginning_is_its_usual_share() -> None:
    rng = random.Random("learned")
    guard = share_of(usual=None)
    assert not any(found for _, found in carried_out(guard, scores(rng, 0.6, 2 * WINDOW), request_of()))
    assert any(found for _, found in carried_out(guard, scores(rng, 0.9, WINDOW), request_of()))


def test_one_tenants_excess_is_not_anothers() -> None:
    guard = share_of()
    carried_out(guard, scores(random.Random("one"), 1.0, WINDOW), request_of("one"))
    assert guard.weigh(request_of("one"), scored(0.6)).reason == "capped"
    assert guard.weigh(request_of("two"), scored(0.6)).reason == "score"


def test_looking_notes_nothing() -> None:
    guard = share_of()
    for _ in range(5 * WINDOW):
        guard.weigh(request_of(), scored(0.9))
    assert guard.weigh(request_of(), scored(0.6)).reason == "score"


@pytest.mark.parametrize(
    "decision",
    [
        scored(0.6, "certified"),
        scored(0.6, "alarm"),
        Decision(Tier.LARGE, "asked", None, None, "p"),
        Decision(Tier.LARGE, "stalled", None, None, "p"),
    ],
)
def test_what_was_asked_for_or_promised_is_never_moved(decision: Decision) -> None:
    guard = share_of()
    carried_out(guard, scores(random.Random("full"), 1.0, WINDOW), request_of())
    assert guard.weigh(request_of(), decision) is decision


def test_a_promise_beyond_the_limit_is_told() -> None:
    guard, request = share_of(), request_of()
    found = [guard.note(request, guard.weigh(request, scored(0.9, "certified"))) for _ in range(WINDOW)]
    assert found.count(OVER) > WINDOW / 2


@pytest.mark.parametrize(("reason", "quality"), [("hard", None), ("score", 0.98)])
def test_neither_zones_nor_a_wish_that_nobody_certified_lead_around_the_cap(reason: str, quality: float | None) -> None:
    guard, request = share_of(), request_of(quality=quality)
    carried_out(guard, scores(random.Random("full"), 1.0, WINDOW), request_of())
    assert guard.weigh(request, scored(0.6, reason)).reason == "capped"


def cascaded(guard: LargeShare, rng: random.Random, *, hard: float, wrong: float, count: int) -> list[tuple[bool, str]]:
    """Return for each request whether Large was called, and what was told of its escalation.

    Args:
        hard: share of requests whose score is that of Large.
        wrong: share of Mini's replies that look wrong.
    """
    done, request = list[tuple[bool, str]](), request_of()
    for value in scores(rng, hard, count):
        decision = guard.weigh(request, zoned(value))
        guard.note(request, decision)
        is_large, found = decision.tier is Tier.LARGE, ""
        if decision.verify is not None and rng.random() < wrong:
            found = guard.note_escalation(request, decision, rng.uniform(WRONG, 1))
            is_large = found != CAPPED
        done.append((is_large, found))
    return done


@pytest.mark.parametrize(("hard", "wrong"), [(0.0, 0.6), (0.0, 1.0), (0.3, 0.3), (1.0, 1.0), (1.0, 0.0)])
def test_no_window_holds_more_calls_to_large_whether_by_score_or_by_a_doubtful_reply(hard: float, wrong: float) -> None:
    done = cascaded(share_of(verify=WRONG), random.Random(f"{hard}/{wrong}"), hard=hard, wrong=wrong, count=6 * WINDOW)
    are_large = [is_large for is_large, _ in done]
    counts = [sum(are_large[at : at + WINDOW]) for at in range(0, len(are_large) - WINDOW, 10)]
    assert 0.2 * WINDOW < max(counts) <= (0.2 + MARGIN) * WINDOW + 1


def test_usual_escalations_are_neither_capped_nor_told() -> None:
    done = cascaded(share_of(verify=WRONG), random.Random("usual"), hard=0.1, wrong=0.11, count=5 * WINDOW)
    assert [found for _, found in done if found] == []


def test_replies_that_look_wrong_on_purpose_are_told_where_nothing_is_capped() -> None:
    done = cascaded(share_of(caps=False), random.Random("told"), hard=0.0, wrong=0.5, count=WINDOW)
    found = [each for _, each in done]
    assert CAPPED not in found
    assert found.count(OVER) > 0.3 * WINDOW
    assert OVER in found[:200]


def test_escalations_are_part_of_what_is_usual() -> None:
    rng, guard = random.Random("learned"), share_of(usual=None, verify=WRONG)
    before = cascaded(guard, rng, hard=0.2, wrong=0.5, count=2 * WINDOW)
    assert not any(found for _, found in before)
    assert any(found for _, found in cascaded(guard, rng, hard=0.2, wrong=1.0, count=WINDOW))


def test_the_least_doubtful_reply_stays_first() -> None:
    guard, request = share_of(verify=WRONG), request_of()
    decision = zoned(0.1)
    asked, granted = [WRONG, 0.7, 0.99], list[list[bool]]()
    for _ in range(WINDOW):
        guard.note(request, decision)
        before = guard._tenants["shop"].excess
        answers = []
        for p_wrong in asked:
            guard._tenants["shop"].excess = before
            answers.append(guard.note_escalation(request, decision, p_wrong) != CAPPED)
        granted.append(answers)
    assert [True, True, True] in granted
    assert any(answers not in ([True] * 3, [False] * 3) for answers in granted)
    assert all(later >= sooner for answers in granted for sooner, later in pairwise(answers))


def test_who_is_capped_is_verified_where_there_is_one_text_to_verify() -> None:
    guard = share_of(verify=WRONG)
    carried_out(guard, scores(random.Random("full"), 1.0, WINDOW), request_of())
    capped = guard.weigh(request_of(), zoned(0.6))
    assert (capped.tier, capped.reason, capped.verify) == (Tier.MINI, "capped", WRONG)
    for feature in ("tools", "several_choices"):
        capped = guard.weigh(request_of(features=frozenset({feature})), zoned(0.6))
        assert (capped.tier, capped.reason, capped.verify) == (Tier.MINI, "capped", None)
    unverified = share_of()
    carried_out(unverified, scores(random.Random("full"), 1.0, WINDOW), request_of())
    assert unverified.weigh(request_of(), scored(0.6)).verify is None


def test_another_tenants_escalations_are_their_own() -> None:
    guard = share_of(verify=WRONG)
    cascaded(guard, random.Random("one"), hard=0.0, wrong=1.0, count=WINDOW)
    guard.note(request_of("two"), zoned(0.1))
    assert guard.note_escalation(request_of("two"), zoned(0.1), 0.5) == ""
    assert guard.note_escalation(request_of("shop"), zoned(0.1), 0.5) == CAPPED


def test_the_alarm_ends_when_its_cause_does() -> None:
    rng = random.Random("end")
    guard = share_of(caps=False)
    carried_out(guard, scores(rng, 1.0, 20 * WINDOW), request_of())
    carried_out(guard, scores(rng, 0.1, WINDOW), request_of())
    assert not any(found for _, found in carried_out(guard, scores(rng, 0.2, WINDOW), request_of()))


async def test_the_cap_is_in_the_answer_and_in_the_metrics(open_house: OpenHouse) -> None:
    limits = {"usual": 0.0, "margin": 0.05, "window": 100, "cap": True}
    async with open_house(policy={"use": "threshold", "threshold": 0.0}, large_share=limits) as house:
        answers = [await house.client.post("/v1/chat/completions", json=chat(f"{i}")) for i in range(12)]
        for _ in range(3):
            dry = await house.client.post("/v1/route", json=chat())
        metrics = (await house.client.get("/metrics")).text
    reasons = [answer.headers["x-tandem-reason"] for answer in answers]
    assert reasons[:3] == ["score"] * 3
    assert "capped" in reasons
    assert dry.json()["reason"] == "capped"
    assert f'tandem_large_share_capped_total{{tenant="default"}} {reasons.count("capped")}.0' in metrics
    assert reasons.count("score") <= 6


@pytest.mark.parametrize(
    ("said", "keys", "capped"),
    [({}, [], "no"), ({}, [KEY], "yes"), ({"cap": False}, [KEY], "no"), ({"cap": True}, [], "yes")],
    ids=["no keys", "keys", "keys, and told not to", "no keys, and told to"],
)
async def test_where_keys_tell_tenants_apart_it_is_capped_unless_told_otherwise(
    said: dict[str, bool], keys: list[dict[str, str]], capped: str, open_house: OpenHouse
) -> None:
    limits = {"usual": 0.0, "margin": 0.05, "window": 100, **said}
    headers = {"authorization": f"Bearer {KEY['key']}"}
    async with open_house(policy={"use": "threshold", "threshold": 0.0}, large_share=limits, keys=keys) as house:
        answers = [
            await house.client.post("/v1/chat/completions", json=chat(f"{i}"), headers=headers) for i in range(12)
        ]
    reasons = {answer.headers["x-tandem-reason"] for answer in answers}
    assert reasons == ({"score", "capped"} if capped == "yes" else {"score"})


async def test_a_capped_answer_is_not_kept_for_later(open_house: OpenHouse) -> None:
    limits = {"usual": 0.0, "margin": 0.05, "window": 100, "cap": True}
    policy = {"use": "threshold", "threshold": 0.0}
    async with open_house(policy=policy, large_share=limits, cache={"enabled": True}) as house:
        body = [chat(f"{i}", temperature=0) for i in range(12)]
        first = [await house.client.post("/v1/chat/completions", json=each) for each in body]
        again = await house.client.post("/v1/chat/completions", json=body[-1])
    assert first[-1].headers["x-tandem-reason"] == "capped"
    assert again.headers["x-tandem-cache"] == "miss"


LIMITS = {"usual": 0.0, "margin": 0.05, "window": 100, "cap": True}


@pytest.fixture
def verifier(monkeypatch: pytest.MonkeyPatch) -> ScriptedVerifier:
    """Return the verifier that every house of a test asks; it holds every reply to be wrong."""
    scripted = ScriptedVerifier(p=0.6)
    monkeypatch.setattr("router.deciding.load_verifier", lambda *_, **__: scripted)
    return scripted


@pytest.mark.parametrize("stream", [False, True])
async def test_escalations_are_capped_and_in_the_metrics(
    stream: bool,  # noqa: FBT001
    open_house: OpenHouse,
    verifier: ScriptedVerifier,
) -> None:
    policy = {**BETWEEN, "second_sample": False}
    async with open_house(policy=policy, large_share=LIMITS, cache={"enabled": True}) as house:
        body = [chat(f"{i}", temperature=0, stream=stream) for i in range(12)]
        answers = [await house.client.post(CHAT, json=each) for each in body]
        again = await house.client.post(CHAT, json=body[-1])
        calls = len(house.large.calls)
        metrics = (await house.client.get("/metrics")).text
    reasons = [answer.headers["x-tandem-reason"] for answer in answers]
    assert reasons[:3] == ["escalated"] * 3
    assert set(reasons) == {"escalated", "capped"}
    assert reasons.count("escalated") <= 6
    assert again.headers["x-tandem-cache"] == "miss"  # a makeshift
    capped = [*reasons, again.headers["x-tandem-reason"]].count("capped")
    assert calls == len(answers) + 1 - capped
    assert f'tandem_large_share_capped_total{{tenant="default"}} {capped}.0' in metrics
    assert f'tandem_verifications_total{{verdict="capped"}} {capped}.0' in metrics
    row = house.rows()[-1]
    assert (row["tier"], row["reason"], row["p_wrong"]) == ("mini", "between", 0.6)
    assert told(row) == [("primary", "mini", "")]


async def test_hard_requests_beyond_the_cap_are_verified_and_told_of_once(
    open_house: OpenHouse, verifier: ScriptedVerifier
) -> None:
    policy = {**BETWEEN, "hard": 0.0, "second_sample": False}
    async with open_house(policy=policy, large_share=LIMITS) as house:
        answers = [await house.client.post(CHAT, json=chat(f"{i}")) for i in range(12)]
        verifier.p = 0.1
        fine = await house.client.post(CHAT, json=chat())
        dry = await house.client.post("/v1/route", json=chat())
        metrics = (await house.client.get("/metrics")).text
    reasons = [answer.headers["x-tandem-reason"] for answer in answers]
    assert reasons[:3] == ["hard"] * 3
    assert reasons[-1] == "capped"
    assert reasons.count("hard") + reasons.count("escalated") <= 6
    assert fine.headers["x-tandem-reason"] == "verified"
    assert (dry.json()["reason"], dry.json()["verify"]) == ("capped", 0.5)
    capped = len(answers) + 1 - reasons.count("hard")
    assert f'tandem_large_share_capped_total{{tenant="default"}} {capped}.0' in metrics
