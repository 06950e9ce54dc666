"""Tests `router/endpoints/decisions.py`: it says where a request would go, and leaves everything as it was."""

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import msgspec
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from classifier.calibrating.calibrated import Level, Overlay, dump
from classifier.calibrating.maps import Calibration, Platt
from router.endpoints.decisions import Decisions
from router.endpoints.wire import read_chat
from router.gateway import Gateway, open_gateway
from router.policies.certified import Certified
from tests.router.conftest import OpenHouse, chat, config_of

ROUTE = "/v1/route"
COMPLEX = "Compare both, and explain which one is cheaper, and why? How much is it until 2027?"


@asynccontextmanager
async def asked(folder: Path, **more: object) -> AsyncGenerator[tuple[httpx2.AsyncClient, Gateway], None]:
    """Yield a client of the endpoint alone, and the gateway behind it."""
    async with open_gateway(config_of(folder, **more)) as gateway:
        decide = Decisions(gateway.pipeline, gateway.keys, 1 << 20).decide
        transport = httpx2.ASGITransport(Starlette(routes=[Route(ROUTE, decide, methods=["POST"])]))
        async with httpx2.AsyncClient(transport=transport, base_url="http://tandem") as client:
            yield client, gateway


@pytest.fixture
def certified(tmp_path: Path) -> dict[str, object]:
    """Return a policy whose promise holds for the rules' scores."""
    level = Level(
        loss=0.02, confidence=0.9, logit=0.0, share_mini=0.5, risk=0.01, bound=0.02, activity=0.1, pairs=1_000
    )
    calibration = Calibration(Platt(1.0, 0.0), {})
    overlay = Overlay(
        source="rules@1", weights="", calibration=calibration, count="lost", levels=(level,), fitted_on={}
    )
    (tmp_path / "calibration.json").write_text(dump(overlay))
    return {"use": "certified", "file": str(tmp_path / "calibration.json")}


async def test_asking_moves_no_promise(tmp_path: Path, certified: dict[str, object]) -> None:
    async with asked(tmp_path, policy=certified) as (client, gateway):
        policy = gateway.pipeline.policy
        assert isinstance(policy, Certified)
        before, alarm = dict(vars(policy)), dict(vars(policy._alarm))
        for text in ("hello", COMPLEX) * 20:
            answer = await client.post(ROUTE, json=chat(text))
            assert answer.json()["reason"] == "certified"
        assert (vars(policy), vars(policy._alarm)) == (before, alarm)


async def test_what_is_carried_out_is_noted(tmp_path: Path, certified: dict[str, object]) -> None:
    async with asked(tmp_path, policy=certified) as (_, gateway):
        policy = gateway.pipeline.policy
        assert isinstance(policy, Certified)
        for text, rises in (("hello", True), (COMPLEX, False)):
            before, body = policy._mini_share, msgspec.json.encode(chat(text))
            request = read_chat(body, {}, tenant="a", received=time.monotonic(), timeout=5.0, keep_sampled=False)
            answer = await gateway.pipeline.answer(request)
            assert [piece async for piece in answer.rest] == []
            assert (policy._mini_share > before) is rises


@pytest.mark.parametrize("usual", [None, 0.0])
async def test_asking_uses_up_nobodys_share_of_large(tmp_path: Path, usual: float | None) -> None:
    limits = {"usual": usual, "window": 100, "cap": True}
    policy = {"use": "cascade", "easy": 0.0, "hard": 0.0}
    async with asked(tmp_path, policy=policy, large_share=limits) as (client, gateway):
        answers = [await client.post(ROUTE, json=chat(COMPLEX)) for _ in range(150)]
        assert {answer.json()["reason"] for answer in answers} == {"hard"}
        assert gateway.pipeline.large_share._tenants == {}


async def test_asking_leaves_no_record_and_no_figure(open_house: OpenHouse) -> None:
    async with open_house() as house:

        async def figures() -> list[str]:
            """Return all but the memory, which whatever runs may change."""
            lines = (await house.client.get("/metrics")).text.splitlines()
            return [line for line in lines if "tandem_resident_bytes" not in line]

        before = await figures()
        for text in ("hello", COMPLEX):
            assert (await house.client.post(ROUTE, json=chat(text))).status_code == 200
        assert await figures() == before
        assert not house.large.calls
        assert not house.mini.calls
    assert house.rows() == []
