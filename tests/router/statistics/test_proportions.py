"""Tests router/statistics/proportions.py and, as what it is used for, router/statistics/holm.py."""

import pytest

from router.statistics.holm import holm
from router.statistics.proportions import miettinen_nurminen, newcombe, restricted, wilson


def test_wilsons_interval_is_the_published_one() -> None:
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_wilsons_interval_stays_within_0_and_1() -> None:
    assert wilson(0, 3)[0] == 0.0
    assert wilson(3, 3)[1] == 1.0
    assert wilson(0, 3)[1] > 0.5


@pytest.mark.parametrize(
    ("counts", "published"), [((56, 70, 48, 80), (0.0524, 0.3339)), ((9, 10, 3, 10), (0.1705, 0.8090))]
)
def test_newcombes_interval_is_the_published_one(
    counts: tuple[int, int, int, int], published: tuple[float, float]
) -> None:
    assert newcombe(*counts) == pytest.approx(published, abs=5e-5)


def test_the_score_interval_is_that_of_miettinen_and_nurminen() -> None:
    assert miettinen_nurminen(56, 70, 48, 80) == pytest.approx((0.0528, 0.3382), abs=5e-5)


def test_restricted_shares_differ_by_what_they_are_restricted_to() -> None:
    share, other = restricted(56, 70, 48, 80, difference=0.1)
    assert share - other == pytest.approx(0.1)
    assert 0.6 < other < share < 0.8


def test_holm_takes_the_smallest_times_all_and_never_falls() -> None:
    adjusted = holm({"a": 0.04, "b": 0.01, "c": 0.03, "d": 0.9})
    assert adjusted == pytest.approx({"a": 0.09, "b": 0.04, "c": 0.09, "d": 0.9})
    assert list(adjusted) == ["a", "b", "c", "d"]
    assert holm({}) == {}
