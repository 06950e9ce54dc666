"""Tests router/quality/refusals.py, and router/bench/numbers/refusal_fitting.py, which makes its weights."""

import json
from importlib.resources import files

import pytest

from router.bench.numbers.refusal_fitting import fitted, refusal_cases
from router.quality.refusals import HEAD, is_refusal, refusal_probability


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can’t help with that.",
        "Unfortunately, I am unable to assist you with this request, since it goes against our policy.",
        "很抱歉，我不能为您提供这方面的帮助。",
        "作为人工智能助手，我无法回答这个问题。",
    ],
)
def test_a_refusal_is_told(text: str) -> None:
    assert is_refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "I can't recommend this film enough: see it twice.",
        '"I cannot help you," said the old man, and closed the door.',
        "Sorry for the delay. Here is the list that you asked for.",
        "不能用零作除数，因为没有意义。",
        "“我帮不了你。”船夫说完就走了。",
    ],
)
def test_what_only_sounds_like_one_is_none(text: str) -> None:
    assert not is_refusal(text)


def test_what_comes_late_is_not_looked_at() -> None:
    text = "The three largest lakes are listed below, with their depth and their area. " * 4
    assert len(text) > HEAD
    assert refusal_probability(text + "I'm sorry, but I can't help with that.") == refusal_probability(text)


def test_the_shipped_weights_are_those_that_the_cases_give() -> None:
    stored = json.loads(files("router.quality").joinpath("refusal_weights.json").read_text(encoding="utf-8"))
    again = fitted()
    assert stored["cues"] == pytest.approx(again["cues"], abs=0.01)
    assert stored["slots"].keys() == again["slots"].keys()


def test_most_cases_that_nothing_was_fitted_on_are_told_rightly() -> None:
    told = [(case.is_so, is_refusal(case.text)) for case in refusal_cases("judging", seed=3, each=1)]
    hits = told.count((True, True))
    assert hits / (hits + told.count((False, True))) > 0.85
    assert hits / (hits + told.count((True, False))) > 0.85
