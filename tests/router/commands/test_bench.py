"""Tests router/commands/bench.py."""

import json

import pytest

from router.bench.companions import BenchError
from router.bench.gateway import Report
from router.bench.goals import Goal, at_least, at_most
from router.bench.routing import Report as RoutingReport
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
    assert printed["details"] == {"median": {"p50_s": 0.0125}, "first_error": "status 503: [full]"}
    assert printed["machine"] == {"cores": 2}
    assert (asked["seconds"], asked["connections"], asked["rounds"]) == (2.0, 7, 1)


def test_a_missed_goal_is_told_and_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reporting(monkeypatch, MET, MISSED)
    assert run(["bench", "gateway"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert any("lost_records" in line and "NO" in line for line in lines)
    assert any("cpu_us_per_request" in line and "201.5" in line and "yes" in line for line in lines)
    assert any("p50_s" in line and "0.0125" in line for line in lines)
    assert lines[-2:] == ["cores 2", "first error: status 503: [full]"]


def test_a_bench_that_could_not_measure_says_why(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: object) -> Report:
        raise BenchError("the gateway ended with exit code 1")

    monkeypatch.setattr("router.commands.bench.measure_gateway", fail)
    assert run(["bench", "gateway"]) == 1
    assert "the gateway ended with exit code 1" in capsys.readouterr().err


def test_what_has_no_medians_shows_no_empty_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report = Report(goals=(MET,), details={"median": {}, "first_error": ""}, machine={"cores": 2})
    monkeypatch.setattr("router.commands.bench.measure_endurance", lambda **_: report)
    assert run(["bench", "endurance"]) == 0
    printed = capsys.readouterr().out
    assert "cores 2" in printed
    assert "beside it" not in printed
    assert "first error" not in printed


def test_goals_and_details_of_both_measurements_of_routing_stand_in_one_object(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    missed = at_least("apgr", 0.5, 0.6)
    monkeypatch.setattr("router.commands.bench.measure_decisions", lambda **_: RoutingReport((MET,), {"suffix": 1}))
    monkeypatch.setattr("router.commands.bench.measure_pool", lambda *_, **__: RoutingReport((missed,), {"pool": 2}))
    assert run(["bench", "routing", "--data", "pairs.jsonl", "--outcomes", "o.jsonl", "--json"]) == 1
    printed = json.loads(capsys.readouterr().out)
    assert [goal["name"] for goal in printed["goals"]] == ["cpu_us_per_request", "apgr"]
    assert printed["details"] == {"suffix": 1, "pool": 2}
