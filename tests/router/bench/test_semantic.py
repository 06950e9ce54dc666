"""A short run of router/bench/semantic.py."""

import pytest

from classifier.meaning import choosing
from router.bench import semantic
from router.bench.semantic import measure_semantic

OF_MANY_PAIRS = {"false_hits_held_out_upper_bound", "pairs_of_different_meaning", "threshold_chosen_again"}


def test_a_short_run_meets_what_does_not_need_thousands_of_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (semantic, choosing):
        monkeypatch.setattr(module, "DIFFERENT", 400)
        monkeypatch.setattr(module, "SAME", 200)
    monkeypatch.setattr(semantic, "DESK_QUESTIONS", 300)
    monkeypatch.setattr(semantic, "_FULL", 400)
    monkeypatch.setattr(semantic, "_LOOKED_UP", 100)
    said = list[str]()
    report = measure_semantic(seed=2, say=said.append)
    assert len(said) == 4
    missed = {goal.name for goal in report.goals if not goal.met}
    assert missed <= OF_MANY_PAIRS
    assert {goal.name for goal in report.goals} > OF_MANY_PAIRS
    ways = report.details["hits_by_way"]
    assert isinstance(ways, dict)
    assert all(share == 0 for way, share in ways.items() if "wording" not in way)
