"""Tests what a certificate does in a whole gateway: router/pipeline.py, router/gateway.py, router/routes.py."""

from pathlib import Path

from backends.base import ConnectFailed
from router.certificate import Guards, Verdict
from tests.router.certificates import certificate_of, slice_of, written
from tests.router.conftest import OpenHouse, chat

CHAT = "/v1/chat/completions"
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
TO_MINI = {"use": "threshold", "threshold": 1.0}


def certificate(folder: Path, verdict: Verdict = Verdict.FAILED) -> str:
    """Write a certificate whose only slice is about tools."""
    return str(written(folder / "c.json", certificate_of(slice_of("tools", Guards(features=("tools",)), verdict))))


async def test_auto_goes_to_large_on_a_failed_slice_and_a_named_tier_is_left_alone(
    open_house: OpenHouse, tmp_path: Path
) -> None:
    async with open_house(policy=TO_MINI, certificate=certificate(tmp_path)) as house:
        refused = await house.client.post(CHAT, json=chat(tools=[TOOL]))
        plain = await house.client.post(CHAT, json=chat())
        named = await house.client.post(CHAT, json=chat(model="mini", tools=[TOOL]))
        dry = await house.client.post("/v1/route", json=chat(tools=[TOOL]))
        metrics = (await house.client.get("/metrics")).text
    assert (refused.headers["x-tandem-tier"], refused.headers["x-tandem-reason"]) == ("large", "uncertified_slice")
    assert "x-tandem-score" not in refused.headers
    assert plain.headers["x-tandem-tier"] == "mini"
    assert (named.headers["x-tandem-tier"], named.headers["x-tandem-reason"]) == ("mini", "asked")
    assert (dry.json()["tier"], dry.json()["reason"]) == ("large", "uncertified_slice")
    assert 'tandem_decisions_total{reason="uncertified_slice",tier="large"} 1.0' in metrics
    assert 'tandem_uncertified_requests_total{slice="tools"} 1.0' in metrics  # the dry run is none
    assert [row["reason"] for row in house.rows()] == ["uncertified_slice", "score", "asked"]


async def test_a_fixed_mini_gives_way_and_a_passed_slice_keeps_nothing_from_it(
    open_house: OpenHouse, tmp_path: Path
) -> None:
    fixed = {"use": "explicit", "tier": "mini"}
    async with open_house(policy=fixed, certificate=certificate(tmp_path)) as house:
        refused = await house.client.post(CHAT, json=chat(tools=[TOOL]))
    async with open_house(policy=fixed, certificate=certificate(tmp_path, Verdict.PASSED)) as house:
        passed = await house.client.post(CHAT, json=chat(tools=[TOOL]))
    assert (refused.headers["x-tandem-tier"], refused.headers["x-tandem-reason"]) == ("large", "uncertified_slice")
    assert (passed.headers["x-tandem-tier"], passed.headers["x-tandem-reason"]) == ("mini", "fixed")


async def test_mini_does_not_stand_in_for_a_large_that_is_away_unless_configured(
    open_house: OpenHouse, tmp_path: Path
) -> None:
    file = certificate(tmp_path)
    async with open_house(policy=TO_MINI, certificate=file) as house:
        house.large.failures.append(ConnectFailed("refused"))
        failed = await house.client.post(CHAT, json=chat(tools=[TOOL]))
        assert not house.mini.calls
    async with open_house(policy=TO_MINI, certificate={"file": file, "failover": True}) as house:
        house.large.failures.append(ConnectFailed("refused"))
        moved = await house.client.post(CHAT, json=chat(tools=[TOOL]))
    assert failed.status_code == 503
    assert (moved.status_code, moved.headers["x-tandem-tier"]) == (200, "mini")
