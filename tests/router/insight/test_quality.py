"""Tests router/insight/quality.py."""

import math
from dataclasses import replace

import pytest

from router.insight.quality import Share, quality
from router.ledger.assessed import LOOKED_AT, NOTHING_ASSESSED, Assessed

SEEN = Assessed(
    replies=200, empty=10, repetitive=19, truncated=4, refused=2, latest=150, checked=50, failed=5, compared=40,
    agreement=30.0, agreement_sq=30.0, ratings=100, rating=70.0, rating_sq=55.0,
)  # fmt: skip


def test_each_share_is_of_what_it_can_be_of_and_has_an_interval() -> None:
    found = quality(SEEN, answered=1_000)
    shares = [found.repetitive, found.empty, found.truncated, found.refused, found.failed_checks]
    assert [(share.value, share.of) for share in shares if share] == [
        (0.1, 190),  # an empty answer repeats nothing
        (0.05, 200),
        (0.02, 200),
        (0.01, 200),
        (0.1, 50),
    ]
    assert all(share and share.interval and share.interval[0] < share.value < share.interval[1] for share in shares)
    assert (found.replies, found.latest) == (200, 150)


def test_blanks_that_were_once_counted_as_repetition_make_no_share_above_one() -> None:
    found = quality(replace(SEEN, empty=190, repetitive=19), answered=1_000).repetitive
    assert found is not None
    assert (found.value, found.of) == (1.0, 10)


def test_agreement_that_is_yes_or_no_is_a_share() -> None:
    found = quality(SEEN, answered=1_000).agreement
    assert found is not None
    assert (found.value, found.of) == (0.75, 40)
    assert found.interval == pytest.approx((0.5981, 0.8581), abs=1e-4)  # Wilson's of 30 of 40


def test_a_mean_has_a_normal_interval_where_there_are_enough_values() -> None:
    found = quality(SEEN, answered=1_000).rating
    assert found is not None
    assert found.value == pytest.approx(0.7)
    assert found.interval == pytest.approx((0.65174, 0.74826), abs=1e-4)  # 0.7 +- 1.96 * sqrt(0.06 / 99)
    few = quality(replace(SEEN, ratings=10, rating=7.0, rating_sq=5.5), answered=1_000).rating
    assert few == Share(0.7, 10, None)


def rated(*given: float) -> Share | None:
    seen = replace(
        SEEN, ratings=len(given), rating=math.fsum(given), rating_sq=math.fsum(each * each for each in given)
    )
    return quality(seen, answered=1_000).rating


def test_an_interval_is_told_of_thirty_values_and_not_of_fewer() -> None:
    found = [rated(0.5, *[1.0] * (count - 1)) for count in (29, 30)]
    assert [each is not None and each.interval is None for each in found] == [True, False]


def test_the_interval_of_a_mean_does_not_leave_what_a_value_can_be() -> None:
    high, low = rated(0.5, *[1.0] * 29), rated(0.5, *[0.0] * 29)
    assert [each and each.interval for each in (high, low)] == [
        pytest.approx((0.95066, 1.0), abs=1e-5),  # 0.98333 +- 1.96 * sqrt(0.0080556 / 29), which is over 1.01
        pytest.approx((0.0, 0.04934), abs=1e-5),
    ]


@pytest.mark.parametrize("value", [0.5, 0.1, 0.7])
def test_values_that_are_all_the_same_leave_no_room(value: float) -> None:
    found = rated(*[value] * 33)
    assert found is not None
    assert found.interval == pytest.approx((value, value))


def test_ratings_are_told_with_how_many_of_the_answers_they_cover() -> None:
    assert quality(SEEN, answered=1_000).rated == pytest.approx(0.1)
    assert quality(SEEN, answered=50).rated == 1.0, "some were given in this span for answers of an earlier one"
    assert quality(SEEN, answered=0).rated is None
    assert quality(replace(SEEN, ratings=LOOKED_AT), answered=10**6).rated is None  # there may be more


def test_of_nothing_nothing_is_said() -> None:
    found = quality(NOTHING_ASSESSED, answered=0)
    assert (found.repetitive, found.empty, found.agreement, found.rating, found.rated) == (None,) * 5
