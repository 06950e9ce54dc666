"""Tests `classifier/verify.py`, `classifier/verifying/priors.py`, `classifier/verifying/card.py`: shipped weights."""

import itertools
import json
import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifier.base import Sample, WeightsError
from classifier.verify import DESK, GENERAL, SHIPPED, Verifier, VerifierWeights, dump, load
from classifier.verifying.card import write
from classifier.verifying.priors import PRIORS, general_weights
from classifier.verifying.replies import SIGNS

CLEAN = "16 - 3 = 13 eggs are left, and 13 * 2 = 26.\n#### {}"
FLAWED = "I'm not sure, maybe. 16 - 3 = 12, perhaps, or 12 * 2 = 25, I think it might be {}"
WORST = f"I'm sorry, but I cannot help. {FLAWED * 12} and then the"


@pytest.fixture(scope="module")
def general() -> Verifier:
    return load(name=GENERAL)


def judged(verifier: Verifier, *texts: str, score: float = 0.5) -> float:
    """Return P(the first is wrong) of replies that have ended."""
    return verifier.p_wrong(score, [Sample(text, None, "stop") for text in texts])


def test_agreement_orders_two_replies_and_three(general: Verifier) -> None:
    agree, differ = judged(general, "5", "5"), judged(general, "5", "6")
    assert agree < 0.2
    assert differ > 0.5
    patterns = (("5", "5", "5"), ("5", "5", "6"), ("5", "6", "6"), ("5", "6", "7"))
    probabilities = [judged(general, *texts) for texts in patterns]
    assert probabilities == sorted(set(probabilities))


@pytest.mark.parametrize(
    "piece",
    [
        "She has 16 eggs and eats 3 of them, so 16 - 3 = 13 are left. ",
        "她有十六个鸡蛋，吃了三个，所以还剩 16 - 3 = 13 个。",
        "\\frac{1}{2} \\times 4 = 2 \\text{ eggs} ",
        "x = f(1, 2) + 3\n",
        '{"eggs": 13, ',
        "\n",
    ],
)
def test_beyond_some_length_a_reply_costs_no_more(general: Verifier, piece: str) -> None:
    def seconds(length: int) -> float:
        sample = Sample(piece * (length // len(piece)), (-0.1, -2.0, -0.01, -0.5) * (length // 16), "stop")
        taken = []
        for _ in range(12):
            begun = time.perf_counter()
            general.p_wrong(0.5, [sample, sample])
            taken.append(time.perf_counter() - begun)
        return min(taken)

    assert seconds(2_000_000) < 2 * seconds(3_072) + 5e-5


def test_nothing_else_outweighs_agreement(general: Verifier) -> None:
    """The worst reply of one pattern stays below the best of the next, for two to five replies."""
    for count in (2, 3, 4, 5):
        by_pattern: dict[tuple[int, int], list[float]] = {}
        for others in itertools.combinations_with_replacement("01234", count - 1):
            against = [other for other in others if other != "0"]
            for text, score in ((CLEAN, 0.0), (FLAWED, 0.5), (FLAWED, 1.0)):
                texts = [text.format(100 + int(other)) for other in ("0", *others)]
                found = by_pattern.setdefault((len(against), len(set(against))), [])
                found.append(judged(general, *texts, score=score))
        ranges = [by_pattern[pattern] for pattern in sorted(by_pattern)]
        assert len(ranges) > count - 1
        for lower, higher in itertools.pairwise(ranges):
            assert max(lower) < min(higher)


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ("#### 13", "16 - 3 = 12, so 13"),
        ("She has 13.", "She has 13. I'm not sure, perhaps."),
        ("She has 13.", "I'm sorry, I cannot help, but 13."),
        (CLEAN.format(13), f"{CLEAN.format(13)} which means that all of it is"),
        ("She has 13.", ""),
        (
            "She has 13.",
            "She has some of the eggs that were left over from the market, but how many she does not say at all.",
        ),
    ],
)
def test_among_replies_that_stand_alike_signs_of_trouble_decide(general: Verifier, better: str, worse: str) -> None:
    for others in ((), ("14",), ("14", "15")):
        assert judged(general, better, *others) < judged(general, worse, *others)


def test_the_prompts_score_settles_what_replies_leave_open(general: Verifier) -> None:
    for texts in (("5",), ("5", "5"), ("5", "6"), ("5", "6", "7")):
        probabilities = [judged(general, *texts, score=score) for score in (0.1, 0.5, 0.9)]
        assert probabilities == sorted(set(probabilities))


def test_unsure_tokens_speak_for_wrong(general: Verifier) -> None:
    sure, unsure = (Sample("5", (value,) * 20, "stop") for value in (-0.001, -1.5))
    assert general.p_wrong(0.5, [sure]) < general.p_wrong(0.5, [unsure])


def test_an_explanation_adds_up_to_the_probability(general: Verifier) -> None:
    for verifier in (general, load(name=DESK)):
        replies = [Sample(FLAWED.format(5), (-0.5, -2.0), "stop"), Sample("6", None, "stop")]
        parts = verifier.explain(0.7, replies, top=99)
        logit = verifier.weights.intercept + sum(part.weight for part in parts)
        assert verifier.p_wrong(0.7, replies) == pytest.approx(1 / (1 + math.exp(-logit)))
        weights = [abs(part.weight) for part in parts]
        assert weights == sorted(weights, reverse=True)
        assert {part.feature for part in parts} <= set(SIGNS)
    assert verifier.explain(0.7, replies, top=1) == parts[:1]


@given(st.lists(st.text(max_size=200), max_size=4), st.floats())
@settings(max_examples=150, deadline=None)
def test_whatever_the_texts_are_a_probability_comes_out(general: Verifier, texts: list[str], score: float) -> None:
    assert 0.0 <= general.p_wrong(score, [Sample(text) for text in texts]) <= 1.0


def test_the_desk_set_knows_a_doubtful_reply_from_a_sure_one() -> None:
    desk = load(name=DESK)
    sure = Sample("No, we do not accept crypto.", (-0.001,) * 8, "stop")
    doubtful = Sample("Maple Mixer 45 + Delta Hammer 25 = 70 euro.", (-0.01, -1.4, -0.3, -1.2, -0.1, -0.9), "stop")
    assert desk.p_wrong(0.05, [sure]) < 0.2
    assert desk.p_wrong(0.95, [doubtful]) > 0.8


# --- the file --------------------------------------------------------------------------------------------


def test_the_shipped_general_set_is_the_one_that_is_argued() -> None:
    assert load().weights == general_weights()
    assert set(PRIORS) == set(SIGNS)
    card = SHIPPED.with_suffix(".md").read_text(encoding="utf-8")
    assert "fitted on nothing and is calibrated on no task" in card
    assert all(f"| {sign} |" in card for sign in SIGNS)


def test_weights_survive_writing_and_reading(tmp_path: Path) -> None:
    sets = (general_weights(), load(name=DESK).weights)
    card = write(sets, tmp_path / "own" / "verify.json")
    assert load(tmp_path / "own" / "verify.json", name=DESK).weights == sets[1]
    assert (tmp_path / "own" / "verify.json").read_text(encoding="utf-8") == dump(sets)
    assert "| AUROC with 1 reply |" in card.read_text(encoding="utf-8")


def test_the_only_set_of_a_file_needs_no_name(tmp_path: Path) -> None:
    write((replace(load(name=DESK).weights, name="mine", version="7"),), tmp_path / "verify.json")
    assert load(tmp_path / "verify.json").source == "mine@7"
    with pytest.raises(WeightsError, match="no set of weights is named 'general'; it has mine"):
        load(tmp_path / "verify.json", name=GENERAL)


def _damaged(change: Callable[[dict[str, Any]], None]) -> str:
    content = json.loads(dump((general_weights(),)))
    change(content)
    return json.dumps(content)


def _general(**fields: object) -> Callable[[dict[str, Any]], None]:
    return lambda content: content["sets"]["general"].update(fields)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "damaged"),
        ("{}", "'format' is missing"),
        (_damaged(lambda content: content.update(format="tandem-verify-0")), "this code reads"),
        (_damaged(lambda content: content.update(digest="0")), "other signs"),
        (_damaged(lambda content: content["signs"].reverse()), "other signs"),
        (_damaged(_general(values=[1.0])), "1 numbers where"),
        (_damaged(_general(values=[1e9] * len(SIGNS))), "beyond"),
        (_damaged(_general(intercept=float("nan"))), "not finite"),
        (_damaged(_general(values=["x"] * len(SIGNS))), "damaged"),
        (_damaged(_general(apart="yes")), "kept apart"),
        (_damaged(_general(values=[1.0] * len(SIGNS))), "worth more than scatter"),
        (_damaged(lambda content: content["sets"]["general"].pop("version")), "'version' is missing"),
        (_damaged(lambda content: content.update(sets=[])), "damaged"),
        (_damaged(lambda content: content.update(sets={})), "it has none"),
    ],
)
def test_weights_that_cannot_be_used_are_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "w.json").write_text(text)
    with pytest.raises(WeightsError, match=words) as caught:
        load(tmp_path / "w.json")
    assert str(tmp_path / "w.json") in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"none\.json: weights cannot be read"):
        load(tmp_path / "none.json")


def test_the_largest_weights_that_are_read_give_probabilities_still() -> None:
    values = tuple(1e4 if sign in ("dissent", "empty") else 0.0 for sign in SIGNS)
    for sign in (1.0, -1.0):
        extreme = VerifierWeights("x", "1", tuple(sign * value for value in values), 0.0, apart=False, fitted_on={})
        assert 0.0 <= judged(Verifier(extreme), "", "5") <= 1.0


def test_weights_without_agreement_kept_apart_just_add_up() -> None:
    values = tuple(5.0 if sign == "hedging" else 1.0 if sign == "dissent" else 0.0 for sign in SIGNS)
    plain = Verifier(VerifierWeights("plain", "1", values, 0.0, apart=False, fitted_on={}))
    assert judged(plain, "I think it may be 5, perhaps", "5") > judged(plain, "5", "6")
