"""Tests router/app.py: who does not answer is told of before a caller finds out."""

import asyncio
import logging
from pathlib import Path

import pytest

from router import app
from router.app import Tandem
from tests.router.conftest import config_of

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
