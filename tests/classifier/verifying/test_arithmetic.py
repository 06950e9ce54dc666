"""Tests `classifier/verifying/arithmetic.py`: what is false is found, what may mean more than it says is left alone."""

import time

import pytest

from classifier.verifying.arithmetic import Equations, equations

TRUE, FALSE, NOTHING = Equations(1, 0), Equations(0, 1), Equations(0, 0)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2 + 2 = 4", TRUE),
        ("2 + 2 = 5", FALSE),
        ("7 * 8 = 54, so", FALSE),
        ("3 + 4 * 2 = 11", TRUE),
        ("3 + 4 * 2 = 14", FALSE),
        ("16 - 3 - 4 = <<16-3-4=9>>9", TRUE),
        ("9 * $2 = $18", TRUE),
        ("1,000 + 2,000 = 3,000", TRUE),
        ("total: 5 × 3 = **15**", TRUE),
        ("5 - 8 = -3", TRUE),
        ("小明有3+4=8个", FALSE),
        ("1. 3 * 4 = 12", TRUE),
        ("- 3 * 4 = 13", FALSE),
        ("9 * 2 = 18.\nNext 3", TRUE),
        ("2*3 = 6 + 1 = 7", TRUE),
        ("5 * 12 = 60 inches = 5 feet", TRUE),
        ("0.1 + 0.2 = 0.3", TRUE),
        ("12 / 0 = 3", FALSE),
    ],
)
def test_equations_of_plain_numbers_are_reckoned_again(text: str, found: Equations) -> None:
    assert equations(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("10 / 3 = 3.33", TRUE),
        ("100 / 3 = 33", TRUE),
        ("10 / 3 = 3.4", TRUE),
        ("100 / 3 = 34", FALSE),
        ("3 * 1.5 = 4", FALSE),
        ("10 / 3 = 3.5", FALSE),
    ],
)
def test_a_quotient_may_be_rounded_and_a_product_may_not(text: str, found: Equations) -> None:
    assert equations(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "9 eggs * 2 = 19",
        "9 eggs * 2 + 3 = 5",
        "x + 5 = 10",
        "2x + 5 = 15",
        "y2 - 3 = 4",
        "20% of 50 + 3 = 13",
        "50% * 20 = 10",
        "10:30 - 2 = 8:30",
        "2^3 + 1 = 9",
        "(3+4)*2 = 15",
        "1 + 2 = 3 1/2",
        "2 * 3 = 6%",
        "a <= 5 - 3 == 2",
        "=" * 9_000,
        "no equation",
    ],
)
def test_what_may_mean_more_than_it_says_is_left_alone(text: str) -> None:
    assert equations(text) == NOTHING


def test_equations_are_found_after_signs_that_belong_to_none() -> None:
    assert equations("x = 3, so y = 4 and 2 + 2 = 5") == FALSE
    assert equations("a = 1 = 2 + 2 = 4") == TRUE
    assert equations("3 = 4, 16 - 3 = 12 16 - 3 = 12 has 16 - 3 = 12 and") == Equations(0, 2)
    assert equations("2 + 2 = 4, " * 100) == Equations(8, 0)
    assert equations("3 = 4, " * 60 + "2 + 2 = 4") == NOTHING  # so far nobody looks
    assert equations(f"{' ' * 4_000}2 + 2 = 5{' ' * 4_000}") == FALSE


@pytest.mark.parametrize("piece", ["1+", "1", "1 ", "1,000", "1+1", "1=", "$", "1.", "-1", "= 1", "1 + 1 ="])
def test_long_texts_are_read_in_a_moment(piece: str) -> None:
    text = piece * (16_384 // len(piece))
    started = time.process_time()
    equations(text)
    assert time.process_time() - started < 0.1
