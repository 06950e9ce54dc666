"""The cascade against the prompt-only policy, on real models: router/bench/cascade.py, router/bench/desk_runs.py."""

import pytest

from classifier.options import SHIPPED_PRIOR
from router.bench import cascade
from router.bench.cascade import measure_cascade


def test_both_policies_answer_the_same_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cascade, "CLASSIFIERS", {"general": SHIPPED_PRIOR})
    monkeypatch.setattr(cascade, "SETTINGS", {"all": {"easy": 0.0, "hard": 1.0, "wrong": 0.2, "second_sample": True}})
    said = list[str]()
    report = measure_cascade(questions=40, seed=3, say=said.append)
    assert said == ["all large", "all mini", "general: prompt only", "general: cascade, all"]
    assert (report.details["questions"], report.details["complex"]) == (40, 10)
    general = report.details["general"]
    assert isinstance(general, dict)
    curve = [(point["accuracy"], point["spend"]) for point in general["prompt_only"]]
    assert curve[0][1] == max(spend for _, spend in curve)
    assert curve[-1][1] == min(spend for _, spend in curve)
    run = general["prompt_only_run"]
    assert run["as_run"]["spend"] == pytest.approx(run["as_derived"]["spend"], rel=0.05)
    found = general["cascade"]["all"]
    # Every question was between, so Mini was asked about each of them, twice; and who was wrong cost Large as well.
    assert found["reasons"] == {"between": 40}
    assert found["attempts"]["judge mini"] == 40
    assert found["attempts"]["primary large"] == found["attempts"]["escalation mini"] >= 5
    assert sum(found["spend_by_attempt"].values()) == found["spend"]
    assert found["low"] <= found["high"]
    assert general["auroc_mini_wrong"]["verified"] == 40
    assert general["auroc_mini_wrong"]["p_wrong_of_verified"] > 0.8
    (goal,) = report.goals
    assert (goal.name, goal.met) == ("cascade_spend_change_at_most_general", goal.value < 0)
    assert goal.value == found["high"] / found["matched"]
