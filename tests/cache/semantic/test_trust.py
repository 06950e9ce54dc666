"""Tests cache/semantic/trust.py."""

import random

import pytest

from cache.semantic.trust import EVIDENCE, Trust


def test_agreement_changes_nothing() -> None:
    trust = Trust(threshold=0.6, tolerated=0.02)
    assert [trust.note(0.7, agreed=True) for _ in range(1_000)] == [0.0] * 1_000
    assert (trust.threshold, trust.is_lost, trust.agreed) == (0.6, False, 1_000)


def test_a_disagreement_tightens_its_partition_and_all_of_them() -> None:
    trust = Trust(threshold=0.6, tolerated=0.02)
    assert 0.7 < trust.note(0.7, agreed=False) < 0.7001
    assert trust.threshold == pytest.approx(0.65)
    assert trust.note(0.62, agreed=False) > 0.62
    assert trust.threshold == pytest.approx(0.65)
    assert trust.note(1.0, agreed=False) == 1.0
    assert trust.threshold <= 1.0


def test_enough_disagreement_is_the_end_of_trust_and_stays_so() -> None:
    trust = Trust(threshold=0.6, tolerated=0.02)
    trust.note(0.7, agreed=False)
    trust.note(0.7, agreed=False)
    assert not trust.is_lost
    for _ in range(5):
        trust.note(0.7, agreed=False)
    assert trust.is_lost
    for _ in range(500):
        trust.note(0.7, agreed=True)
    assert trust.is_lost


def notes_until_lost(share: float, seed: int, most: int) -> int:
    rng, trust = random.Random(seed), Trust(threshold=0.6, tolerated=0.02)
    for count in range(1, most + 1):
        trust.note(0.7, agreed=rng.random() >= share)
        if trust.is_lost:
            return count
    return most


def test_what_is_tolerated_is_seldom_taken_for_too_much() -> None:
    lengths = [notes_until_lost(0.02, seed, 4_000) for seed in range(60)]
    assert sum(lengths) / len(lengths) > EVIDENCE


def test_ten_times_as_much_is_found_soon_even_after_a_long_calm() -> None:
    lengths = [notes_until_lost(0.2, seed, 4_000) for seed in range(40)]
    assert sum(lengths) / len(lengths) < 60
    trust = Trust(threshold=0.6, tolerated=0.02)
    for _ in range(5_000):
        trust.note(0.7, agreed=True)
    rng = random.Random(1)
    for _ in range(150):
        trust.note(0.7, agreed=rng.random() >= 0.2)
    assert trust.is_lost
