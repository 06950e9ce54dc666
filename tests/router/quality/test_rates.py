"""Tests router/quality/rates.py."""

import pytest

from router.ledger.reply_counts import Compared, Counts, Group, Told
from router.quality.rates import Rate, parts_by_arm, parts_by_tier

MINI, OTHER = Group("mini", "e", "a"), Group("mini", "", "")


def pair(name: str, agreement: float, judge: str, label: float | None = None) -> Compared:
    return Compared(name, MINI, "u", agreement, judge, label)


def test_a_rate_has_its_interval_and_one_of_nothing_has_no_value() -> None:
    told = Rate(81, 263).as_json()
    assert (told["low"], told["high"]) == (pytest.approx(0.2553, abs=1e-4), pytest.approx(0.3662, abs=1e-4))
    assert Rate(0, 0).as_json() == {"value": None, "low": None, "high": None, "of": 0}


def test_groups_are_summed_by_tier_and_by_arm() -> None:
    counts = {
        MINI: Counts(answered=10, assessed=5, empty=1, repetitive=2, told=[Told("thumb", "user", 2, 1.0, 3)]),
        OTHER: Counts(answered=30, assessed=20, repetitive=1, told=[Told("thumb", "user", 2, 2.0, 0)]),
        Group("large", "e", "a"): Counts(answered=7),
    }
    tiers = parts_by_tier(counts, [])
    assert (tiers["mini"].counts.answered, tiers["mini"].coverage) == (40, Rate(25, 40))
    assert tiers["mini"].rates["repetitive"] == Rate(3, 24)  # of those that are not empty
    assert tiers["large"].coverage == Rate(0, 7)
    told = tiers["mini"].as_json()["signals"]
    assert told == {"thumb by user": {"requests": 4, "mean": 0.75, "coverage": 0.1, "duplicates": 3}}
    arms = parts_by_arm(counts, [])
    assert {arm: part.counts.answered for arm, part in arms.items()} == {("e", "a"): 17}


def test_a_judge_and_a_grader_are_apart_and_what_is_unsure_is_half() -> None:
    compared = [
        pair("1", 1.0, "claude-x@1"),
        pair("2", 0.5, "claude-x@1"),
        pair("3", 0.5, "claude-x@1 inconsistent"),
        pair("4", 0.0, "claude-x@1", 1.0),
        pair("5", 1.0, "agreement@1"),
    ]
    part = parts_by_tier({MINI: Counts()}, compared)["mini"]
    assert part.agreement == {"agreement@1": Rate(1, 1), "claude-x@1": Rate(2.5, 4)}
    won = part.judged["claude-x@1"]
    assert (won.raw, won.inconsistency, won.labels, won.corrected) == (0.5, 0.25, 1, None)
