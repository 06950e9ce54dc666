"""Tests router/learning/grading.py."""

import pytest

from classifier.base import Prompt, Turn
from router.learning.grading import SHORT, Grade, grade, plain

RIGHT, WRONG = Grade(1.0, 1.0), Grade(1.0, 0.0)
ESSAY = "The sea is calm tonight and the tide is full. " * 20


def of(text: str) -> Prompt:
    return Prompt((Turn("system", "You are terse."), Turn("user", text), Turn("assistant", "Hm."), Turn("tool", "7")))


@pytest.mark.parametrize(
    ("asked", "large", "mini", "expected"),
    [
        ("How many apples?", "Let me see. " * 40 + "The answer is 42.", "42", RIGHT),
        ("How many apples?", "The answer is 42.", "We get 41 in the end.", WRONG),
        ("How many apples?", "The answer is 42.", "", WRONG),
        ("Say hello.", "Hello!", " hello ", RIGHT),
        ("Say hello.", "Hello!", "goodbye", WRONG),
        ("Say hello.", "Hello!", ESSAY, WRONG),
        ("Give JSON.", '{"a": 1, "b": [2.0]}', '{"b":[2],"a":1}', RIGHT),
        ("Give JSON.", '{"a": 1}', '{"a": 2}', WRONG),
        ("这是哪里？", "北京。", "北京", RIGHT),
        ("Write of the sea.", ESSAY, ESSAY, None),
        ("Write of the sea.", ESSAY, "No.", None),
        ("Write of the sea.", f"{ESSAY} It was 1867.", "1867", None),
        ("Say nothing.", "", "", None),
        ("Say nothing.", " \n", "x", None),
    ],
)
def test_mini_is_right_where_it_says_what_large_says(asked: str, large: str, mini: str, expected: Grade | None) -> None:
    assert grade(of(asked), large=large, mini=mini) == expected


def test_whether_a_request_is_graded_hangs_on_large_alone() -> None:
    for large in ("42", "The answer is B.", ESSAY, "x" * SHORT, "x" * (SHORT + 1), ""):
        graded = {grade(of("?"), large=large, mini=mini) is None for mini in (large, "", "else", ESSAY)}
        assert len(graded) == 1


def test_without_a_user_s_turn_it_grades_all_the_same() -> None:
    assert grade(Prompt(()), large="42", mini="42") == RIGHT


def test_what_does_not_change_the_meaning_is_left_out() -> None:
    assert plain("  \u201cHELLO\u3000World\u201d.\n") == plain("\u201chello world\u201d")
    assert plain("**Ja!**") == "ja"
    assert plain("\uff21\uff22") == "ab"
