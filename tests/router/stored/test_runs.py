"""router/stored/runs.py, router/stored/owned_file.py: who makes what, and who wants it to end."""

import asyncio
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from router.base import Unavailable
from router.stored import opening
from router.stored.runs import Runs
from tests.router.stored.test_first_answers import locks

ONE, OTHER = ("ada", "resp_1"), ("bob", "resp_1")


async def test_a_run_is_known_to_all_and_ended_by_whoever_makes_it(tmp_path: Path) -> None:
    here, there = Runs(tmp_path / "runs.db"), Runs(tmp_path / "runs.db")
    await here.begin(ONE)
    assert (await there.is_running(ONE), await there.is_running(OTHER)) == (True, False)
    assert not await there.stop(OTHER)
    assert await here.stopping() == []
    assert await there.stop(ONE)
    assert (await here.stopping(), await there.stopping()) == ([ONE], [])
    await here.end(ONE)
    assert not await there.is_running(ONE)
    assert await here.stopping() == []
    await here.begin(OTHER)
    await here.aclose()
    assert not await there.is_running(OTHER)
    assert not await there.stop(OTHER)
    assert await there.left() == [OTHER]
    await there.aclose()
    assert not locks(tmp_path)


async def test_a_file_that_is_none_of_ours_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version=9")
    with pytest.raises(Unavailable, match="in the background"):
        Runs(path)


async def test_calls_that_find_the_file_held_are_refused_at_one_time_and_not_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "BUSY_TIMEOUT", 0.4)
    runs = Runs(tmp_path / "runs.db")
    with closing(sqlite3.connect(tmp_path / "runs.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        calls = [asyncio.ensure_future(runs.begin(("ada", f"resp_{at}"))) for at in range(4)]
        await asyncio.sleep(0.2)
        calls.append(asyncio.ensure_future(runs.begin(ONE)))
        refused = await asyncio.gather(*calls[:4], return_exceptions=True)
        assert 0.3 < time.monotonic() - began < 0.6
        assert {(type(each), getattr(each, "retry_after", None)) for each in refused} == {(Unavailable, 1)}
        other.execute("ROLLBACK")
        await calls[4]  # whose time was not over
    assert await runs.is_running(ONE)
    assert runs._connection.execute("PRAGMA busy_timeout").fetchone() == (400,)
    await runs.aclose()
