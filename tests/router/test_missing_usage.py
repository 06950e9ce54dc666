"""What is charged where a backend told nothing, a part, or what cannot be true.

Tests router/account.py, router/relay.py and router/held.py together with router/ledger/untold_usage.py and
router/ledger/usage_estimates.py.
"""

from typing import Any

import msgspec
import pytest

from backends.base import Lost, StreamBroken
from router.base import Price, Tier
from router.dispatch import begin
from router.ledger.usage_estimates import FEWEST
from router.routes import Route
from tests.router.conftest import House, OpenHouse, Served, chat
from tests.router.guards.limits.asking import request_of
from tests.router.scripted import COMPLETION, EVENTS, ScriptedBackend
from tests.router.verifying import BETWEEN, ScriptedVerifier, attempts_of, second_of

CHAT = "/v1/chat/completions"
UNTOLD = (EVENTS[0], EVENTS[1], EVENTS[3])
TRUE_END = b',"finish_reason":"stop"'
TOKEN = b'{"token":"w","logprob":-0.25}'
TRUE, UNTRUE = b'"total_tokens":14', b'"total_tokens":15'


def attempt_of(house: House, at: int = -1) -> dict[str, Any]:
    attempts: Any = house.rows()[at]["attempts"]
    (attempt,) = attempts
    return dict(attempt)


async def test_a_stream_that_tells_no_usage_is_estimated_and_says_so(open_house: OpenHouse) -> None:
    async with open_house() as house:
        house.mini.events = UNTOLD
        assert (await house.client.post(CHAT, json=chat("x" * 400, model="mini", stream=True))).status_code == 200
        metrics = (await house.client.get("/metrics")).text
    attempt = attempt_of(house)
    assert attempt["usage_source"] == "tokenizer"
    assert 100 <= attempt["fresh_input"] <= 120, "four bytes a token, until something is learnt"
    assert attempt["output"] == 2
    assert attempt["cost"]
    assert house.rows()[0]["baseline"] == 10 * attempt["cost"]
    assert 'tandem_usage_sources_total{source="tokenizer"} 1.0' in metrics


async def test_estimates_follow_what_the_same_model_told_before(open_house: OpenHouse) -> None:
    async with open_house() as house:
        for _ in range(FEWEST):
            await house.client.post(CHAT, json=chat("x" * 400, model="mini", stream=True))
        house.mini.events = UNTOLD
        await house.client.post(CHAT, json=chat("x" * 400, model="mini", stream=True))
    told, estimated = attempt_of(house, 0), attempt_of(house)
    assert (told["usage_source"], estimated["usage_source"]) == ("provider", "tokenizer")
    assert (estimated["fresh_input"], estimated["cached_input"], estimated["output"]) == (10, None, 4)


async def test_a_reply_of_mini_that_nobody_was_given_is_estimated_like_one_that_was(
    open_house: OpenHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.deciding.load_verifier", lambda *_, **__: ScriptedVerifier(p=0.9))
    sure = COMPLETION.replace(TRUE_END, b',"logprobs":{"content":[' + b",".join([TOKEN] * 40) + b"]}" + TRUE_END)
    async with open_house(policy={**BETWEEN, "ask_logprobs": True, "second_sample": True}) as house:
        second = second_of(house)
        second.events = UNTOLD
        house.mini.completion = sure[: sure.index(b',"usage"')] + b"}"
        await house.client.post(CHAT, json=chat("x" * 400))
    estimated_input = round(len(msgspec.json.encode(chat("x" * 400)["messages"])) / 4)
    judge, escalation, primary = attempts_of(house.rows()[0])
    assert [each["kind"] for each in (judge, escalation, primary)] == ["judge", "escalation", "primary"]
    assert {each["usage_source"] for each in (judge, escalation)} == {"tokenizer"}
    unasked = "log-probabilities that only we asked for are no part of it"
    assert (judge["output"], escalation["output"]) == (2, round((COMPLETION.index(b',"usage"') + 1) / 5)), unasked
    assert judge["fresh_input"] == escalation["fresh_input"] == estimated_input
    assert all(each["cost"] for each in (judge, escalation, primary))


@pytest.mark.parametrize(
    ("policy", "mini", "second", "kinds"),
    [
        ({"second_sample": False}, {"hangs": True}, {}, ["hedge_loser", "escalation", "primary"]),
        ({"second_sample": False}, {"breaks_with": StreamBroken("cut")}, {}, ["hedge_loser", "primary", "failover"]),
        (
            {"second_sample": True},
            {},
            {"hangs": True},
            ["hedge_loser", "judge", "hedge_loser", "escalation", "primary"],
        ),
    ],
)
async def test_who_was_asked_in_vain_for_a_reply_that_was_cut_or_broke_has_its_attempt(
    policy: dict[str, object],
    mini: dict[str, object],
    second: dict[str, object],
    kinds: list[str],
    open_house: OpenHouse,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("router.deciding.load_verifier", lambda *_, **__: ScriptedVerifier(p=0.9))
    async with open_house(policy={**BETWEEN, "hold_seconds": 0.05, **policy}) as house:
        for script, played in ((second_of(house), second), (house.mini, mini)):
            script.before = (Lost("slow:1", None),)
            script.events = (EVENTS[0],) if played else EVENTS
            for name, value in played.items():
                setattr(script, name, value)
        await house.client.post(CHAT, json=chat(stream=True))
    attempts = attempts_of(house.rows()[0])
    assert [each["kind"] for each in attempts] == kinds
    assert {each["replica"] for each in attempts if each["kind"] == "hedge_loser"} == {"slow:1"}


async def test_a_reply_that_nobody_was_given_and_that_contradicts_itself_is_not_charged(
    open_house: OpenHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.deciding.load_verifier", lambda *_, **__: ScriptedVerifier(p=0.9))
    async with open_house(policy={**BETWEEN, "second_sample": False}) as house:
        house.mini.completion = COMPLETION.replace(TRUE, UNTRUE)
        await house.client.post(CHAT, json=chat())
    escalation = attempts_of(house.rows()[0])[0]
    assert (escalation["kind"], escalation["usage_source"], escalation["cost"]) == ("escalation", "contradictory", None)


async def test_what_cannot_be_true_is_recorded_as_such_and_is_neither_charged_nor_free(open_house: OpenHouse) -> None:
    async with open_house() as house:
        house.mini.completion = COMPLETION.replace(TRUE, UNTRUE)
        house.mini.events = tuple(event.replace(TRUE, UNTRUE) for event in EVENTS)
        for stream in (False, True):
            answer = await house.client.post(CHAT, json=chat(model="mini", stream=stream))
            assert answer.status_code == 200
        metrics = (await house.client.get("/metrics")).text
    for at in (0, 1):
        attempt = attempt_of(house, at)
        assert (attempt["usage_source"], attempt["cost"], attempt["fresh_input"]) == ("contradictory", None, None)
    assert 'tandem_unpriced_reasons_total{why="contradictory"} 2.0' in metrics


async def test_a_stream_that_breaks_after_its_usage_is_charged_by_it_and_says_that_it_is_a_part(
    serve_house: Served,
) -> None:
    async with serve_house() as house:
        house.mini.events = (EVENTS[0], EVENTS[2])
        house.mini.breaks_with = StreamBroken("cut")
        async with house.client.stream("POST", CHAT, json=chat(model="mini", stream=True)) as answer:
            with pytest.raises(Exception, match=r"peer|closed|incomplete"):
                await answer.aread()
    attempt = attempt_of(house)
    assert (attempt["usage_source"], attempt["error"], attempt["output"]) == ("provider_partial", "StreamBroken", 4)
    assert attempt["cost"]


async def test_a_service_tier_without_a_price_leaves_the_cost_unknown(open_house: OpenHouse) -> None:
    async with open_house() as house:
        house.mini.completion = COMPLETION.replace(b'"model":"up"', b'"model":"up","service_tier":"priority"')
        answer = await house.client.post(CHAT, json=chat(model="mini"))
        metrics = (await house.client.get("/metrics")).text
    assert "x-tandem-cost-usd" not in answer.headers
    attempt = attempt_of(house)
    assert (attempt["cost"], attempt["service_tier"], attempt["usage_source"]) == (None, "priority", "provider")
    assert house.rows()[0]["baseline"], "what Large would have cost in the usual tier is known"
    assert 'tandem_unpriced_reasons_total{why="service_tier"} 1.0' in metrics


async def test_a_request_is_charged_by_the_day_on_which_it_was_sent(open_house: OpenHouse) -> None:
    days = [Price("m", "old", 1, 1, 1), Price("m", "new", 2, 2, 2)]
    async with open_house():
        route = Route(Tier.MINI, "m", ScriptedBackend("mini"), lambda: days.pop(0))
        sent = [begun.route.price for begun in [await begin((route,), request_of(), failed=lambda *_: None)]]
    assert [price and price.version for price in sent] == ["old"]
    assert days[0].version == "new", "looked up once, before it was sent"
