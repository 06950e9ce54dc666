"""Tests `router/commands/faults.py` with runs of this file's own; the real ones: tests/faults."""

import json
from collections.abc import Awaitable, Callable

import pytest

from router.bench.companions import BenchError
from router.bench.faults.base import Finding, Report
from router.bench.goals import at_most
from router.commands import faults as faults_command
from router.commands import test as test_command
from router.commands.program import run

LOST = Finding("lost", "f7-12", "no record", ("client: 200 whole", "backend: mini ok whole"))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, object]]:
    """Put runs that only note what they were asked for in the place of all of them."""
    noted: dict[str, dict[str, object]] = {}

    def noting(name: str) -> Callable[..., Awaitable[Report]]:
        async def noted_run(**asked: object) -> Report:
            noted[name] = {key: value for key, value in asked.items() if key != "say"}
            return Report(7, (at_most("lost", 0, 0),), (), {"client": {"asked": 1}}, {"seconds": 1.0}, ("redis: none",))

        return noted_run

    for name in ("mixed", "kills", "redis", "overload", "shared_limits", "torture", "cuts", "fuzz"):
        monkeypatch.setattr(faults_command, f"run_{name}", noting(name))
    return noted


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        ([], {"mixed": {"seed": 1, "requests": 2_000}}),
        (["--requests", "50", "--seed", "7"], {"mixed": {"seed": 7, "requests": 50}}),
        (["--kills", "3"], {"kills": {"seed": 1, "kills": 3}}),
        (["--fuzz", "9", "--requests", "5"], {"mixed": {"seed": 1, "requests": 5}, "fuzz": {"seed": 1, "requests": 9}}),
        (["--workers", "8", "--torture"], {"shared_limits": {"seed": 1, "workers": 8}, "torture": {"seed": 1}}),
        (["--redis", "--overload", "--cuts"], {"redis": {"seed": 1}, "overload": {"seed": 1}, "cuts": {"seed": 1}}),
    ],
)
def test_what_is_asked_for_runs_and_mixed_faults_where_nothing_is(
    arguments: list[str], asked: dict[str, dict[str, object]], calls: dict[str, dict[str, object]]
) -> None:
    assert run(["test", "faults", *arguments]) == 0
    assert calls == asked


def test_books_figures_and_what_was_skipped_are_printed(
    calls: dict[str, dict[str, object]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["test", "faults"]) == 0
    said = capsys.readouterr().out
    assert "mixed, seed 7" in said
    assert '{"asked": 1}' in said
    assert "SKIPPED redis: none" in said


def test_a_goal_that_is_missed_ends_with_one_and_shows_seed_request_and_books(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def losing(**_: object) -> Report:
        return Report(7, (at_most("lost", 1, 0),), (LOST,), {})

    monkeypatch.setattr(faults_command, "run_mixed", losing)
    assert run(["test", "faults", "--requests", "9"]) == 1
    said = capsys.readouterr().out
    assert "at most 0" in said
    assert "seed 7, lost, request f7-12: no record" in said
    assert "backend: mini ok whole" in said
    assert run(["test", "faults", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["goals"] == [{"name": "mixed.lost", "value": 1, "goal": 0, "met": False}]
    assert document["runs"]["mixed"]["findings"][0]["request"] == "f7-12"


def test_a_part_that_does_not_come_up_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def failing(**_: object) -> Report:
        raise BenchError("there is no redis-server")

    monkeypatch.setattr(faults_command, "run_redis", failing)
    assert run(["test", "faults", "--redis"]) == 1
    assert "error: there is no redis-server (redis)" in capsys.readouterr().err


def test_anything_else_behind_test_goes_to_pytest(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    echo = ("-c", "import sys; print(*sys.argv[1:], sep='|')")
    monkeypatch.setattr(test_command, "STEPS", (("tests", echo),))
    assert run(["test", "tests/faults", "-k", "faults"]) == 0
    assert capfd.readouterr().out.splitlines()[-1] == "tests/faults|-k|faults"
