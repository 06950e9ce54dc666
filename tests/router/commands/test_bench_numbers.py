"""Tests router/commands/bench_numbers.py and router/bench/numbers/running.py, as a shell calls them."""

import importlib.util
import json

import pytest

from router.bench.goals import Goal, at_most
from router.bench.numbers import golden_costs, running
from router.commands.program import run


def test_every_part_is_a_module_of_its_room() -> None:
    for part in running.PARTS:
        assert importlib.util.find_spec(f"router.bench.numbers.{part}") is not None


def test_one_part_is_measured_and_printed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "numbers", "--only", "golden_costs", "--quick", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {"name", "value", "goal", "met"} <= set(told["goals"][0])
    assert told["details"]["quick"] is True
    assert set(told["details"]["cpu_seconds"]) == {"golden_costs"}


def test_a_missed_goal_is_an_exit_code(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def missed(*, seed: int, quick: bool) -> list[Goal]:
        assert (seed, quick) == (3, False)
        return [at_most("figure", 2.0, 1.0)]

    monkeypatch.setattr(golden_costs, "goals", missed)
    assert run(["bench", "numbers", "--only", "golden_costs", "--seed", "3"]) == 1
    assert "NO" in capsys.readouterr().out


def test_an_unknown_part_is_refused_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "numbers", "--only", "luck"]) == 2
    assert "choose of golden_costs, ledger" in capsys.readouterr().err
