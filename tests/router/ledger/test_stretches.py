"""Tests router/ledger/stretches.py."""

import random

import pytest

from router.ledger.stretches import WIDTHS, Run, cover, finest, whole

DAY, HOUR = 86_400, 3_600


def test_a_stretch_is_covered_by_the_longest_cubes_within_it() -> None:
    assert cover(10 * DAY - 2 * HOUR - 60, 12 * DAY + HOUR, (DAY, HOUR, 60)) == (
        Run(60, (10 * DAY - 2 * HOUR - 60) // 60, (10 * DAY - 2 * HOUR) // 60),
        Run(HOUR, 10 * 24 - 2, 10 * 24),
        Run(DAY, 10, 12),
        Run(HOUR, 12 * 24, 12 * 24 + 1),
    )


def test_every_minute_is_covered_once_whatever_the_stretch() -> None:
    chance = random.Random(1)
    for _ in range(200):
        start = 60 * chance.randrange(5_000, 9_000)
        end = start + 60 * chance.randrange(4_000)
        covered = [
            minute
            for run in cover(start, end)
            for minute in range(run.first * run.width // 60, run.after * run.width // 60)
        ]
        assert covered == list(range(start // 60, end // 60))


def test_nothing_is_covered_where_nothing_is() -> None:
    assert cover(120, 120) == cover(180, 120) == ()


def test_a_bucket_is_read_from_the_longest_cubes_that_it_is_made_of() -> None:
    assert [finest(width) for width in (60, 3_600, 86_400)] == [60, 3_600, 86_400]
    assert 21_600 % finest(21_600) == 0
    assert finest(21_600) >= HOUR
    with pytest.raises(ValueError, match="no whole number of minutes"):
        finest(90)


def test_a_moment_lies_in_the_cube_that_began_before_it() -> None:
    assert (whole(3_725.5, 60), whole(3_725.5, HOUR)) == (3_720, 3_600)
    assert list(WIDTHS) == sorted(WIDTHS, reverse=True)
