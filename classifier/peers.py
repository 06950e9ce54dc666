"""Other models' scores -> the gain that they lead one to expect.

One answer of Large and one of Mini say little about a prompt: both may be luck. What many other models scored on it
says whether it is of the kind that larger models mend, and steadies what is learnt. It is looked at for rows that are
fitted on, and never for a prompt that is scored. Knows nothing of features or of what is fitted.

Source: Vapnik and Vashist 2009, "A new learning paradigm: Learning using privileged information"; Lopez-Paz et al.
2016, "Unifying distillation and privileged information", section 4, for learning what such information predicts.
"""

import numpy as np
from numpy.typing import NDArray

from classifier.measures import Outcomes

PENALTY = 30.0  # of squared slopes: a model counts by what it says on more rows than that
SAME = 0.97  # share of a model's rows with the scores of Large or of Mini, from which it is taken for that one
ROUNDING = 1e-6  # of scores, which two files may write with fewer or more digits

Reals = NDArray[np.float64]


def expected_gain(outcomes: Outcomes, peers: Reals, *, folds: NDArray[np.int64]) -> Reals:
    """Return for each row the gain that a ridge regression on other models' scores predicts, shape (n,).

    Args:
        outcomes: of Large and Mini.
        peers: what other models scored on each row, shape (n, models), NaN where one was not asked; Large and Mini may
            be among them under any name, and are left out.
        folds: of each row; no row is among those that its own prediction was fitted on.
    """
    columns, gain = _columns(peers[:, ~_is_own(outcomes, peers)]), outcomes.gain
    expected = np.empty(len(gain))
    for fold in np.unique(folds):
        inside = folds != fold
        centre, mean = columns[inside].mean(axis=0), gain[inside].mean()
        rows = columns[inside] - centre
        slopes = np.linalg.solve(rows.T @ rows + PENALTY * np.eye(rows.shape[1]), rows.T @ (gain[inside] - mean))
        expected[~inside] = mean + (columns[~inside] - centre) @ slopes
    return expected


def _is_own(outcomes: Outcomes, peers: Reals) -> NDArray[np.bool_]:
    asked = (~np.isnan(peers)).sum(axis=0)
    same = [
        (np.abs(peers - scores[:, None]) <= ROUNDING).sum(axis=0) >= SAME * asked
        for scores in (outcomes.strong, outcomes.weak)
    ]
    return np.asarray(same[0] | same[1])  # who was never asked is among them


def _columns(peers: Reals) -> Reals:
    """Return the scores, each row's mean and its square: a prompt that all pass or all fail is not mended."""
    asked = ~np.isnan(peers)
    means = np.where(asked, peers, 0.0).sum(axis=0) / asked.sum(axis=0)
    filled = np.where(asked, peers, means)
    mean = filled.sum(axis=1, keepdims=True) / max(filled.shape[1], 1)
    return np.hstack((filled, mean, mean**2))
