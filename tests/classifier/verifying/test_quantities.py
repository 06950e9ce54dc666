"""Tests `classifier/verifying/quantities.py`: numbers, dates and times of short texts."""

import pytest

from classifier.verifying.quantities import chinese_number, is_round, moment, numbers, plain


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("16 - 3 = 13", [16, 3, 13]),
        ("-5 and (-6) and $-7 and -$8", [-5, -6, -7, -8]),
        ("1,000 and 12,34", [1000, 12, 34]),
        ("1.50 and .5", [1.5, 0.5]),
        ("3/4 and 2 1/2 and 5/0", [0.75, 2.5, 5]),
        ("2 thousand, 3 million, 4万, 5亿", [2e3, 3e6, 4e4, 5e8]),
        ("5千克 and 5千", [5, 5000]),
        ("1e3 and 2E-1", [1000, 0.2]),
        ("no figure", []),
    ],
)
def test_numbers_are_read_in_order(text: str, values: list[float]) -> None:
    assert [found.value for found in numbers(text)] == pytest.approx(values)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("五十七", 57.0),
        ("一百二十三", 123.0),
        ("三万五千", 35_000.0),
        ("两千零六", 2006.0),
        ("二〇二六年", 2026.0),
        ("负十二", -12.0),
        ("三点一四", 3.14),
        ("一亿两千万", 120_000_000.0),
        ("三个", 3.0),
        ("十", 10.0),
    ],
)
def test_chinese_numerals_are_read(text: str, value: float) -> None:
    found = chinese_number(text)
    assert found is not None
    assert found.value == pytest.approx(value)


@pytest.mark.parametrize("text", ["一样的", "统一", "万一下雨", "没有数字", "第一"])
def test_what_only_looks_like_a_numeral_is_none(text: str) -> None:
    assert chinese_number(text) is None


def test_latex_and_full_width_signs_become_plain() -> None:
    assert plain("\\boxed{\\$1{,}000}") == "\\boxed{$1,000}"
    assert plain("-\\dfrac{3}{5} and 1\\frac{1}{2}") == "-3/5 and 1 1/2"
    assert plain("５７％") == "57%"
    assert plain("3 \\times 4\\text{ m}") == "3 × 4 m"


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("2026-03-05", "2026-03-05"),
        ("2026/3/5 15:45", "2026-03-05 15:45"),
        ("5th of March", "--03-05"),
        ("12:05 am", "00:05"),
        ("12 pm", "12:00"),
        ("晚上8点", "20:00"),
        ("3点整", "03:00"),
        ("2026-13-45", None),
        ("99:99", None),
        ("nothing", None),
    ],
)
def test_dates_and_times_have_one_form(text: str, form: str | None) -> None:
    assert moment(text) == form


def test_results_of_everyday_problems_are_round() -> None:
    assert all(map(is_round, (0.0, 57.0, 57.25)))
    assert not any(map(is_round, (-1.0, 1 / 3, 1e300, float("inf"), float("nan"))))
