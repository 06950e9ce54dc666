"""router/endpoints/explain.py, router/ledger/lookup.py: what became of a request, for whoever asked it."""

import asyncio
from pathlib import Path

import pytest

from backends.base import Broken
from router.ledger.lookup import find_request
from router.ledger.place import LedgerUnreadable
from tests.router.conftest import OpenHouse, chat

CHAT = "/v1/chat/completions"
KEYS = {"acme": "acme-key-0123456789", "rival": "rival-key-0123456789"}
RING = [{"tenant": tenant, "key": key} for tenant, key in KEYS.items()]


def as_tenant(name: str, **more: str) -> dict[str, str]:
    return {"authorization": f"Bearer {KEYS[name]}", **more}


async def test_it_says_where_a_request_went_and_why_and_what_it_cost(open_house: OpenHouse) -> None:
    async with open_house(keys=RING) as house:
        house.mini.failures = [Broken("no", status=500)]
        answer = await house.client.post(CHAT, json=chat("hi"), headers=as_tenant("acme"))
        told = await house.client.get(f"/v1/explain/{answer.headers['x-request-id']}", headers=as_tenant("acme"))
        found = told.json()
    assert (told.status_code, found["outcome"], found["status"]) == (200, "answered", 200)
    assert found["decision"]["tier"] == "mini"
    assert found["decision"]["reason"] == "score"
    assert found["decision"]["score"] < found["decision"]["threshold"] == 0.5
    assert [(each["kind"], each["tier"], each["error"]) for each in found["attempts"]] == [
        ("primary", "mini", "Broken"),
        ("failover", "large", ""),
    ]
    assert found["cost_usd"] == answer.headers["x-tandem-cost-usd"] == found["attempts"][1]["cost_usd"]
    assert 0 < found["seconds"]["first_byte"] <= found["seconds"]["duration"]
    assert "scripted:1" not in told.text


async def test_it_tells_every_bucket_of_tokens_who_told_them_and_the_experiment(open_house: OpenHouse) -> None:
    async with open_house(keys=RING) as house:
        answer = await house.client.post(CHAT, json=chat("hi"), headers=as_tenant("acme"))
        told = await house.client.get(f"/v1/explain/{answer.headers['x-request-id']}", headers=as_tenant("acme"))
    (attempt,) = told.json()["attempts"]
    buckets = "cache_write cache_write_1h audio_input image_input reasoning audio_output image_output".split()
    assert {name: attempt[name] for name in buckets} == dict.fromkeys(buckets, 0)
    assert (attempt["usage_source"], attempt["service_tier"]) == ("provider", "")
    assert (told.json()["decision"]["experiment"], told.json()["cache"]) == ("", None)
    assert told.json()["seconds"].keys() == {"overhead", "first_byte", "duration"}


async def test_another_tenants_request_is_like_one_that_never_was(open_house: OpenHouse) -> None:
    async with open_house(keys=RING) as house:
        sent = as_tenant("acme", **{"x-request-id": "mine/7"})
        answer = await house.client.post(CHAT, json=chat(), headers=sent)
        assert answer.headers["x-request-id"] == "mine/7"
        ours = house.rows()[0]["id"] if house.rows() else ""
        await asyncio.sleep(0.05)
        ours = house.rows()[0]["id"]
        for identifier in ("mine/7", ours):
            mine = await house.client.get(f"/v1/explain/{identifier}", headers=as_tenant("acme"))
            assert (mine.status_code, mine.json()["id"], mine.json()["caller_id"]) == (200, ours, "mine/7")
            theirs = await house.client.get(f"/v1/explain/{identifier}", headers=as_tenant("rival"))
            never = await house.client.get("/v1/explain/req_never", headers=as_tenant("rival"))
            assert (theirs.status_code, theirs.content) == (404, never.content)
        assert (await house.client.get(f"/v1/explain/{ours}")).status_code == 401
        long = await house.client.get(f"/v1/explain/{'x' * 200}", headers=as_tenant("acme"))
        assert long.json()["error"]["code"] == "request_not_found"


async def test_a_request_that_is_being_answered_has_no_outcome_yet(open_house: OpenHouse) -> None:
    async with open_house() as house:
        house.mini.completion_hangs = True
        asking = asyncio.create_task(house.client.post(CHAT, json=chat(model="mini", stream=False)))
        await asyncio.sleep(0.05)
        (row,) = house.rows()
        found = (await house.client.get(f"/v1/explain/{row['id']}")).json()
        assert (found["outcome"], found["attempts"]) == (None, [])
        asking.cancel()


def test_a_ledger_that_cannot_be_read_is_told_without_its_path(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnreadable) as refused:
        find_request(tmp_path / "none.db", "a", "b")
    assert str(tmp_path) not in str(refused.value)
