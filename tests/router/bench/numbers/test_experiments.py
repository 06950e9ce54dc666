"""Tests router/bench/numbers/experiments.py with a part of its runs."""

import numpy as np
import pytest

from router.bench.numbers import experiments
from router.bench.numbers.experiments import goals


def test_watched_experiments_keep_their_errors_and_the_naive_test_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiments, "UNITS", 2_000)
    monkeypatch.setattr(experiments, "_CASES", experiments._CASES[6:7])
    monkeypatch.setattr(experiments, "_SHAPES", ())
    monkeypatch.setattr("router.statistics.thompson.DRAWS", 1_000)
    found = {goal.name: goal for goal in goals(seed=0, quick=True)}
    assert found["aa_naive_lognormal_1.5_5"].value > 0.3
    assert found["aa_false_positives_lognormal_1.5_5"].met
    assert found["bandit_sequence_misses_equal_arms"].value < 0.2
    assert found["sample_ratio_power_at_49_51"].value > 0.75
    assert found["bandit_share_of_the_better_unequal_arms"].value > 0.7


def test_a_sequence_that_is_too_narrow_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router.statistics.comparing.reach", lambda units, **_: np.full(np.shape(units), 1.96))
    draw = experiments._lognormal(1.0)
    found = experiments._watched(np.random.default_rng(0), draw, draw, share=0.5, runs=100)
    assert found.claimed > experiments.FALSE_POSITIVES
