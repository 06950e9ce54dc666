"""Tests router/quality/win_rates.py."""

from dataclasses import replace

import numpy as np
import pytest

from router.quality.win_rates import FEWEST_LABELS, Judged, corrected_mean, win_rate


def judged(count: int, labels: int, *, inconsistent: int = 0) -> Judged:
    """Return pairs that the judge holds to be won by Mini, and of which people say it half the time."""
    names = tuple(f"r{number}" for number in range(count))
    return Judged(names, (1.0,) * count, inconsistent, {name: n % 2 * 1.0 for n, name in enumerate(names[:labels])})


def test_people_take_out_what_a_judge_leans() -> None:
    won = win_rate(judged(400, 100, inconsistent=40))
    assert (won.pairs, won.labels, won.raw, won.inconsistency) == (400, 100, 1.0, 0.1)
    assert won.corrected is not None
    assert won.corrected.value == pytest.approx(0.5, abs=0.02)
    assert won.corrected.low < 0.5 < won.corrected.high < 0.7


def test_with_few_labels_nothing_is_told_of_the_leaning() -> None:
    assert win_rate(judged(400, FEWEST_LABELS - 1)).corrected is None
    of_one = judged(400, FEWEST_LABELS)
    assert win_rate(of_one).corrected is not None
    assert win_rate(replace(of_one, units=("u",) * 400)).corrected is None
    empty = win_rate(Judged((), (), 0, {}))
    assert (empty.raw, empty.inconsistency, empty.corrected) == (None, None, None)


def test_a_label_outside_of_its_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"label is outside 0 to 1: 1\.5"):
        win_rate(Judged(("a",), (1.0,), 0, {"a": 1.5}))
    with pytest.raises(ValueError, match="verdict is outside"):
        win_rate(Judged(("a",), (-0.5,), 0, {}))
    with pytest.raises(ValueError, match="no value is known"):
        corrected_mean(np.ones(3), np.full(3, np.nan), "abc")


def test_the_interval_holds_the_truth_also_where_units_differ() -> None:
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(60):
        units = rng.integers(0, 80, 600)
        likes = rng.beta(4, 4, 80)[units]
        truth = (rng.random(600) < likes) * 1.0
        verdicts = np.where(rng.random(600) < 0.3, 1.0, truth)
        values = np.where(rng.random(600) < 0.2, truth, np.nan)
        found = corrected_mean(verdicts, values, [str(unit) for unit in units])
        covered += found.low <= 0.5 <= found.high
    assert covered >= 53
