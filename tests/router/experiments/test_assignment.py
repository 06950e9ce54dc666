"""Tests router/experiments/assignment.py."""

from collections import Counter
from decimal import Decimal
from hashlib import sha256

import pytest

from router.experiments.assignment import Assigner
from router.statistics.sample_ratio import chi_square_p

THREE = (Decimal("0.2"), Decimal("0.3"), Decimal("0.5"))
UNITS = [f"{number:016x}" for number in range(20_000)]


def test_a_units_place_is_the_hash_of_salt_experiment_and_unit() -> None:
    expected = int.from_bytes(sha256(b"salt|half|ada").digest()[:8], "big")
    assert Assigner("salt", "half", THREE, Decimal(1)).place("ada") == expected


def test_arms_are_filled_by_their_weights() -> None:
    assigner = Assigner("salt", "half", THREE, Decimal(1))
    counts = Counter(map(assigner.arm, UNITS))
    assert chi_square_p([counts[0], counts[1], counts[2]], [0.2, 0.3, 0.5]) > 0.001
    assert counts[-1] == 0


def test_a_wider_ramp_takes_more_in_and_moves_nobody() -> None:
    before: dict[str, int] = {}
    for share in ("0.01", "0.1", "0.5", "1"):
        assigner = Assigner("salt", "half", THREE, Decimal(share))
        now = {unit: arm for unit in UNITS if (arm := assigner.arm(unit)) >= 0}
        assert len(now) == pytest.approx(float(share) * len(UNITS), rel=0.15)
        assert before.items() <= now.items()
        before = now
    assert len(before) == len(UNITS)


def test_another_salt_or_experiment_draws_anew() -> None:
    one, other = (Assigner("salt", name, THREE, Decimal(1)) for name in ("half", "other"))
    same = sum(one.arm(unit) == other.arm(unit) for unit in UNITS) / len(UNITS)
    assert same == pytest.approx(0.04 + 0.09 + 0.25, abs=0.02)
