"""Mini first, verified, then Large, for whole answers: router/cascade.py, router/held.py, router/samples.py."""

import asyncio
import time
from typing import Any

import msgspec
import pytest

from backends.base import BackendError, Broken, ConnectFailed, Overloaded, Rejected, StreamBroken
from classifier.base import Kind
from router.cascade import ANEW, VERDICTS
from router.cascade import second_of as second_request
from router.endpoints.wire import read_chat
from tests.router.conftest import OpenHouse, chat
from tests.router.scripted import COMPLETION
from tests.router.verifying import BETWEEN, CHAT, JUDGE, ScriptedVerifier, attempts_of, second_of, told

SURE = COMPLETION.replace(
    b'"finish_reason"',
    b'"logprobs": {"content":[{"token":"he","logprob":-0.25},{"token":"llo","logprob":-2}]} ,"finish_reason"',
)
LARGE = COMPLETION.replace(b"hello", b"better")


@pytest.fixture
def verifier(monkeypatch: pytest.MonkeyPatch) -> ScriptedVerifier:
    """Return the verifier that every house of a test asks."""
    scripted = ScriptedVerifier()
    monkeypatch.setattr("router.deciding.load_verifier", lambda *_, **__: scripted)
    return scripted


async def test_a_reply_that_passes_goes_out_as_it_came(open_house: OpenHouse, verifier: ScriptedVerifier) -> None:
    verifier.p = 0.1
    async with open_house(policy=BETWEEN) as house:
        answer = await house.client.post(CHAT, json=chat())
        assert not house.large.calls
        figures = (await house.client.get("/metrics")).text
    assert answer.content == COMPLETION
    names = ("tier", "model", "reason", "verify")
    assert [answer.headers[f"x-tandem-{name}"] for name in names] == ["mini", "small", "verified", "0.1000"]
    ((score, replies),) = verifier.seen
    assert 0 < score < 1
    assert [(reply.text, reply.finish_reason) for reply in replies] == [("hello", "stop")] * 2
    (row,) = house.rows()
    assert (row["outcome"], row["tier"], row["reason"], row["p_wrong"]) == ("answered", "mini", "between", 0.1)
    assert told(row) == [JUDGE, ("primary", "mini", "")]
    assert 'tandem_verifications_total{verdict="verified"} 1.0' in figures


async def test_a_reply_that_is_likely_wrong_is_large_s_to_give(
    open_house: OpenHouse, verifier: ScriptedVerifier
) -> None:
    verifier.p = 0.5  # as much as the configuration allows
    async with open_house(policy=BETWEEN) as house:
        house.large.completion = LARGE
        answer = await house.client.post(CHAT, json=chat())
        figures = (await house.client.get("/metrics")).text
    assert answer.content == LARGE
    names = ("tier", "model", "reason", "verify")
    assert [answer.headers[f"x-tandem-{name}"] for name in names] == ["large", "big", "escalated", "0.5000"]
    (row,) = house.rows()
    assert told(row) == [JUDGE, ("escalation", "mini", ""), ("primary", "large", "")]
    assert row["cost"] == sum(int(str(attempt["cost"])) for attempt in attempts_of(row))
    assert float(answer.headers["x-tandem-cost-usd"]) == pytest.approx(int(str(row["cost"])) / 1e9)
    assert 'tandem_verifications_total{verdict="escalated"} 1.0' in figures


async def test_the_verifier_hears_what_form_of_answer_is_asked_for(
    open_house: OpenHouse, verifier: ScriptedVerifier
) -> None:
    async with open_house(policy=BETWEEN) as house:
        for text in ("How many eggs are left?", "Which one?\n(A) this\n(B) that", "Write a poem."):
            await house.client.post(CHAT, json=chat(text))
    assert verifier.wanted == [Kind.NUMBER, Kind.CHOICE, None]


async def test_the_second_sample_asks_otherwise(open_house: OpenHouse, verifier: ScriptedVerifier) -> None:
    async with open_house(policy=BETWEEN) as house:
        second = second_of(house)
        await house.client.post(CHAT, json=chat("how many?", seed=7, guided={"a": 1}), headers={"x-request-id": "mine"})
    (first_call,), (second_call,) = house.mini.calls, second.calls
    assert (first_call.request_id, second_call.request_id) == ("mine", "mine-2")
    assert msgspec.json.decode(first_call.body) == {**chat("how many?", seed=7, guided={"a": 1}), "model": "small"}
    assert msgspec.json.decode(second_call.body) == {
        **chat(f"how many?\n\n{ANEW}"),
        "model": "small",
        "seed": 8,
        "guided": {"a": 1},
        "temperature": 0.7,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize(
    ("messages", "last"),
    [
        (
            [{"role": "user", "content": [{"type": "text", "text": "a"}]}],
            [{"type": "text", "text": "a"}, {"type": "text", "text": "X"}],
        ),
        ([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "b"),
        ([{"role": "user", "content": ""}], ""),
        ([{"role": "user", "content": None}], None),
    ],
    ids=["parts", "the last is not the user's", "empty", "none"],
)
def test_an_instruction_joins_the_user_s_last_words(messages: list[object], last: object) -> None:
    body = msgspec.json.encode({"model": "auto", "messages": messages, "seed": "no number"})
    request = read_chat(body, {}, tenant="a", received=0.0, timeout=1.0, keep_sampled=False)
    asked = second_request(request, "X")
    assert msgspec.json.decode(asked.fields["messages"])[-1]["content"] == last
    assert bytes(asked.fields["seed"]) == b"1"
    assert second_request(request, "").fields["messages"] == request.fields["messages"]


async def test_without_a_second_sample_mini_is_asked_once(open_house: OpenHouse, verifier: ScriptedVerifier) -> None:
    async with open_house(policy={**BETWEEN, "second_sample": False}) as house:
        await house.client.post(CHAT, json=chat())
        assert len(house.mini.calls) == 1
    assert told(house.rows()[0]) == [("primary", "mini", "")]
    assert len(verifier.seen[0][1]) == 1


async def test_log_probabilities_are_read_and_taken_out_again(
    open_house: OpenHouse, verifier: ScriptedVerifier
) -> None:
    async with open_house(policy={**BETWEEN, "ask_logprobs": True, "second_sample": True}) as house:
        second_of(house)
        house.mini.completion = SURE
        answer = await house.client.post(CHAT, json=chat())
        assert house.mini.body()["logprobs"] is True
        assert house.mini.body()["top_logprobs"] == 1
    assert answer.content == COMPLETION.replace(b',"finish_reason"', b' ,"finish_reason"')
    assert verifier.seen[0][1][0].logprobs == (-0.25, -2.0)


@pytest.mark.parametrize("asks", [True, False])
async def test_a_caller_who_asked_for_log_probabilities_gets_them(
    asks: bool,  # noqa: FBT001
    open_house: OpenHouse,
    verifier: ScriptedVerifier,
) -> None:
    async with open_house(policy={**BETWEEN, "ask_logprobs": asks}) as house:
        second_of(house)
        house.mini.completion = SURE
        answer = await house.client.post(CHAT, json=chat(logprobs=True, top_logprobs=3))
        assert house.mini.body()["top_logprobs"] == 3
    assert answer.content == SURE
    assert verifier.seen[0][1][0].logprobs == (-0.25, -2.0)


@pytest.mark.parametrize(
    ("failure", "cost"), [(Overloaded("full"), 0), (ConnectFailed("refused"), 0), (Broken("500"), None)]
)
async def test_a_second_sample_that_fails_is_noted_and_changes_nothing_else(
    failure: BackendError, cost: int | None, open_house: OpenHouse, verifier: ScriptedVerifier
) -> None:
    async with open_house(policy=BETWEEN) as house:
        second_of(house).failures.append(failure)
        answer = await house.client.post(CHAT, json=chat())
    assert (answer.content, answer.headers["x-tandem-reason"]) == (COMPLETION, "verified")
    assert len(verifier.seen[0][1]) == 1
    (row,) = house.rows()
    assert told(row) == [("judge", "mini", type(failure).__name__), ("primary", "mini", "")]
    assert attempts_of(row)[0]["cost"] == cost


async def test_a_second_sample_that_breaks_is_no_sample(open_house: OpenHouse, verifier: ScriptedVerifier) -> None:
    async with open_house(policy=BETWEEN) as house:
        second = second_of(house)
        second.events, second.breaks_with = second.events[:1], StreamBroken("cut")
        await house.client.post(CHAT, json=chat())
    assert len(verifier.seen[0][1]) == 1
    assert told(house.rows()[0])[0] == ("judge", "mini", "StreamBroken")


async def test_a_slow_second_sample_is_not_waited_for_longer_than_the_hold(
    open_house: OpenHouse, verifier: ScriptedVerifier
) -> None:
    async with open_house(policy=BETWEEN) as house:
        second = second_of(house)
        second.events, second.hangs = second.events[:1], True
        begun = time.monotonic()
        answer = await house.client.post(CHAT, json=chat())
        assert 0.25 < time.monotonic() - begun < 1.0
        await asyncio.sleep(0.01)
        assert second.closed_early == 1
    assert answer.headers["x-tandem-reason"] == "verified"
    (row,) = house.rows()
    assert told(row) == [JUDGE, ("primary", "mini", "")]
    judge = attempts_of(row)[0]
    # The prompt is that of the first reply, and one token had come: an estimate, in which nothing counts as cached.
    assert (judge["fresh_input"], judge["cached_input"], judge["output"]) == (10, None, 1)
    assert row["cost"] is not None


@pytest.mark.parametrize(
    "failure", [ConnectFailed("refused"), Overloaded("full"), Rejected(413, b"{}", "application/json")]
)
async def test_where_large_cannot_take_over_mini_s_reply_is_an_answer(
    failure: BackendError, open_house: OpenHouse, verifier: ScriptedVerifier
) -> None:
    verifier.p = 0.9
    async with open_house(policy=BETWEEN, cache={"enabled": True}) as house:
        house.large.failures = [failure, failure]
        answers = [await house.client.post(CHAT, json=chat(temperature=0)) for _ in range(2)]
        figures = (await house.client.get("/metrics")).text
    for answer in answers:  # the second as the first: it was not kept
        assert (answer.status_code, answer.content) == (200, COMPLETION)
        names = ("tier", "reason", "verify", "cache")
        assert [answer.headers[f"x-tandem-{name}"] for name in names] == ["mini", "escalation_failed", "0.9000", "miss"]
    failed = ("primary", "large", type(failure).__name__)
    assert told(house.rows()[0]) == [JUDGE, failed, ("failover", "mini", "")]
    assert 'tandem_verifications_total{verdict="escalation_failed"} 2.0' in figures


@pytest.mark.parametrize("completion", [b"", b"<html>", b'{"choices":[]}', b'{"object":"error"}'])
async def test_what_is_no_reply_is_a_failed_attempt(
    completion: bytes, open_house: OpenHouse, verifier: ScriptedVerifier
) -> None:
    async with open_house(policy=BETWEEN) as house:
        second_of(house)
        house.mini.completion = completion
        answer = await house.client.post(CHAT, json=chat())
    assert (answer.headers["x-tandem-tier"], answer.headers["x-tandem-reason"]) == ("large", "failover")
    assert told(house.rows()[0]) == [("primary", "mini", "Broken"), JUDGE, ("failover", "large", "")]
    assert not verifier.seen


async def test_a_mini_that_fails_is_stood_in_for_without_a_verdict(
    open_house: OpenHouse, verifier: ScriptedVerifier
) -> None:
    async with open_house(policy=BETWEEN, cache={"enabled": True}) as house:
        second_of(house)
        house.mini.failures = [ConnectFailed("refused")]
        answer = await house.client.post(CHAT, json=chat(temperature=0))
        again = await house.client.post(CHAT, json=chat(temperature=0))
    assert (answer.headers["x-tandem-tier"], answer.headers["x-tandem-reason"]) == ("large", "failover")
    assert again.headers["x-tandem-cache"] == "miss"  # a makeshift
    row = house.rows()[0]
    assert told(row)[0] == ("primary", "mini", "ConnectFailed")
    assert told(row)[-1] == ("failover", "large", "")
    assert row["p_wrong"] is None


async def test_when_both_fail_the_causes_are_those_of_both(open_house: OpenHouse, verifier: ScriptedVerifier) -> None:
    async with open_house(policy={**BETWEEN, "second_sample": False}) as house:
        house.mini.failures, house.large.failures = [Overloaded("full", retry_after=3)], [Overloaded("full")]
        answer = await house.client.post(CHAT, json=chat())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "3")
    (row,) = house.rows()
    assert (row["outcome"], row["cost"], len(told(row))) == ("failed", 0, 2)


async def test_a_rejection_is_the_caller_s_unless_we_had_added_something(
    open_house: OpenHouse, verifier: ScriptedVerifier
) -> None:
    rejected = Rejected(422, b'{"error":"no"}', "application/json")
    async with open_house(policy={**BETWEEN, "second_sample": False}) as house:
        house.mini.failures = [rejected]
        answer = await house.client.post(CHAT, json=chat())
        assert (answer.status_code, answer.content) == (422, rejected.body)
        assert not house.large.calls
    assert house.rows()[0]["outcome"] == "rejected"
    async with open_house(policy={**BETWEEN, "second_sample": False, "ask_logprobs": True}) as house:
        house.mini.failures = [rejected]
        answer = await house.client.post(CHAT, json=chat())
        assert (answer.status_code, answer.headers["x-tandem-tier"]) == (200, "large")
        assert "logprobs" not in house.large.body()
        house.mini.failures, house.large.failures = [rejected], [rejected]
        answer = await house.client.post(CHAT, json=chat())
        assert (answer.status_code, answer.content) == (422, rejected.body)


@pytest.mark.parametrize(
    ("policy", "more", "reason"),
    [
        ({"easy": 1.0}, {}, "easy"),
        ({"hard": 0.0}, {}, "hard"),
        ({}, {"model": "mini"}, "asked"),
        ({}, {"model": "large"}, "asked"),
        ({}, {"n": 2}, "hard"),
        ({}, {"tools": [{"type": "function", "function": {"name": "f"}}]}, "hard"),
    ],
)
async def test_outside_the_zone_nothing_is_verified(
    policy: dict[str, object], more: dict[str, Any], reason: str, open_house: OpenHouse, verifier: ScriptedVerifier
) -> None:
    async with open_house(policy={**BETWEEN, "ask_logprobs": True, **policy}) as house:
        answer = await house.client.post(CHAT, json=chat(**more))
        calls = [*house.mini.calls, *house.large.calls]
    assert answer.headers["x-tandem-reason"] == reason
    assert "x-tandem-verify" not in answer.headers
    assert len(calls) == 1
    assert b"logprobs" not in calls[0].body
    assert not verifier.seen
    assert [kind for kind, _, _ in told(house.rows()[0])] == ["primary"]


@pytest.mark.parametrize("p", [0.1, 0.9])
async def test_what_was_served_is_what_is_kept(p: float, open_house: OpenHouse, verifier: ScriptedVerifier) -> None:
    verifier.p = p
    async with open_house(
        policy={**BETWEEN, "ask_logprobs": True, "second_sample": True}, cache={"enabled": True}
    ) as house:
        second_of(house)
        house.mini.completion, house.large.completion = SURE, LARGE
        first = await house.client.post(CHAT, json=chat(temperature=0))
        again = await house.client.post(CHAT, json=chat(temperature=0))
        assert len(house.mini.calls) == 1
    assert (again.headers["x-tandem-cache"], again.headers["x-tandem-reason"]) == ("hit", "kept")
    assert again.content == first.content
    assert b"logprobs" not in again.content
    assert again.headers["x-tandem-tier"] == first.headers["x-tandem-tier"]


async def test_a_decision_alone_names_the_zone(open_house: OpenHouse, verifier: ScriptedVerifier) -> None:
    async with open_house(policy={**BETWEEN, "wrong": 0.4}) as house:
        between = (await house.client.post("/v1/route", json=chat())).json()
        asked = (await house.client.post("/v1/route", json=chat(model="mini"))).json()
    assert (between["tier"], between["reason"], between["verify"]) == ("mini", "between", 0.4)
    assert between["policy"] == "cascade@0/1/0.4/large"
    assert asked["verify"] is None
    assert not verifier.seen


async def test_every_walk_leaves_exactly_one_record(open_house: OpenHouse, verifier: ScriptedVerifier) -> None:
    async with open_house(policy=BETWEEN) as house:
        second = second_of(house)
        for index in range(48):
            verifier.p = index % 2
            house.mini.failures = [ConnectFailed("x")] if index % 3 == 0 else []
            house.large.failures = [Broken("x", status=500)] if index % 5 == 0 else []
            second.failures = [Overloaded("x")] if index % 7 == 0 else []
            await house.client.post(CHAT, json=chat(stream=index % 4 < 2))
        figures = (await house.client.get("/metrics")).text
    assert "tandem_requests_in_flight 0.0" in figures
    rows = house.rows()
    assert len(rows) == 48
    assert {row["outcome"] for row in rows} == {"answered", "failed"}
    assert all(len(told(row)) >= 2 for row in rows)
    assert {line.split('"')[1] for line in figures.splitlines() if "verifications_total{" in line} < set(VERDICTS)
