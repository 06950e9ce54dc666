"""Tests router/app.py: who does not answer is told of before a caller finds out."""

import asyncio
import logging
from pathlib import Path

import pytest

from router import app
from router.app import Tandem
from tests.router.conftest import OpenHouse, config_of
from tests.router.scripted import ScriptedBackend

NOBODY = {"use": "openai_http", "urls": ["http://127.0.0.1:9/v1"], "model": "m", "price": "desk-mini"}


@pytest.mark.parametrize(("backends", "named"), [({"backends": {"large": NOBODY, "mini": NOBODY}}, 2), ({}, 0)])
async def test_tiers_that_do_not_answer_after_the_start_are_named(
    backends: dict[str, object],
    named: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(app, "LOOKED_AFTER", 0.0)
    caplog.set_level(logging.WARNING, "router.app")
    async with Tandem(config_of(tmp_path, **backends)).running():
        for _ in range(20):
            await asyncio.sleep(0.01)
    assert sum("is not ready; see ./tandem check --live" in text for text in caplog.messages) == named


async def test_a_backend_that_fails_to_tell_whether_it_is_ready_is_not_and_the_log_says_why(
    open_house: OpenHouse, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails(self: ScriptedBackend) -> bool:
        if self.tier == "large":
            raise ZeroDivisionError("of a kind from outside")
        return True

    monkeypatch.setattr(app, "LOOKED_AFTER", 0.01)
    monkeypatch.setattr(ScriptedBackend, "is_ready", fails)
    async with open_house() as house:
        async with asyncio.timeout(5):
            while "the backend of large is not ready" not in caplog.text:
                await asyncio.sleep(0.01)
        assert "ZeroDivisionError: of a kind from outside" in caplog.text
        assert "the backend of mini" not in caplog.text
        answer = await house.client.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert answer.json()["backends"] == {"large": False, "mini": True}
