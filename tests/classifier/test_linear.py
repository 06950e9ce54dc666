"""Tests classifier/linear.py."""

import base64
import json
import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from classifier.base import Prompt, Turn, WeightsError
from classifier.calibrating.maps import Platt
from classifier.features import BUCKETS, NUMBERS, featurise
from classifier.linear import COLUMNS, LinearClassifier, Weights, dump, load
from classifier.openings import mark_of
from classifier.pairs import Pair
from classifier.training import Fitted


def user(text: str) -> Prompt:
    return Prompt((Turn("user", text),))


@pytest.fixture
def classifier(fitted: Fitted) -> LinearClassifier:
    return LinearClassifier(fitted.weights)


LETTER = "Sort the letters of this buyer, please: "


@pytest.fixture
def of_letters(fitted: Fitted) -> Weights:
    """Return weights by which words weigh more in prompts that begin as letters do."""
    added = np.zeros((2, BUCKETS), np.float32)
    added[0, featurise(user("the lamp is broken")).hashed] = 0.5
    return replace(fitted.weights, openings={mark_of(featurise(user(LETTER)).text): added[0], 1: added[1]})


@pytest.fixture
def path(fitted: Fitted, tmp_path: Path) -> Path:
    file = tmp_path / "weights.json"
    file.write_text(dump(fitted.weights), encoding="utf-8")
    return file


def test_complex_questions_score_higher_than_simple_ones(
    classifier: LinearClassifier, unseen_pairs: list[Pair]
) -> None:
    scores = [classifier.score(pair.prompt).value for pair in unseen_pairs]
    assert all(0.0 <= score <= 1.0 for score in scores)
    assert roc_auc_score([pair.needs_large for pair in unseen_pairs], scores) > 0.95


def test_a_score_names_the_version_of_its_weights(classifier: LinearClassifier) -> None:
    assert classifier.score(user("hello")).source == "linear@test-1"


def test_agreeing_to_something_complex_scores_as_complex(classifier: LinearClassifier) -> None:
    proposal = "Shall I work out what the Amber Lamp and the Cedar Chair cost together?"
    for words in ("yes, do it", "ok", "好的"):
        agreed = Prompt((Turn("user", "I need both."), Turn("assistant", proposal), Turn("user", words)))
        assert classifier.score(agreed).value > 0.5 > classifier.score(user(words)).value


def test_numbers_outside_of_what_was_fitted_are_cut_to_it(fitted: Fitted) -> None:
    values = np.zeros(COLUMNS, np.float32)
    values[-len(NUMBERS) + NUMBERS.index("length")] = 1.0
    classifier = LinearClassifier(replace(fitted.weights, values=values))
    long = classifier.decide(user("word " * 1000))
    assert long == classifier.decide(user("word " * 100_000))
    assert long == pytest.approx(fitted.weights.intercept + fitted.weights.highest[0])


def test_calibration_is_applied_to_the_logit(fitted: Fitted) -> None:
    classifier = LinearClassifier(replace(fitted.weights, calibration=Platt(0.5, -1.0)))
    logit = 0.5 * classifier.decide(user("hello")) - 1.0
    assert classifier.score(user("hello")).value == pytest.approx(1 / (1 + math.exp(-logit)))


def test_the_interval_is_that_of_the_calibration_and_holds_the_score(
    classifier: LinearClassifier, fitted: Fitted
) -> None:
    for text in ("hello", "what do the Amber Lamp and the Cedar Chair cost together?"):
        low, high = classifier.interval(user(text))
        assert low <= classifier.score(user(text)).value <= high
    wide = LinearClassifier(replace(fitted.weights, calibration=Platt(1.0, 0.0, (0.5, 0.0, 0.0, 0.5))))
    low, high = wide.interval(user("hello"))
    assert high - low > 0.2


def test_an_enormous_logit_is_a_score_and_no_overflow(fitted: Fitted) -> None:
    for offset in (-1e30, 1e30):
        classifier = LinearClassifier(replace(fitted.weights, intercept=offset))
        assert 0.0 <= classifier.score(user("x")).value <= 1.0


def test_explain_names_n_grams_of_the_prompt_strongest_first(classifier: LinearClassifier) -> None:
    text = "which is cheaper, the amber lamp 还是 cedar chair?"
    parts = classifier.explain(user(text), top=12)
    assert len(parts) == 12
    assert [abs(part.weight) for part in parts] == sorted((abs(part.weight) for part in parts), reverse=True)
    quoted = [part.feature.strip('"') for part in parts if part.feature not in NUMBERS]
    assert quoted
    assert all(gram in f" {text} " for gram in quoted)


@pytest.mark.parametrize("begin", ["", LETTER])
def test_explained_parts_add_up_to_the_score(fitted: Fitted, of_letters: Weights, begin: str) -> None:
    classifier = LinearClassifier(replace(of_letters, calibration=Platt(1.5, 0.2)))
    middle = (fitted.weights.lowest + fitted.weights.highest) / 2
    bias = 1.5 * (fitted.weights.intercept + float(middle @ fitted.weights.values[-len(NUMBERS) :])) + 0.2
    prompt = user(begin + "the lamp is broken: what do the Amber Lamp and the 椅子 cost together?")
    parts = sum(part.weight for part in classifier.explain(prompt, top=10_000))
    score = classifier.score(prompt).value
    assert 1 / (1 + math.exp(-parts - bias)) == pytest.approx(score, abs=1e-6)


@pytest.mark.parametrize(
    "prompt",
    [Prompt(()), user(""), Prompt((Turn("tool", ""),), tools=4), user("\ud800 \udc00"), user("x" * 10**7)],
    ids=["nothing", "only images", "only tools", "lone surrogates", "10 MB"],
)
def test_odd_prompts_get_a_score_and_an_explanation(classifier: LinearClassifier, prompt: Prompt) -> None:
    assert 0.0 <= classifier.score(prompt).value <= 1.0
    classifier.explain(prompt, top=5)


def test_weights_read_back_score_the_same(classifier: LinearClassifier, path: Path, unseen_pairs: list[Pair]) -> None:
    read = load(path)
    assert read.threshold == classifier.threshold
    assert dump(read.weights) == path.read_text(encoding="utf-8")
    for pair in unseen_pairs[::20]:
        assert read.score(pair.prompt) == classifier.score(pair.prompt)


def test_missing_weights_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"absent\.json: weights cannot be read: No such file"):
        load(tmp_path / "absent.json")


def test_a_folder_is_no_weights(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="Is a directory"):
        load(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"\x80\x04K\x01."])
def test_what_is_no_json_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="not JSON"):
        load(path)


@pytest.mark.parametrize("content", [b"[]", b"null", b'"x"', b"{}", b'{"format": 3}'])
def test_other_json_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"weights\.json"):
        load(path)


def _doubled(content: dict[str, Any]) -> None:
    content["values"] = base64.b64encode(base64.b64decode(content["values"]) * 2).decode()


def _one_character(content: dict[str, Any]) -> None:
    content["values"] = ("B" if content["values"][0] == "A" else "A") + content["values"][1:]


DAMAGE: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a key is missing": (lambda content: content.pop("intercept"), "'intercept' is missing"),
    "of another format": (lambda content: content.update(format="tandem-linear-0"), "this code reads tandem-linear-2"),
    "of other features": (lambda content: content.update(features="0" * 64), "other features"),
    "one character changed": (_one_character, "checksum"),
    "not base64": (lambda content: content.update(values="***"), "checksum|base64"),
    "a scalar is text": (lambda content: content.update(intercept="steep"), "steep"),
    "a scalar is not finite": (lambda content: content.update(intercept=float("inf")), "not finite"),
    "the calibration is of no kind": (lambda content: content.update(calibration={"kind": "magic"}), "magic"),
    "the calibration falls": (
        lambda content: content.update(calibration={"kind": "platt", "slope": -1.0, "offset": 0.0}),
        "must rise",
    ),
    "the calibration is not finite": (
        lambda content: content.update(calibration={"kind": "platt", "slope": 1.0, "offset": float("nan")}),
        "not finite",
    ),
    "an array is a list": (lambda content: content.update(values=[1.0]), "damaged"),
}


@pytest.mark.parametrize(("change", "reason"), DAMAGE.values(), ids=DAMAGE)
def test_damaged_weights_are_refused_with_the_reason(
    path: Path, change: Callable[[dict[str, Any]], object], reason: str
) -> None:
    content = json.loads(path.read_bytes())
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(WeightsError, match=reason):
        load(path)


@pytest.mark.parametrize(
    ("field", "array", "reason"),
    [
        ("columns", np.array([COLUMNS], "<u2"), "does not exist"),
        ("values", np.array([1.0, 2.0], "<f2"), "2 numbers where 1 belong"),
        ("values", np.array([np.nan], "<f2"), "not finite"),
        ("lowest", np.array([np.nan] * len(NUMBERS), "<f4"), "not finite"),
        ("highest", np.array([1.0], "<f4"), "1 numbers where"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_though_the_checksum_is_right(
    fitted: Fitted, path: Path, monkeypatch: pytest.MonkeyPatch, field: str, array: Any, reason: str
) -> None:
    values = np.zeros(COLUMNS, np.float32)
    values[5] = 1.0
    content = json.loads(dump(replace(fitted.weights, values=values)))
    content[field] = base64.b64encode(array.tobytes()).decode()
    monkeypatch.setattr("classifier.linear._checksum", lambda _content: content["sha256"])
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(WeightsError, match=reason):
        load(path)


def test_words_are_weighed_anew_in_prompts_that_begin_so_and_in_no_others(fitted: Fitted, of_letters: Weights) -> None:
    plain, within = LinearClassifier(fitted.weights), LinearClassifier(of_letters)
    letter, other = user(LETTER + "the lamp is broken"), user("About a letter: the lamp is broken")
    assert within.decide(other) == plain.decide(other)
    found = featurise(letter)
    added = of_letters.openings[mark_of(found.text)][found.hashed].sum() * found.runs[0][1]
    assert added > 0
    assert within.decide(letter) == pytest.approx(plain.decide(letter) + added, abs=1e-5)


def test_weights_of_openings_read_back_score_the_same(of_letters: Weights, tmp_path: Path) -> None:
    path = tmp_path / "weights.json"
    path.write_text(dump(of_letters), encoding="utf-8")
    read, letter = load(path), user(LETTER + "the lamp is broken")
    assert dump(read.weights) == path.read_text(encoding="utf-8")
    assert read.decide(letter) == LinearClassifier(of_letters).decide(letter)


@pytest.mark.parametrize(
    ("field", "array", "reason"),
    [
        ("opening_sizes", np.array([2], "<u4"), "differ in size"),
        ("opening_sizes", np.array([1, 0], "<u4"), "differ in size"),
        ("opening_values", np.array([], "<f2"), "differ in size"),
        ("opening_values", np.array([np.inf], "<f2"), "not finite"),
        ("opening_columns", np.array([BUCKETS], "<u2"), "does not exist"),
    ],
)
def test_openings_that_do_not_fit_are_refused(
    fitted: Fitted, path: Path, monkeypatch: pytest.MonkeyPatch, field: str, array: Any, reason: str
) -> None:
    added = np.zeros(BUCKETS, np.float32)
    added[7] = 1.0
    content = json.loads(dump(replace(fitted.weights, openings={1: added})))
    content[field] = base64.b64encode(array.tobytes()).decode()
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(WeightsError, match="checksum"):
        load(path)
    monkeypatch.setattr("classifier.linear._checksum", lambda _content: content["sha256"])
    with pytest.raises(WeightsError, match=reason):
        load(path)


def test_weights_are_small_and_hold_no_pickle(fitted: Fitted) -> None:
    weights: Weights = fitted.weights
    full = replace(weights, values=np.ones(COLUMNS, np.float32))
    assert len(dump(full)) < 400_000


def test_scoring_loads_neither_scikit_learn_nor_scipy() -> None:
    code = "import classifier.linear, sys; print(sorted({'sklearn', 'scipy', 'torch', 'pydantic'} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", code], timeout=60, text=True).strip() == "[]"


def test_weights_know_the_groups_that_they_were_fitted_on(
    path: Path, seen_pairs: list[Pair], unseen_pairs: list[Pair]
) -> None:
    read = load(path)
    assert read.has_seen([pair.group for pair in seen_pairs]).all()
    assert not read.has_seen([pair.group for pair in unseen_pairs]).any()
    assert not read.has_seen([]).size


def test_a_threshold_that_is_no_probability_is_refused(path: Path) -> None:
    content = json.loads(path.read_bytes())
    path.write_text(json.dumps(content | {"threshold": 1e308}), encoding="utf-8")
    with pytest.raises(WeightsError, match="outside of 0 to 1"):
        load(path)
