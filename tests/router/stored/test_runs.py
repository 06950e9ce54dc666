"""router/stored/runs.py, router/stored/owned_file.py: who makes what, and who wants it to end."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from router.base import Unavailable
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
