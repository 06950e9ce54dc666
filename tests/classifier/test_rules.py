"""Tests classifier/rules.py."""

import subprocess
import sys

import pytest

from classifier.base import Prompt, Turn
from classifier.rules import RULES, RulesClassifier

HARD = {
    "long text": "word " * 300,
    "code marks": "f(x) = {y: [z]; (w)};",
    "several questions": "how? why? when?",
    "numbers": "12345 67890 12345",
    "joining words": "compare it because of both",
    "joining words in Chinese": "比较这两个，哪个更好，因为什么",
}


def user(text: str) -> Prompt:
    return Prompt((Turn("user", text),))


@pytest.mark.parametrize(("rule", "text"), HARD.items(), ids=HARD)
def test_each_rule_raises_the_score_and_is_named(rule: str, text: str) -> None:
    rules = RulesClassifier()
    assert rules.score(user(text)).value > rules.score(user("hello")).value
    assert rule.removesuffix(" in Chinese") in {part.feature for part in rules.explain(user(text), top=9)}


def test_a_plain_short_question_stays_below_the_threshold() -> None:
    rules = RulesClassifier()
    for text in ("When are you open?", "我忘记密码了。"):
        assert rules.score(user(text)).value < rules.threshold


def test_several_signs_together_pass_the_threshold() -> None:
    rules = RulesClassifier()
    text = "Compare both plans and explain which one is cheaper until 2031? And why? Because 12 of 30 use it."
    assert rules.score(user(text)).value > rules.threshold
    assert rules.score(user(text)).source == "rules@1"


def test_explained_points_come_strongest_first_and_no_more_than_asked_for() -> None:
    parts = RulesClassifier().explain(user(" ".join(HARD.values())), top=2)
    assert len(parts) == 2
    assert parts[0].weight >= parts[1].weight > 0.0


def test_agreeing_to_something_hard_scores_as_hard() -> None:
    rules, hard = RulesClassifier(), HARD["joining words"] + "? " + HARD["several questions"]
    agreed = Prompt((Turn("assistant", hard), Turn("user", "yes")))
    assert rules.score(agreed).value == pytest.approx(rules.score(user(hard)).value, abs=0.05)


@pytest.mark.parametrize("prompt", [Prompt(()), user(""), user("\ud800"), Prompt((Turn("tool", ""),), tools=2)])
def test_odd_prompts_get_a_score(prompt: Prompt) -> None:
    assert 0.0 < RulesClassifier().score(prompt).value < 0.5
    assert RulesClassifier().explain(prompt, top=3) == ()


def test_no_rule_gives_more_than_its_points() -> None:
    text = "".join(HARD.values()) * 50
    assert all(0.0 <= rule.measure(text) <= 1.0 for rule in RULES)


def test_rules_do_not_load_numpy() -> None:
    code = "import classifier.rules, sys; print('numpy' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], timeout=60, text=True).strip() == "False"
