"""Limits, priorities, single flight and idempotency keys in the whole gateway.

router/pipeline.py, router/account.py, router/dispatch.py, router/gateway.py, router/app.py
"""

import asyncio
from pathlib import Path

import httpx2
import pytest

from backends.base import Broken
from router.guards.large_share import LargeShare
from router.ledger.spending import read_spending
from tests.router.conftest import House, OpenHouse, Served, chat
from tests.router.scripted import COMPLETION, EVENTS

CHAT = "/v1/chat/completions"
MINI = {"use": "explicit", "tier": "mini"}
MEMORY = {"enabled": True, "url": "redis://127.0.0.1:1"}  # nobody is there: nothing is kept, and flights are shared


async def ask(house: House, times: int, **more: object) -> list[httpx2.Response]:
    asked = [house.client.post(CHAT, json=chat(**more)) for _ in range(times)]  # type: ignore[arg-type]
    return list(await asyncio.gather(*asked))


async def test_so_many_requests_a_minute_are_answered_and_the_headers_say_what_is_left(open_house: OpenHouse) -> None:
    async with open_house(limits={"default": {"requests_per_minute": 3, "tokens_per_minute": 90_000}}) as house:
        answers = await ask(house, 5)
        refused = next(answer for answer in answers if answer.status_code == 429)
        served = [answer for answer in answers if answer.status_code == 200]
        figures = (await house.client.get("/metrics")).text
    assert len(served) == 3
    assert served[0].headers["x-ratelimit-limit-requests"] == "3"
    assert int(served[0].headers["x-ratelimit-remaining-tokens"]) > 80_000
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert 1 <= int(refused.headers["retry-after"]) <= 120
    assert sorted(str(row["status"]) for row in house.rows()) == ["200", "200", "200", "429", "429"]
    assert {row["reason"] for row in house.rows() if row["status"] == 429} == {"limited"}
    assert 'tandem_limited_requests_total{limit="requests",tenant="default"} 2.0' in figures


async def test_200_at_once_at_the_edge_never_spend_more_than_the_budget_and_the_ledger_agrees(
    open_house: OpenHouse, tmp_path: Path
) -> None:
    for _ in range(3):  # after a restart it goes on where the ledger says
        async with open_house(limits={"default": {"budget_usd": "0.0001"}}) as house:
            for _ in range(2):
                answers = await ask(house, 200, model="mini", max_tokens=5)
                assert {answer.status_code for answer in answers} <= {200, 429}
            (final,) = await ask(house, 1, model="mini", max_tokens=5)
            while final.status_code == 200:
                (final,) = await ask(house, 1, model="mini", max_tokens=5)
        spent = sum(read_spending(tmp_path / "ledger.db", {"default": 0.0})["default"].values())
        assert spent == sum(int(str(row["cost"])) for row in house.rows() if row["cost"])
        assert spent <= 100_000
    assert spent > 90_000
    assert (final.json()["error"]["code"], final.headers["x-should-retry"]) == ("insufficient_quota", "false")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_request_that_ends_in_any_way_gives_back_what_it_held(serve_house: Served, *, stream: bool) -> None:
    limits = {"default": {"in_flight": 2, "budget_usd": 1}}
    async with serve_house(limits=limits, policy=MINI) as house:
        house.mini.events, house.mini.completion_hangs, house.mini.hangs = EVENTS[:1], True, True
        for _ in range(3):
            for _ in range(2):
                with pytest.raises(httpx2.ReadTimeout):
                    await house.client.post(CHAT, json=chat(stream=stream), timeout=0.1)
            await asyncio.sleep(0.05)
        house.mini.completion_hangs = house.mini.hangs = False
        house.mini.events = EVENTS
        house.mini.failures, house.large.failures = [Broken("x")] * 2, [Broken("x")] * 2
        assert [answer.status_code for answer in await ask(house, 2, stream=stream)] == [502, 502]
        assert [answer.status_code for answer in await ask(house, 2, stream=stream)] == [200, 200]


async def test_a_kept_reply_costs_no_tokens_and_counts_as_a_request(open_house: OpenHouse) -> None:
    limits = {"default": {"requests_per_minute": 3, "tokens_per_minute": 5_000}}
    async with open_house(limits=limits, cache={"enabled": True}, policy=MINI) as house:
        left = []
        for _ in range(3):
            answer = await house.client.post(CHAT, json=chat(temperature=0, max_tokens=1_000))
            left.append(int(answer.headers["x-ratelimit-remaining-tokens"]))
        answer = await house.client.post(CHAT, json=chat(temperature=0))
    assert answer.status_code == 429
    assert len(house.mini.calls) == 1
    assert left[2] >= left[1]


@pytest.mark.parametrize("stream", [False, True])
async def test_of_1000_equal_requests_one_reaches_the_backend_and_each_has_its_record(
    open_house: OpenHouse, *, stream: bool
) -> None:
    async with open_house(cache=MEMORY, policy=MINI) as house:
        house.mini.begins_after = 0.2
        times = 200 if stream else 1_000
        answers = await ask(house, times, temperature=0, stream=stream)
        assert len(house.mini.calls) == 1
    expected = EVENTS[0] + EVENTS[1] + EVENTS[3] if stream else COMPLETION
    assert {answer.content for answer in answers} == {expected}
    outcomes = [row["outcome"] for row in house.rows()]
    assert (outcomes.count("answered"), outcomes.count("kept")) == (1, times - 1)
    assert [row["cost"] for row in house.rows()].count(0) == times - 1


async def test_where_the_leading_caller_leaves_another_leads(serve_house: Served) -> None:
    async with serve_house(cache=MEMORY, policy=MINI) as house:
        house.mini.begins_after = 0.3
        first = asyncio.create_task(house.client.post(CHAT, json=chat(temperature=0), timeout=0.1))
        await asyncio.sleep(0.05)
        others = asyncio.create_task(ask(house, 20, temperature=0))
        with pytest.raises(httpx2.ReadTimeout):
            await first
        answers = await others
        assert [answer.status_code for answer in answers] == [200] * 20
        assert len(house.mini.calls) == 2


async def test_a_reply_that_may_not_be_kept_is_nobody_elses(open_house: OpenHouse) -> None:
    async with open_house(cache=MEMORY, policy=MINI) as house:
        house.mini.begins_after = 0.1
        house.mini.completion = COMPLETION.replace(b'"stop"', b'"length"')
        answers = await ask(house, 5, temperature=0)
        assert [answer.status_code for answer in answers] == [200] * 5
        assert len(house.mini.calls) == 5


async def test_two_tenants_equal_requests_are_two_calls(open_house: OpenHouse) -> None:
    keys = [{"tenant": "one", "key": "0123456789abcdef"}, {"tenant": "other", "key": "fedcba9876543210"}]
    async with open_house(cache=MEMORY, policy=MINI, keys=keys) as house:
        house.mini.begins_after = 0.1
        heads = [{"authorization": f"Bearer {key['key']}"} for key in keys] * 3
        await asyncio.gather(*(house.client.post(CHAT, json=chat(temperature=0), headers=head) for head in heads))
        assert len(house.mini.calls) == 2


async def test_a_call_says_whose_it_is_and_how_urgent(open_house: OpenHouse) -> None:
    async with open_house(policy=MINI, tenants={"default": {"priority": 7}}) as house:
        await house.client.post(CHAT, json=chat())
        await house.client.post(CHAT, json=chat(), headers={"x-tandem-priority": "-3"})
        await house.client.post(CHAT, json=chat(), headers={"x-tandem-priority": "99"})
        refused = await house.client.post(CHAT, json=chat(), headers={"x-tandem-priority": "soon"})
        assert [(call.tenant, call.priority) for call in house.mini.calls] == [
            ("default", 7),
            ("default", -3),
            ("default", 7),
        ]
    assert refused.status_code == 400


async def test_a_key_of_idempotency_is_answered_once_after_a_restart_too(open_house: OpenHouse) -> None:
    head = {"idempotency-key": "once"}
    for turn in range(2):
        async with open_house(policy=MINI) as house:
            answer = await house.client.post(CHAT, json=chat(), headers=head)
            assert answer.content == COMPLETION
            assert len(house.mini.calls) == 1 - turn
    assert len(house.rows()) == 1


async def test_a_mistake_before_the_decision_is_recorded_and_gives_back_what_was_held(
    serve_house: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slip(_self: LargeShare, *_given: object) -> str:
        raise RuntimeError("a mistake of the program")

    async with serve_house(limits={"default": {"in_flight": 1}}) as house:
        with monkeypatch.context() as patched:
            patched.setattr(LargeShare, "note", slip)
            failed = await ask(house, 1)
        answered = await ask(house, 1)
    assert [answer.status_code for answer in (*failed, *answered)] == [500, 200]
    assert [(row["status"], row["reason"], row["outcome"]) for row in house.rows()][:1] == [
        (500, "undecided", "failed")
    ]
