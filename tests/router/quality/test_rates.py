"""Tests router/quality/rates.py."""

import pytest

from router.ledger.reply_counts import Compared, Counts, Group, Told
from router.quality.rates import Rate, judge_shares, parts_by_arm, parts_by_tier

MINI, OTHER = Group("mini", "e", "a"), Group("mini", "", "")


def pair(name: str, agreement: float, judge: str, label: float | None = None) -> Compared:
    return Compared(name, MINI, "u", agreement, judge, label)


def test_a_rate_has_its_interval_and_one_of_nothing_has_no_value() -> None:
    told = Rate(81, 263).as_json()
    assert (told["low"], told["high"]) == (pytest.approx(0.2553, abs=1e-4), pytest.approx(0.3662, abs=1e-4))
    assert Rate(0, 0).as_json() == {"value": None, "low": None, "high": None, "of": 0}


def test_groups_are_summed_by_tier_and_by_arm() -> None:
    counts = {
        MINI: Counts(
            answered=10,
            assessed=5,
            empty=1,
            repetitive=2,
            thresholded=3,
            over_thresholds=2,
            told=[Told("thumb", "user", 2, 1.0, 3)],
        ),
        OTHER: Counts(answered=30, assessed=20, repetitive=1, told=[Told("thumb", "user", 2, 2.0, 0)]),
        Group("large", "e", "a"): Counts(answered=7),
    }
    tiers = parts_by_tier(counts, [])
    assert (tiers["mini"].counts.answered, tiers["mini"].coverage) == (40, Rate(25, 40))
    assert tiers["mini"].rates["repetitive"] == Rate(3, 24)  # of those that are not empty
    assert tiers["mini"].rates["repetition_written"] == Rate(2, 3)
    assert tiers["large"].coverage == Rate(0, 7)
    told = tiers["mini"].as_json()["signals"]
    assert told == {"thumb by user": {"requests": 4, "mean": 0.75, "coverage": 0.1, "duplicates": 3}}
    arms = parts_by_arm(counts, [])
    assert {arm: part.counts.answered for arm, part in arms.items()} == {("e", "a"): 17}


def test_the_mean_log_probability_has_an_interval_by_user() -> None:
    alike = Counts(logprobs={f"u{number}": (20, -10.0 - number % 2 * 10) for number in range(10)})
    more = Counts(logprobs={"u0": (20, -10.0)})
    mean = parts_by_tier({MINI: alike, OTHER: more}, [])["mini"].mean_logprob
    assert mean.value == pytest.approx(-160 / 220)
    assert mean.of == 220
    assert mean.interval is not None
    low, high = mean.interval
    assert low < -160 / 220 < high
    assert high - low > 0.2  # ten users, not 220 replies
    one = parts_by_tier({OTHER: more}, [])["mini"].mean_logprob
    assert (one.value, one.interval) == (-0.5, None)
    assert parts_by_tier({MINI: Counts()}, [])["mini"].mean_logprob.of == 0


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
    assert judge_shares(won) == {"raw_win_rate": Rate(2.0, 4), "inconsistency": Rate(1.0, 4), "labelled": Rate(1, 4)}
