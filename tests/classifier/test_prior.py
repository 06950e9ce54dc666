"""Tests classifier/prior.py and classifier/cards.py."""

import json
import random
from pathlib import Path

import numpy as np
import pytest

from classifier.base import Prompt, Turn
from classifier.calibrating.maps import Beta
from classifier.cards import card
from classifier.features import featurise
from classifier.linear import LinearClassifier, load
from classifier.options import SHIPPED_PRIOR
from classifier.pairs import PairsError
from classifier.prior import CUTS, _halves, fit_prior, read_many

_HARD, _EASY = "prove that the integral converges uniformly".split(), "hello thanks please open the door".split()


def _silent(_: str) -> None:
    """Say nothing."""


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Return pairs and outcomes of two sources: words of one kind are hard for the smaller half of ten models."""
    rng = random.Random("prior")
    pairs, outcomes = tmp_path / "pairs.jsonl", tmp_path / "outcomes.jsonl"
    with pairs.open("w") as one, outcomes.open("w") as many:
        for number in range(150):
            is_hard, source = number % 2 == 0, f"source {number % 3}"
            text = " ".join(rng.choices(_HARD if is_hard else _EASY, k=6))
            key = {"id": f"q{number}", "source": source}
            weak = float(rng.random() > (0.9 if is_hard else 0.2))
            one.write(json.dumps(key | {"prompt": text, "strong_score": 1.0, "weak_score": weak, "group": text}) + "\n")
            for model in range(10):
                right = rng.random() > (0.9 - 0.08 * model if is_hard else 0.1)
                many.write(json.dumps(key | {"model": f"m{model}", "score": float(right)}) + "\n")
    return pairs, outcomes


def test_what_is_hard_for_many_models_scores_high(files: tuple[Path, Path]) -> None:
    fitted = fit_prior(read_many([files[0]], files[1]), seed=0, version="p1", name="p", say=_silent)
    classifier = LinearClassifier(fitted.weights)
    hard, easy = (Prompt((Turn("user", " ".join(words)),)) for words in (_HARD, _EASY))
    assert classifier.score(hard).value > 0.6
    assert classifier.score(easy).value < 0.4
    assert set(fitted.weights.fitted_on["apgr_left_out"]) == {"source 0", "source 1", "source 2"}
    assert min(fitted.weights.fitted_on["apgr_left_out"].values()) > 0.6
    assert fitted.report.target == "difficulty"


def test_the_card_names_the_sources_and_what_holds_without_each(files: tuple[Path, Path]) -> None:
    text = card(fit_prior(read_many([files[0]], files[1]), seed=0, version="p1", name="p", say=_silent).weights)
    assert text.startswith("# p p1\n")
    assert "Sources: source 0, source 1, source 2." in text
    assert "(source 2)" in text


def test_best_and_smaller_models_are_told_by_their_means_on_the_source() -> None:
    scored = {f"q{row}": {"a": 1.0, "b": 0.8, "c": 0.6, "d": 0.4, "e": 0.2, "f": 0.0} for row in range(60)}
    assert _halves(scored)["q0"] == pytest.approx((0.9, 0.2))
    assert _halves({"q0": {"best": 1.0}}) == {}


def test_a_prior_is_fitted_for_traffic_of_other_forms(files: tuple[Path, Path]) -> None:
    weights = fit_prior(read_many([files[0]], files[1]), seed=0, version="p1", name="p", say=_silent).weights
    assert isinstance(weights.calibration, Beta)
    numbers = np.array([featurise(pair.prompt).numbers for pair in read_many([files[0]], files[1]).pairs])
    assert (weights.highest <= numbers.mean(axis=0) + CUTS * numbers.std(axis=0) + 1e-6).all()
    assert isinstance(load(SHIPPED_PRIOR).weights.calibration, Beta)


def test_peers_are_told_by_prompt_and_who_was_not_asked_is_missing(files: tuple[Path, Path]) -> None:
    many = read_many([files[0]], files[1])
    del many.scores["source 1"]["q4"]["m3"]  # type: ignore[attr-defined]  # what was read is a dict
    peers = many.where(lambda pair: pair.source == "source 1").peers()
    assert peers.shape == (50, 10)
    assert np.argwhere(np.isnan(peers)).tolist() == [[1, 3]]
    assert peers[0].tolist() == [many.scores["source 1"]["q1"][f"m{model}"] for model in range(10)]


def test_files_that_cannot_be_joined_are_refused_by_line(files: tuple[Path, Path]) -> None:
    pairs, outcomes = files
    lines = pairs.read_text().splitlines()
    without = json.loads(lines[4])
    del without["id"]
    pairs.write_text("\n".join([*lines[:4], json.dumps(without), *lines[5:]]))
    with pytest.raises(PairsError, match=r"pairs\.jsonl:5:id: is missing"):
        read_many([pairs], outcomes)
    pairs.write_text("\n".join(lines))
    outcomes.write_text('{"id": "q1", "source": "s", "model": "m", "score": 7}')
    with pytest.raises(PairsError, match=r"outcomes\.jsonl:1:score: is 7"):
        read_many([pairs], outcomes)


def test_the_shipped_prior_finds_a_sum_harder_than_a_greeting() -> None:
    classifier = load(SHIPPED_PRIOR)
    hello = Prompt((Turn("user", "thanks!"),))
    task = "A shop sells 48 cups a day at $3 each and 20% more at weekends. What does it earn in two weeks?"
    assert classifier.score(Prompt((Turn("user", task),))).value > classifier.score(hello).value + 0.1
