"""Tests router/dashboard/wording.py."""

import pytest

from router.dashboard import wording


@pytest.mark.parametrize(
    ("nano_usd", "text"),
    [
        (None, "–"),
        (0, "$0"),
        (249_510_000_000, "$249.51"),
        (12_345_600_000_000, "$12,346"),
        (41_200_000, "$0.0412"),
        (110_000, "$0.00011"),
        (500_000_000, "$0.50"),
        (999_900_000, "$1.00"),
        (1, "$0.000000001"),
        (-1_500_000_000, "−$1.50"),
    ],
)
def test_money_has_as_many_digits_as_its_size_needs(nano_usd: int | None, text: str) -> None:
    assert wording.money(nano_usd) == text


@pytest.mark.parametrize(
    ("part", "text"), [(None, "–"), (0.0, "0%"), (0.0006, "0.06%"), (0.055, "5.5%"), (0.66, "66%"), (-0.2, "−20%")]
)
def test_a_share_is_per_cent(part: float | None, text: str) -> None:
    assert wording.share(part) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.0004, "0.4 ms"), (0.009, "9 ms"), (0.74, "740 ms"), (1.12, "1.12 s"), (12.3, "12 s")],
)
def test_a_time_is_said_as_people_say_it(value: float | None, text: str) -> None:
    assert wording.seconds(value) == text


def test_a_difference_always_bears_its_sign() -> None:
    assert [wording.signed("3", difference) for difference in (3, -3, 0)] == ["+3", "−3", "3"]


def test_times_are_told_in_utc() -> None:
    friday = 1_795_178_096
    assert wording.clock(friday) == "12:34:56"
    assert wording.stamp(friday) == "2026-11-20T12:34:56Z"
    assert wording.moment(friday) == "Fri 20 Nov, 12:34"
    assert [wording.tick(friday, every=every) for every in (600, 86_400, 432_000)] == ["12:34", "Fri 20", "20 Nov"]
