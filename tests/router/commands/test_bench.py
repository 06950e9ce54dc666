"""Tests router/commands/bench.py."""

import json

import pytest

from router.bench.companions import BenchError
from router.bench.gateway import Report
from router.bench.goals import Goal, at_most
from router.commands.program import run

MET = at_most("cpu_us_per_request", 201.5, 250.0)
MISSED = at_most("lost_records", 2.0, 0.0)


def reporting(monkeypatch: pytest.MonkeyPatch, *goals: Goal) -> dict[str, object]:
    """Put a finished report in the place of the measuring; return what it will have been asked for."""
    asked: dict[str, object] = {}

    def measure(**options: object) -> Report:
        asked.update(options)
        details: dict[str, object] = {"median": {"p50_s": 0.0125}, "first_error": "status 503: [full]"}
        return Report(goals=goals, details=details, machine={"cores": 2})

    monkeypatch.setattr("router.commands.bench.measure_gateway", measure)
    return asked


def test_json_is_one_object_with_every_goal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = reporting(monkeypatch, MET)
    assert run(["bench", "gateway", "--json", "--seconds", "2", "--connections", "7", "--rounds", "1"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["goals"] == [
        {"name": "cpu_us_per_request", "value": 201.5, "at": "most", "goal": 250.0, "met": True}
    ]
    assert (asked["seconds"], asked["connections"], asked["rounds"]) == (2.0, 7, 1)


def test_a_missed_goal_is_told_and_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reporting(monkeypatch, MET, MISSED)
    assert run(["bench", "gateway"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert any("lost_records" in line and "NO" in line for line in lines)
    assert any("cpu_us_per_request" in line and "201.5" in line and "yes" in line for line in lines)
    assert any("status 503: [full]" in line for line in lines)


def test_a_bench_that_could_not_measure_says_why(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: object) -> Report:
        raise BenchError("the gateway ended with exit code 1")

    monkeypatch.setattr("router.commands.bench.measure_gateway", fail)
    assert run(["bench", "gateway"]) == 1
    assert "the gateway ended with exit code 1" in capsys.readouterr().err
