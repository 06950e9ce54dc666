"""Tests router/dashboard/estimates.py: what takes long is worked out seldom and holds nobody up."""

import asyncio
import threading
from pathlib import Path

import pytest

from router.dashboard import estimates
from router.dashboard.estimates import Savings
from router.insight.overview import SPANS
from router.insight.savings import NoEstimate
from tests.router.dashboard.hand_written import NOW, write_an_hour

HOUR = SPANS["1h"].window(NOW)


async def test_a_ledger_tells_why_there_is_no_interval(tmp_path: Path) -> None:
    write_an_hour(tmp_path / "ledger.db")
    found = await Savings(tmp_path / "ledger.db").of("1h", HOUR)
    assert isinstance(found, NoEstimate)
    assert found.reason


async def test_a_ledger_that_cannot_be_read_is_a_reason_without_its_path(tmp_path: Path) -> None:
    found = await Savings(tmp_path / "secret-place.db").of("1h", HOUR)
    assert isinstance(found, NoEstimate)
    assert "cannot be read" in found.reason
    assert "secret-place" not in found.reason


async def test_who_comes_first_waits_a_little_and_later_ones_share_what_was_worked_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, free = 0, threading.Event()

    def slow(*_: object, **__: object) -> NoEstimate:
        nonlocal calls
        calls += 1
        free.wait(5)
        return NoEstimate(f"call {calls}")

    monkeypatch.setattr(estimates, "saving", slow)
    monkeypatch.setattr(estimates, "FIRST", 0.01)
    savings = Savings(tmp_path)
    assert await savings.of("1h", HOUR) is None
    assert await savings.of("1h", HOUR) is None
    free.set()
    monkeypatch.setattr(estimates, "FIRST", 5.0)
    assert await asyncio.gather(*(savings.of("1h", HOUR) for _ in range(5))) == [NoEstimate("call 1")] * 5
    assert calls == 1


async def test_an_old_one_is_shown_until_the_new_one_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = iter([NoEstimate("first"), NoEstimate("second")])
    monkeypatch.setattr(estimates, "saving", lambda *_, **__: next(found))
    monkeypatch.setattr(estimates, "FRESH", 0.0)
    monkeypatch.setattr(estimates, "REST", 0.0)
    savings = Savings(tmp_path)
    assert await savings.of("1h", HOUR) == NoEstimate("first")
    assert await savings.of("1h", HOUR) == NoEstimate("first")
    await asyncio.wait(savings._at_work.values())
    assert await savings.of("1h", HOUR) == NoEstimate("second")
