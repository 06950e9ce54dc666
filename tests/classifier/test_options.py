"""Tests classifier/options.py."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from classifier import options
from classifier.base import Prompt, Turn, WeightsError
from classifier.linear import LinearClassifier, dump
from classifier.options import SHIPPED_PRIOR, SHIPPED_WEIGHTS, ClassifierOptions, weights_path
from classifier.rules import RulesClassifier
from classifier.training import Fitted


def test_the_shipped_weights_tell_simple_from_complex() -> None:
    classifier = ClassifierOptions().build()
    assert isinstance(classifier, LinearClassifier)
    simple = Prompt((Turn("user", "When are you open on Monday?"),))
    complex_ = Prompt((Turn("user", "What do the Amber Lamp and the Cedar Chair cost together?"),))
    assert classifier.score(simple).value < classifier.threshold < 1.0
    assert classifier.score(simple).value < classifier.score(complex_).value


def test_the_shipped_weights_are_small() -> None:
    assert SHIPPED_WEIGHTS.stat().st_size <= 300_000
    assert SHIPPED_WEIGHTS.with_suffix(".md").read_text(encoding="utf-8").startswith("# desk")


def test_weights_of_ones_own_are_used(fitted: Fitted, tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    path.write_text(dump(fitted.weights), encoding="utf-8")
    classifier = ClassifierOptions(weights=path).build()
    assert classifier is not None
    assert classifier.score(Prompt(())).source == "linear@test-1"


def test_rules_and_off_need_no_weights() -> None:
    assert isinstance(ClassifierOptions(use="rules").build(), RulesClassifier)
    assert ClassifierOptions(use="off").build() is None


def test_missing_shipped_weights_are_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(options, "SHIPPED_WEIGHTS", tmp_path / "desk.json")
    with pytest.raises(WeightsError, match=r"desk\.json"):
        ClassifierOptions().build()


def test_unknown_kinds_and_keys_are_refused() -> None:
    with pytest.raises(ValidationError):
        ClassifierOptions.model_validate({"use": "magic"})
    with pytest.raises(ValidationError):
        ClassifierOptions.model_validate({"colour": "blue"})


def test_choosing_loads_numpy_only_when_it_is_built() -> None:
    code = "import classifier.options, sys; print(sorted({'numpy', 'sklearn', 'scipy'} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", code], timeout=60, text=True).strip() == "[]"


def test_shipped_weights_have_a_word() -> None:
    assert weights_path(None) == weights_path(Path("desk")) == SHIPPED_WEIGHTS
    assert weights_path(Path("general")) == SHIPPED_PRIOR
    assert weights_path(Path("own/general.json")) == Path("own/general.json")
