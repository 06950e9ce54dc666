"""Tests router/commands/bench_semantic.py."""

import json

import pytest

from classifier.base import WeightsError
from router.bench.goals import at_most
from router.bench.routing import Report
from router.commands.program import run

MEASURE = "router.bench.semantic.measure_semantic"


def test_json_is_one_object(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    asked = list[int]()

    def measure(*, seed: int, **_: object) -> Report:
        asked.append(seed)
        return Report((at_most("false_hits", 0.0004, 0.001),), {"nearest": [[0.5, "火车", "taxi"]]})

    monkeypatch.setattr(MEASURE, measure)
    assert run(["bench", "semantic", "--json", "--seed", "7"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["goals"][0]["met"] is True
    assert printed["details"] == {"nearest": [[0.5, "火车", "taxi"]]}
    assert asked == [7]


def test_a_missed_goal_is_a_failure(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(MEASURE, lambda **_: Report((at_most("false_hits", 0.01, 0.001),), {}))
    assert run(["bench", "semantic"]) == 1
    assert "NO" in capsys.readouterr().out


def test_weights_that_cannot_be_used_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(**_: object) -> Report:
        raise WeightsError("meaning.npz: cannot be read")

    monkeypatch.setattr(MEASURE, fails)
    assert run(["bench", "semantic"]) != 0
    assert "meaning.npz" in capsys.readouterr().err
