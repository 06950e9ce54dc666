"""Tests router/bench/numbers/pacing.py, cusum.py and thresholds.py: router/bench/numbers/cusum.py and
router/bench/numbers/thresholds.py with a part of their runs.
"""

import numpy as np
import pytest

from router.bench.numbers import cusum, pacing, thresholds


def test_spending_keeps_to_the_plan_and_nobody_is_refused_whatever_traffic_does() -> None:
    found = pacing.goals(seed=3, quick=True)
    assert {goal.name for goal in found if not goal.met} == set()
    assert len(found) == 4 * len(pacing.DAYS)


def test_simulated_run_lengths_are_those_that_were_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cusum, "CHARTS", cusum.CHARTS[:1] + cusum.CHARTS[5:6])
    found = list(cusum._charts(np.random.default_rng(5), 400))
    assert [goal.name for goal in found if not goal.met] == []
    assert len(found) == 4


@pytest.mark.parametrize("case", [thresholds._CASES[0], thresholds._CASES[3]], ids=lambda case: case.name)
def test_certified_thresholds_keep_their_promise_where_the_naive_ones_do_not(case: thresholds._Case) -> None:
    violated, of_oracle, naive = thresholds._goals(case, np.random.default_rng(6), runs=60, population=100_000)
    assert violated.met
    assert of_oracle.met
    assert naive.value > 0.3


def test_no_threshold_parts_equal_scores() -> None:
    whole = thresholds._Population(np.array([1.0, 1.0, 2.0, 3.0]), np.array([0.0, 1.0, 0.0, 1.0]), is_net=False)
    assert whole.highest(0.2) == 1.0
    assert whole.share(whole.highest(0.2)) == 0.0
    assert whole.share(whole.highest(0.3)) == 0.75
    assert whole.share(whole.highest(0.5)) == 1.0
