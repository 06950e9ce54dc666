"""Tests router/commands/bench_engine.py."""

import json
from dataclasses import asdict, replace
from typing import Any

import pytest

from router.bench.companions import BenchError
from router.bench.engine import Report, report_of
from router.commands import bench_engine
from router.commands.program import run
from tests.router.bench.engine_results import results, served

MET = report_of([results()], machine={"cores": 2})


def measured(monkeypatch: pytest.MonkeyPatch, report: Report | BenchError) -> dict[str, Any]:
    """Have this measured, whatever is installed; return what it was asked."""
    asked: dict[str, Any] = {}

    def measure(**options: Any) -> Report:
        asked.update(options)
        if isinstance(report, BenchError):
            raise report
        return report

    monkeypatch.setattr(bench_engine, "measure_engine", measure)
    monkeypatch.setattr(bench_engine, "find_spec", lambda _: object())
    return asked


def test_json_is_one_object(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    asked = measured(monkeypatch, MET)
    assert run(["bench", "engine", "--json", "--gpu"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads(json.dumps(asdict(MET)))
    assert told["goals"][0]["name"] == "equal_tokens"
    assert asked["gpu"] is True


def test_people_get_goals_and_claims_and_a_missed_goal_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measured(monkeypatch, replace(MET, goals=report_of([results(served=(served(batch=9.0),))], machine={}).goals))
    assert run(["bench", "engine"]) == 1
    printed = capsys.readouterr().out
    assert "at least 5" in printed
    assert "NO" in printed
    assert "│ - " in printed  # of a figure that is only stated
    assert "INT8: 1.63x throughput" in printed
    assert "GPU: no CUDA device here" in printed


@pytest.mark.parametrize("missing", ["torch", "gguf"])
def test_without_torch_it_says_how_to_have_it(
    missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measured(monkeypatch, MET)
    monkeypatch.setattr(bench_engine, "find_spec", lambda name: None if name == missing else object())
    assert run(["bench", "engine"]) == 1
    told = capsys.readouterr().err
    assert f"{missing} cannot be imported" in told
    assert "deploy/locks/train.txt" in told


def test_a_trial_that_failed_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    measured(monkeypatch, BenchError("the trial prefix ended with exit code 1: no memory"))
    assert run(["bench", "engine"]) == 1
    assert "no memory" in capsys.readouterr().err
