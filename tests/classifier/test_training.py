"""Tests classifier/training.py."""

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from classifier.base import Prompt, Turn
from classifier.cards import card
from classifier.linear import LinearClassifier, dump, load
from classifier.measures import Outcomes
from classifier.pairs import Pair, PairsError
from classifier.training import CANDIDATES, Candidate, Fitted, Recipe, _best, _threshold, fit, write

BEGINNINGS = ("Count the letters that came in today:", "Translate the letters that came in:")


def noisy(pairs: list[Pair], share: float) -> list[Pair]:
    """Return the pairs with Mini right on that share of what it fails on."""
    rng = random.Random("noise")
    return [replace(pair, weak_score=1.0) if rng.random() < share else pair for pair in pairs]


@pytest.fixture(scope="module")
def again(seen_pairs: list[Pair]) -> tuple[Fitted, list[str]]:
    """Return what was fitted once more, and what was said of it."""
    said: list[str] = []
    return fit(seen_pairs, seed=0, version="test-1", name="test", say=said.append), said


def test_fitting_twice_gives_the_same_file(again: tuple[Fitted, list[str]], fitted: Fitted) -> None:
    assert dump(again[0].weights) == dump(fitted.weights)


def test_measures_are_those_of_data_that_can_be_told_apart(fitted: Fitted) -> None:
    report = fitted.report
    assert (report.rows, report.groups, report.needing_large) == (600, 600, 300)
    assert report.auroc is not None
    assert report.auroc > 0.95
    assert report.brier < 0.05
    assert report.ece < 0.05
    assert report.strong_mean == 1.0
    assert report.weak_mean == 0.5


def test_scores_mean_what_they_say_where_labels_are_noisy(seen_pairs: list[Pair], unseen_pairs: list[Pair]) -> None:
    classifier = LinearClassifier(fit(noisy(seen_pairs, 0.45), seed=0, version="n", name="n").weights)
    of_complex = [classifier.score(pair.prompt).value for pair in unseen_pairs if pair.needs_large]
    assert np.mean(of_complex) == pytest.approx(0.55, abs=0.1)
    assert np.std(of_complex) < 0.2


def test_labels_that_mean_nothing_are_not_learnt(seen_pairs: list[Pair]) -> None:
    rng = random.Random("labels")
    blind = [replace(pair, weak_score=float(rng.random() < 0.5)) for pair in seen_pairs]
    report = fit(blind, seed=0, version="b", name="b").report
    assert report.auroc == pytest.approx(0.5, abs=0.12)
    assert report.brier == pytest.approx(0.25, abs=0.03)


def test_copies_of_a_question_do_not_leak_between_folds() -> None:
    rng = random.Random("copies")
    texts = ["".join(rng.choice("abcdefghij ") for _ in range(40)) for _ in range(60)]
    labels = [float(rng.random() < 0.5) for _ in texts]
    copies = [
        Pair(Prompt((Turn("user", text),)), 1.0, label, text)
        for text, label in zip(texts, labels, strict=True)
        for _ in range(4)
    ]
    report = fit(copies, seed=0, version="c", name="c").report
    assert report.auroc is not None
    assert report.auroc < 0.75


def test_the_target_may_be_named(seen_pairs: list[Pair]) -> None:
    for target in ("fail", "gain"):
        report = fit(seen_pairs, seed=0, version="t", name="t", recipe=Recipe(target)).report
        assert report.target == target
        assert report.auroc is not None
        assert report.auroc > 0.95


def test_rows_on_which_both_fail_do_not_attract_large(seen_pairs: list[Pair]) -> None:
    said = {pair.group: pair.group.isascii() for pair in seen_pairs if pair.needs_large}
    assert 0 < sum(said.values()) < len(said)
    mixed = [replace(pair, strong_score=0.0) if said.get(pair.group) else pair for pair in seen_pairs]
    fitted = fit(mixed, seed=0, version="h", name="h")
    assert fitted.report.target == "gain"
    classifier = LinearClassifier(fitted.weights)
    scores = {group: classifier.score(Prompt((Turn("user", group),))).value for group in said}
    hopeless, mended = (np.mean([scores[group] for group in said if said[group] is side]) for side in (True, False))
    assert mended > hopeless


def test_a_model_that_leads_by_luck_is_not_taken() -> None:
    chance = np.random.default_rng(0)
    usual, other, *_ = CANDIDATES
    told = chance.normal(size=400)  # what a score knows of the gain
    gain = (told + 2 * chance.normal(size=400) > 0).astype(float)

    def taken(first: float, second: float) -> Candidate:
        scores = {one: told + noise * chance.normal(size=400) for one, noise in ((usual, first), (other, second))}
        return _best(scores, Outcomes(gain, np.zeros(400), np.arange(400)))

    assert [taken(1.0, 1.0) for _ in range(20)].count(usual) > 13
    assert [taken(0.1, 3.0) for _ in range(20)].count(usual) == 20
    assert [taken(3.0, 0.1) for _ in range(20)].count(other) == 20


def test_rows_of_one_group_do_not_make_a_lead_surer() -> None:
    chance = np.random.default_rng(0)
    usual, other, *_ = CANDIDATES
    gain, first, second = (chance.random(60) < 0.5).astype(float), chance.random(60), chance.random(60)
    second -= 0.15 * gain  # still ahead, by two thirds of its standard error
    twenty = [np.repeat(each, 20) for each in (gain, first, second)]
    alone = Outcomes(twenty[0], np.zeros(1200), np.repeat(np.arange(60), 20))
    assert _best({usual: first, other: second}, Outcomes(gain, np.zeros(60), np.arange(60))) is usual
    assert _best({usual: twenty[1], other: twenty[2]}, alone) is usual
    assert _best({usual: twenty[1], other: twenty[2]}, replace(alone, groups=np.arange(1200))) is other


def test_where_large_is_no_better_what_finds_failures_is_taken() -> None:
    chance = np.random.default_rng(0)
    usual, other, *_ = CANDIDATES
    weak = (chance.random(300) < 0.5).astype(float)
    scores = {usual: chance.random(300), other: chance.random(300) - weak}
    assert _best(scores, Outcomes(weak, weak, np.arange(300))) is other


def test_a_prior_helps_where_there_are_few_labels(
    seen_pairs: list[Pair], unseen_pairs: list[Pair], fitted: Fitted
) -> None:
    few = noisy(seen_pairs[:30] + seen_pairs[-30:], 0.4)
    recipe = Recipe(prior=fitted.weights)
    alone, built = fit(few, seed=0, version="a", name="a"), fit(few, seed=0, version="b", name="b", recipe=recipe)
    target = [pair.needs_large for pair in unseen_pairs]

    def found(one: Fitted) -> float:
        classifier = LinearClassifier(one.weights)
        return float(roc_auc_score(target, [classifier.decide(pair.prompt) for pair in unseen_pairs]))

    assert built.report.prior == "test@test-1"
    assert found(built) > found(alone)


def test_a_word_may_say_the_opposite_in_prompts_that_begin_otherwise() -> None:
    chance = random.Random("openings")
    fill = "of paper wood glass steel brass stone cloth linen".split()

    def pairs(count: int, name: str) -> list[Pair]:
        found = []
        for number in range(count):
            begin, word = chance.choice(BEGINNINGS), chance.choice(("many", "few"))
            hard = chance.random() < (0.8 if (begin is BEGINNINGS[0]) is (word == "many") else 0.2)
            text = " ".join((begin, *chance.sample(fill, 3), word, *chance.sample(fill, 3)))
            found.append(Pair(Prompt((Turn("user", text),)), 1.0, 1.0 - hard, f"{name} {number}"))
        return found

    fitted = fit(pairs(200, "seen"), seed=0, version="o", name="o", recipe=Recipe("gain"))
    unseen = pairs(200, "unseen")
    classifier = LinearClassifier(fitted.weights)
    assert len(fitted.weights.openings) == 2
    told = [classifier.decide(pair.prompt) for pair in unseen]
    assert roc_auc_score([pair.needs_large for pair in unseen], told) > 0.7
    for begin in BEGINNINGS:
        many, few = (classifier.decide(Prompt((Turn("user", f"{begin} {word}"),))) for word in ("many", "few"))
        assert (many > few) is (begin is BEGINNINGS[0])


def test_peers_steady_a_gain_that_is_mostly_chance(seen_pairs: list[Pair], unseen_pairs: list[Pair]) -> None:
    chance = random.Random("peers")

    def answered(pair: Pair, skill: float) -> float:
        return float(chance.random() < (skill if pair.needs_large else 0.8))

    few = [replace(pair, strong_score=answered(pair, 0.6), weak_score=answered(pair, 0.4)) for pair in seen_pairs]
    peers = np.array([[answered(pair, 0.5) for _ in range(20)] for pair in seen_pairs])
    target = [pair.needs_large for pair in unseen_pairs]

    def found(fitted: Fitted) -> float:
        classifier = LinearClassifier(fitted.weights)
        return float(roc_auc_score(target, [classifier.decide(pair.prompt) for pair in unseen_pairs]))

    alone = fit(few, seed=0, version="a", name="a", recipe=Recipe("gain"))
    steadied = fit(few, seed=0, version="s", name="s", recipe=Recipe("gain", peers=peers))
    assert alone.report.steadied == 0.0
    assert steadied.report.steadied > 0.0
    assert found(steadied) > found(alone)
    assert "as what other models scored leads one to expect" in card(steadied.weights)
    assert "other models" not in card(alone.weights)


def test_progress_is_told_a_line_for_each_model(again: tuple[Fitted, list[str]]) -> None:
    assert len(again[1]) == 1 + len(CANDIDATES)


def test_a_large_that_is_no_better_still_gives_weights(seen_pairs: list[Pair]) -> None:
    report = fit(
        [replace(pair, strong_score=pair.weak_score) for pair in seen_pairs], seed=0, version="n", name="n"
    ).report
    assert report.apgr is None
    assert report.auroc is not None
    assert report.auroc > 0.9


def test_the_threshold_is_the_highest_that_keeps_the_margin() -> None:
    scores = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95])
    strong, weak = np.ones(10), np.array([1, 1, 1, 1, 0, 1, 0, 0, 0, 0.0])
    assert _threshold(scores, strong, weak, margin=0.0) == 0.5
    assert _threshold(scores, strong, weak, margin=0.1) == 0.7
    assert _threshold(scores, strong, weak, margin=1.0) == 1.0


def test_equal_scores_go_the_same_way() -> None:
    scores = np.array([0.2, 0.5, 0.5, 0.5])
    assert _threshold(scores, np.ones(4), np.array([1, 1, 1, 0.0]), margin=0.0) == 0.5
    # Half of the tie would do, but a tie cannot be halved.
    scores, weak = np.array([0.2, 0.5, 0.5, 0.9]), np.array([0, 1, 0, 0.0])
    assert _threshold(scores, np.array([1, 0, 1, 1.0]), weak, margin=0.0) == 0.2


def test_a_mini_that_is_better_than_large_gets_everything() -> None:
    assert _threshold(np.array([0.2, 0.9]), np.zeros(2), np.ones(2), margin=0.0) == 1.0


def test_the_report_states_the_mix_at_its_threshold(seen_pairs: list[Pair]) -> None:
    report = fit(noisy(seen_pairs, 0.2), seed=0, version="m", name="m", margin=0.02, large_cost_ratio=5.0).report
    assert report.strong_mean - 0.02 <= report.quality <= report.strong_mean
    assert report.saved == pytest.approx((1 - report.large_share) * 0.8)


def test_too_few_pairs_are_refused(seen_pairs: list[Pair]) -> None:
    with pytest.raises(PairsError, match="holds 20 rows"):
        fit(seen_pairs[:10] + seen_pairs[-10:], seed=0, version="x", name="x")


def test_weights_and_a_card_are_written_side_by_side(fitted: Fitted, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "own.json"
    card = write(fitted, path)
    assert card == tmp_path / "deep" / "own.md"
    text = card.read_text(encoding="utf-8")
    assert text.startswith("# test test-1")
    assert f"{fitted.report.threshold:.4f}" in text
    assert "600 pairs of 600 groups" in text
    assert load(path).threshold == fitted.weights.threshold
