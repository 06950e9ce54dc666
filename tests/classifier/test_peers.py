"""Tests classifier/peers.py."""

import numpy as np
import pytest

from classifier.measures import Outcomes
from classifier.peers import expected_gain

ROWS, MODELS = 2_000, 12


def drawn(seed: int) -> tuple[Outcomes, np.ndarray, np.ndarray, np.ndarray]:
    """Return outcomes that are mostly chance, what models between Mini and Large scored, folds and the true gain."""
    chance = np.random.default_rng(seed)
    ease = chance.uniform(-3, 3, ROWS)

    def right(skill: float) -> np.ndarray:
        return 1 / (1 + np.exp(-ease - skill))

    peers = np.stack([chance.random(ROWS) < right(skill) for skill in np.linspace(-2, 2, MODELS)], axis=1).astype(float)
    strong, weak = (np.asarray(chance.random(ROWS) < right(skill), float) for skill in (2.0, -2.0))
    return Outcomes(strong, weak, np.arange(ROWS)), peers, np.arange(ROWS) % 5, right(2.0) - right(-2.0)


def test_what_peers_lead_one_to_expect_is_nearer_the_truth_than_what_was_seen() -> None:
    outcomes, peers, folds, truth = drawn(0)
    expected = expected_gain(outcomes, peers, folds=folds)
    assert np.square(expected - truth).mean() < np.square(outcomes.gain - truth).mean() / 5
    assert np.corrcoef(expected, truth)[0, 1] > np.corrcoef(outcomes.gain, truth)[0, 1] + 0.1


def test_large_and_mini_are_no_peers_under_whatever_name() -> None:
    outcomes, peers, folds, _ = drawn(1)
    with_own = np.hstack((peers, outcomes.strong[:, None], outcomes.weak[:, None]))
    with_own[::50, -1] = np.nan
    with_own[1, -2] = 1 - with_own[1, -2]  # graded anew
    assert (
        expected_gain(outcomes, with_own, folds=folds).tolist() == expected_gain(outcomes, peers, folds=folds).tolist()
    )


def test_large_and_mini_are_told_by_scores_that_were_written_with_fewer_digits() -> None:
    outcomes, peers, folds, _ = drawn(1)
    thirds = Outcomes(outcomes.strong * 2 / 3, outcomes.weak * 2 / 3, outcomes.groups)
    written = np.stack((thirds.strong, thirds.weak), axis=1).astype(np.float32).astype(float)
    with_own = np.hstack((peers, written))
    assert expected_gain(thirds, with_own, folds=folds).tolist() == expected_gain(thirds, peers, folds=folds).tolist()


def test_no_row_has_a_part_in_its_own_expectation() -> None:
    outcomes, peers, folds, _ = drawn(2)
    before = expected_gain(outcomes, peers, folds=folds)
    other = Outcomes(np.where(folds == 3, 1 - outcomes.strong, outcomes.strong), outcomes.weak, outcomes.groups)
    after = expected_gain(other, peers, folds=folds)
    assert (after == before).tolist() == (folds == 3).tolist()


def test_without_peers_the_mean_is_expected() -> None:
    outcomes, peers, folds, _ = drawn(3)
    nobody = (peers[:, :0], np.full_like(peers, np.nan))
    for each in nobody:
        expected = expected_gain(outcomes, each, folds=folds)
        for fold in range(5):
            assert expected[folds == fold] == pytest.approx(outcomes.gain[folds != fold].mean())


def test_rows_that_nobody_was_asked_about_are_judged_by_the_means() -> None:
    outcomes, peers, folds, _ = drawn(4)
    peers[:100] = np.nan
    expected = expected_gain(outcomes, peers, folds=folds)
    assert np.isfinite(expected).all()
    assert len(set(expected[:100].round(9))) == 5  # one a fold
