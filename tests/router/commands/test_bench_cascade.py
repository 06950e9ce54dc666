"""Tests router/commands/bench_cascade.py."""

import json

import pytest

from router.bench.companions import BenchError
from router.bench.goals import at_most
from router.bench.routing import Report
from router.commands.program import run

FOUND = {"accuracy": 0.81, "spend": 4e6, "matched": 8e6, "difference": -4e6, "low": -5e6, "high": -3e6}
DETAILS = {
    "questions": 100,
    "complex": 25,
    "models": {"mini_complex": {"right": 3}, "large_complex": {"right": 22}, "mini_cost_share": 0.1},
    "fitted": {"cascade": {"default": FOUND}},
    "general": {"cascade": {"default": FOUND}},
}
REPORT = Report((at_most("one", -0.375, 0.0),), DETAILS)


def test_json_is_one_object(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    asked: dict[str, object] = {}

    def measure(**options: object) -> Report:
        asked.update(options)
        return REPORT

    monkeypatch.setattr("router.commands.bench_cascade.measure_cascade", measure)
    assert run(["bench", "cascade", "--json", "--questions", "100", "--seed", "7"]) == 0
    goal = {"name": "one", "value": -0.375, "at": "most", "goal": 0.0, "met": True}
    assert json.loads(capsys.readouterr().out) == {"goals": [goal], **DETAILS}
    assert (asked["questions"], asked["seed"]) == (100, 7)


def test_people_get_a_table_and_a_missed_goal_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    missed = Report((at_most("one", 0.02, 0.0),), DETAILS)
    monkeypatch.setattr("router.commands.bench_cascade.measure_cascade", lambda **_: missed)
    assert run(["bench", "cascade"]) == 1
    printed = capsys.readouterr().out
    assert "-50.0% (-62.5% to -37.5%)" in printed
    assert "NO" in printed
    assert "a call to Mini costs 10% of one to Large" in printed


def test_a_model_that_does_not_answer_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: object) -> Report:
        raise BenchError("a question was answered 502")

    monkeypatch.setattr("router.commands.bench_cascade.measure_cascade", fail)
    assert run(["bench", "cascade"]) == 1
    assert "answered 502" in capsys.readouterr().err
