"""Tests router/bench/routing.py."""

import json
import random
from pathlib import Path

import pytest

from classifier.linear import load
from classifier.options import SHIPPED_WEIGHTS
from router.bench import routing
from router.bench.goals import at_least, at_most
from router.bench.routing import measure_decisions, measure_pool, score_cost

_HARD, _EASY = "prove that the integral converges uniformly".split(), "hello thanks please open the door".split()
_SOURCES = {"routellm-mmlu": "mixtral", "mmlu-pro": "Llama-3.1-8B", "lawbench": "gpt-3.5"}


def _silent(_: str) -> None:
    """Say nothing."""


@pytest.fixture
def few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the median of fewer rounds than a bench does; each is of 200 scores still."""
    monkeypatch.setattr(routing, "_ROUNDS", 9)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Return pairs of three sources, in which the same words are hard, and outcomes of ten models."""
    rng = random.Random("routing")
    pairs, outcomes = tmp_path / "pairs.jsonl", tmp_path / "outcomes.jsonl"
    with pairs.open("w") as one, outcomes.open("w") as many:
        for number in range(390):
            is_hard, source = rng.random() < 0.5, list(_SOURCES)[number % 3]
            text = " ".join(rng.choices(_HARD if is_hard else _EASY, k=8))
            key = {"id": f"q{number}", "source": source}
            scores = {"strong_score": 1.0, "weak_score": float(rng.random() > (0.9 if is_hard else 0.1))}
            row = key | scores | {"prompt": text, "group": f"g{number}", "weak_model": _SOURCES[source]}
            one.write(json.dumps(row) + "\n")
            for model in range(6):
                score = float(rng.random() > (0.9 - 0.1 * model if is_hard else 0.1))
                many.write(json.dumps(key | {"model": f"m{model}", "score": score}) + "\n")
    return pairs, outcomes


def test_the_pool_gives_a_figure_for_each_goal(files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    labels = {"CHINESE_LABELS": 80, "CERTIFY_ON": 120, "TARGET_LABELS": 110}
    for name, value in (labels | {"CHINESE_DRAWS": 2, "CERTIFY_DRAWS": 50, "TARGET_DRAWS": 3}).items():
        monkeypatch.setattr(routing, name, value)
    report = measure_pool([files[0]], files[1], seed=0, say=_silent)
    values = {goal.name: goal.value for goal in report.goals}
    assert len(values) == 11
    for name in ("mmlu_without_its_labels_apgr", "mmlu_with_labels_apgr", "hard_pair_apgr", "chinese_500_labels_apgr"):
        assert values[name] > 0.6
    assert values["worst_unseen_family_apgr_upper_bound"] > 0.6
    assert report.details["hard_pair"]["value"] == values["hard_pair_apgr"]  # type: ignore[index]  # a plain value
    assert report.details["hard_pair_alone"] != report.details["hard_pair"]  # other models have a part in one of them
    assert 0 <= values["promises_broken_lost"] <= 0.2


@pytest.mark.usefixtures("few_rounds")
def test_decisions_are_measured_without_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routing, "PROMPTS", 80)
    report = measure_decisions(seed=0, say=_silent)
    assert [goal.name for goal in report.goals] == [
        *(f"score_cpu_us_{size}_bytes" for size in (150, 8_000, 64_000)),
        "decisions_flipped_by_edits",
    ]
    assert report.goals[-1].met
    assert set(report.details) == {"large_share_before_a_suffix", "large_share_after_suffix_of_bytes"}


@pytest.mark.usefixtures("few_rounds")
def test_a_score_costs_about_the_same_at_any_size() -> None:
    classifier = load(SHIPPED_WEIGHTS)
    assert score_cost(classifier, 1_000_000) < 3 * score_cost(classifier, 8_000)


def test_goals_say_which_way_is_good() -> None:
    assert at_most("a", 1.0, 1.0).met
    assert not at_most("a", 1.1, 1.0).met
    assert at_least("a", 1.0, 1.0).met
    assert not at_least("a", 0.9, 1.0).met
    assert not at_least("a", float("nan"), 0.9).met
