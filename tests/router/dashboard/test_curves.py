"""Tests router/dashboard/curves.py."""

import itertools
import re

from hypothesis import given
from hypothesis import strategies as st

from router.dashboard.curves import runs, through


def test_one_point_is_a_place_and_no_line() -> None:
    assert through([(3, 4)]) == "M3 4"


@given(st.lists(st.floats(0, 100), min_size=2, max_size=30))
def test_a_curve_never_swings_past_its_points(heights: list[float]) -> None:
    points = list(enumerate(heights))
    for segment, (before, after) in zip(through(points).split("C")[1:], itertools.pairwise(heights), strict=True):
        numbers = [float(number) for number in re.findall(r"-?[\d.]+(?:e-?\d+)?", segment)]
        slack = 0.1  # four digits of up to 100
        assert all(min(before, after) - slack <= y <= max(before, after) + slack for y in numbers[1::2])


def test_rows_are_cut_where_values_are_missing() -> None:
    assert runs([None, 1, 2, None, None, 3]) == [(1, [1, 2]), (5, [3])]
    assert runs([None]) == []
