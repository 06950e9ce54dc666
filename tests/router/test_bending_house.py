"""Tests budgets that bend, and alerts, in a whole gateway over scripted backends: router/policies/paced.py and
router/alerts/opening.py where they stand.
"""

import asyncio
from pathlib import Path

import httpx2
import pytest

from backends.base import ConnectFailed
from tests.router.conftest import OpenHouse, chat

CHAT = "/v1/chat/completions"
HARD = "Compare both, and explain which one is cheaper, and why? How much is it until 2027?"  # scored .83
BUDGET = 0.0002  # USD; less than Large's worst case for such a request, and more than Mini's


def limits(**more: object) -> dict[str, object]:
    return {"default": {"budget_usd": BUDGET, "budget_window": "day", "quality_floor": 0.0, **more}}


async def ask(client: httpx2.AsyncClient, **more: object) -> httpx2.Response:
    return await client.post(CHAT, json=chat(HARD, max_tokens=500, **more))


async def test_mini_answers_where_large_cannot_be_paid_for_and_the_record_says_so(open_house: OpenHouse) -> None:
    async with open_house(limits=limits()) as house:
        answer = await ask(house.client)
        told = (await house.client.get(f"/v1/explain/{answer.headers['x-request-id']}")).json()["decision"]
    assert answer.status_code == 200
    assert (answer.headers["x-tandem-tier"], answer.headers["x-tandem-reason"]) == ("mini", "paced")
    assert (told["tier"], told["reason"], told["threshold"]) == ("mini", "paced", 1.0)
    assert not house.large.calls


@pytest.mark.parametrize("more", [{"quality_floor": 0.5}, {"quality_floor": None}])
async def test_below_the_floor_the_request_is_refused(open_house: OpenHouse, more: dict[str, object]) -> None:
    async with open_house(limits=limits(**more)) as house:
        answer = await ask(house.client)
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "insufficient_quota")


async def test_a_budget_that_comes_first_goes_below_the_floor(open_house: OpenHouse) -> None:
    async with open_house(limits=limits(quality_floor=0.5, precedence="budget_first")) as house:
        answer = await ask(house.client)
        named = await ask(house.client, model="large")
    assert (answer.headers["x-tandem-tier"], answer.headers["x-tandem-reason"]) == ("mini", "paced")
    assert named.status_code == 429


async def test_a_reply_that_only_the_budget_chose_is_nobody_elses(open_house: OpenHouse) -> None:
    async with open_house(limits=limits(), cache={"enabled": True}) as house:
        paced = [await ask(house.client, temperature=0) for _ in range(2)]
        named = [await ask(house.client, temperature=0, model="mini") for _ in range(2)]
    assert [answer.headers["x-tandem-reason"] for answer in (*paced, *named)] == ["paced", "paced", "asked", "kept"]
    assert len(house.mini.calls) == 3


async def test_large_does_not_stand_in_where_it_cannot_be_paid_for(open_house: OpenHouse) -> None:
    async with open_house(limits=limits()) as house:
        house.mini.failures = [ConnectFailed("gone")] * 9
        answer = await ask(house.client)
    assert answer.status_code == 503
    assert not house.large.calls


async def test_what_was_spent_before_a_restart_moves_the_threshold_after_it(open_house: OpenHouse) -> None:
    budget = {"budget_usd": 0.000609, "budget_window": "month"}  # a sixtieth of it is spent by each request
    async with open_house() as house:
        for _ in range(60):
            await house.client.post(CHAT, json=chat(HARD, max_tokens=5, model="large"))
    async with open_house(limits=limits(**budget)) as house:
        answer = await house.client.post("/v1/route", json=chat(HARD))
    assert 0.5 < answer.json()["threshold"] <= 1.0, answer.json()


async def test_what_fires_is_told_in_the_figures(open_house: OpenHouse, tmp_path: Path) -> None:
    alerts = {"budget_share": 0.001, "memory": str(tmp_path / "alerts.json")}
    async with open_house(limits=limits(budget_usd=0.0005), alerts=alerts) as house:
        assert (await ask(house.client)).status_code == 200
        for _ in range(40):
            figures = (await house.client.get("/metrics")).text
            if 'tandem_alert_state{alert="budget_spent"} 1.0' in figures:
                break
            await asyncio.sleep(0.05)
        else:
            pytest.fail(figures)
    async with open_house(alerts={"enabled": False}) as house:
        assert "tandem_alert_state" not in (await house.client.get("/metrics")).text
