"""Tests router/bench/robustness.py."""

import pytest

from backends.engines.desk.questions import Difficulty, unseen
from classifier.base import Contribution, Prompt, Score
from classifier.rules import RulesClassifier
from router.bench.robustness import SUFFIX_BYTES, edits, flip_share, suffix_attack

CHOICE = "What is the capital of France?\nA. Lyon\nB. Paris\nC. Lille\nD. Nice"
DESK = [question.text for kind in Difficulty for question in unseen("robustness", kind, 15)]


class Counting:
    """Scores by how often one word occurs."""

    threshold = 0.5

    def __init__(self, word: str) -> None:
        self.word = word

    def score(self, prompt: Prompt) -> Score:
        """Return 0.2 for each occurrence."""
        return Score(min(0.2 * prompt.turns[-1].text.count(self.word), 1.0), "counting@1")

    def explain(self, prompt: Prompt, *, top: int) -> tuple[Contribution, ...]:
        """Return the word where it occurs."""
        return (Contribution(f'"{self.word}"', 1.0),)[: min(top, prompt.turns[-1].text.count(self.word))]


def test_there_are_ten_edits_and_a_seed_gives_the_same_again() -> None:
    for prompt in (*DESK, CHOICE, "", "?", "\n", "🙂"):
        assert len(edits(prompt, 3)) == 10
        assert edits(prompt, 3) == edits(prompt, 3)
    assert any(edits(prompt, 3) != edits(prompt, 4) for prompt in DESK)


def test_each_edit_changes_what_it_is_named_for() -> None:
    case, opening, closing, typo, options, spaces, end, width, form, lines = edits(CHOICE, 1)
    assert case.lower() == CHOICE.lower()
    assert case != CHOICE
    assert opening.endswith(CHOICE)
    assert closing.startswith(CHOICE)
    assert sorted(typo) == sorted(CHOICE)
    assert typo != CHOICE
    assert options != CHOICE
    assert sorted(line[3:] for line in options.splitlines()) == sorted(line[3:] for line in CHOICE.splitlines())
    assert [line[:2] for line in options.splitlines()[1:]] == ["A.", "B.", "C.", "D."]
    assert spaces.split() == CHOICE.split()
    assert end == CHOICE + "."
    assert width == CHOICE.replace("?", "？")
    assert form == CHOICE.replace("What is", "what's")
    assert lines.split() == CHOICE.split()


@pytest.mark.parametrize(("text", "opening"), [("灯的价格是多少？", "zh"), ("What does the lamp cost?", "en")])
def test_politeness_speaks_the_language_of_the_prompt(text: str, opening: str) -> None:
    polite = edits(text, 0)[1].removesuffix(text)
    assert polite
    assert polite.isascii() is (opening == "en")


def test_chinese_has_short_forms_and_narrow_marks() -> None:
    edited = edits("你好，什么时候开门？", 0)
    assert edited[7] == "你好,什么时候开门?"
    assert edited[8] == "你好，何时开门？"


def test_flips_are_counted_among_edits_that_changed_something() -> None:
    assert flip_share(RulesClassifier(), DESK, 0.0, 0) == 0.0
    assert flip_share(Counting("A"), ["AAA b"], 0.5, 0) > 0  # its case is all that it is told by
    assert flip_share(Counting("A"), [], 0.5, 0) == 0.0


def test_the_worst_suffix_is_found_and_stays_within_its_bytes() -> None:
    prompts = ["tell me the time", "danger ahead", "good morning"]
    found = suffix_attack(Counting("danger"), prompts)
    assert found.suffix.count("danger") >= 3
    assert len(found.suffix.encode()) <= SUFFIX_BYTES
    assert (found.before, found.after, found.shift) == (0.0, 1.0, 1.0)


def test_a_classifier_that_no_word_moves_has_no_worst_suffix() -> None:
    found = suffix_attack(Counting("nowhere"), DESK)
    assert (found.suffix, found.shift) == ("", 0.0)


def test_a_suffix_is_searched_among_the_reasons_of_rules_too() -> None:
    found = suffix_attack(RulesClassifier(), DESK, threshold=0.5)
    assert found.shift > 0.5
