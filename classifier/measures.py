"""A score's ranking of rows, weighted -> figures of its routing.

Rows go to Large from the highest score down. Equal scores go in random order, and what is measured is the expectation,
so that the curve is a straight line across them. Every figure takes a weight for each group of rows, one set of
weights a resample, so that a bootstrap sorts once and resamples often. Nothing here is left to chance.

Source: Ong et al. 2024, "RouteLLM", section 4.1, for PGR, APGR and CPT; its evaluation code for the 11 points.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classifier.pairs import ENOUGH

Reals = NDArray[np.float64]
Places = NDArray[np.intp]

RECOVERED = {"cpt50": 0.50, "cpt80": 0.80, "cpt95": 0.95}
FIGURES = ("apgr", "apgr_11", *RECOVERED, "auroc_needed", "auroc_weak_fails", "brier", "ece")
ECE_BINS = 10
_STEPS = 10  # of the 11 points
_ROUNDING = 1e-9  # of sums over many rows; a gap this small is none, a share this close to a goal has reached it


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """What Large and Mini scored on each row.

    Attributes:
        strong, weak: shape (n,), 0.0 to 1.0.
        groups: shape (n,), each row's group, counted from 0.
    """

    strong: Reals
    weak: Reals
    groups: Places

    @classmethod
    def of(cls, strong: Sequence[float] | Reals, weak: Sequence[float] | Reals, groups: Sequence[str]) -> "Outcomes":
        """Return the outcomes of rows whose groups have names."""
        codes: dict[str, int] = {}
        numbered = np.array([codes.setdefault(group, len(codes)) for group in groups], np.intp)
        return cls(np.asarray(strong, float), np.asarray(weak, float), numbered)

    def take(self, rows: NDArray[np.bool_]) -> "Outcomes":
        """Return some of the rows, as if there were no others."""
        groups = np.unique(self.groups[rows], return_inverse=True)[1]
        return Outcomes(self.strong[rows], self.weak[rows], groups)

    @property
    def group_count(self) -> int:
        """Return how many groups there are."""
        return int(self.groups.max()) + 1 if len(self.groups) else 0

    @property
    def gain(self) -> Reals:
        """Return what Large adds to each row."""
        return self.strong - self.weak

    @property
    def fails(self) -> Reals:
        """Return 1.0 where Mini is not enough."""
        return (self.weak < ENOUGH).astype(float)


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """Rows in the order in which a score sends them to Large; all arrays but the starts are of shape (n,).

    Attributes:
        groups, gain, needed, fails: of each row; needed is 1.0 where Large is better than Mini.
        starts: where each run of equal scores begins; None where no two are equal.
        error: score less fails; None where the score is no probability.
        bins: where each bin of the calibration error begins.
    """

    groups: Places
    gain: Reals
    needed: Reals
    fails: Reals
    starts: Places | None
    error: Reals | None
    bins: Places


def rank(scores: Reals, outcomes: Outcomes, *, may_be_probability: bool = True) -> Ranking:
    """Return the rows of finite scores in order; scores from 0 to 1 are probabilities if they may be."""
    order = np.argsort(-scores)
    placed, fails = scores[order], outcomes.fails[order]
    starts = _starts(placed)
    is_probability = may_be_probability and placed[-1] >= 0 and placed[0] <= 1
    return Ranking(
        groups=outcomes.groups[order],
        gain=outcomes.gain[order],
        needed=(outcomes.gain > 0).astype(float)[order],
        fails=fails,
        starts=None if len(starts) == len(scores) else starts,
        error=placed - fails if is_probability else None,
        bins=_starts(np.minimum(placed * ECE_BINS, ECE_BINS - 1).astype(int)) if is_probability else starts[:1],
    )


def figures(ranking: Ranking, counts: Reals) -> Reals:
    """Return the figures under some weights.

    Args:
        counts: shape (b, groups), whole numbers: how often each group was drawn.

    Returns:
        shape (b, len(FIGURES)); NaN where a figure is not defined: those of PGR where Large is not better than Mini on
        average, an AUROC where all rows are of one class, Brier and ECE where the score is no probability.
    """
    weights = counts[:, ranking.groups]
    total = weights.sum(axis=1)
    calls = _of_runs(weights, ranking)
    gains = _of_runs(weights * ranking.gain, ranking)
    called = calls.cumsum(axis=1)
    recovered = gains.cumsum(axis=1)
    gap = np.where(recovered[:, -1] > _ROUNDING * total, recovered[:, -1], np.nan)
    share, pgr = called / total[:, None], recovered / gap[:, None]
    columns = [
        _area(calls, gains, recovered) / (total * gap),
        np.array([_eleven_points(*row) for row in zip(called, pgr, strict=True)]),
        *(_first_crossing(share, pgr, goal) for goal in RECOVERED.values()),
        _auroc(calls, _of_runs(weights * ranking.needed, ranking)),
        _auroc(calls, _of_runs(weights * ranking.fails, ranking)),
        *_calibration(ranking, weights, total),
    ]
    return np.stack(columns, axis=1)


def apgr(scores: Reals, outcomes: Outcomes) -> float:
    """Return the exact APGR; NaN where Large is not better than Mini on average."""
    return float(figures(rank(scores, outcomes), np.ones((1, outcomes.group_count)))[0, 0])


def curve(scores: Reals, outcomes: Outcomes) -> tuple[Reals, Reals] | None:
    """Return share of calls to Large and PGR at every threshold, from (0, 0) to (1, 1); straight lines join them.

    None where Large is not better than Mini on average.
    """
    ranking = rank(scores, outcomes)
    ones = np.ones((1, len(scores)))
    called = _of_runs(ones, ranking)[0].cumsum()
    recovered = _of_runs(ones * ranking.gain, ranking)[0].cumsum()
    if recovered[-1] <= _ROUNDING * len(scores):
        return None
    return np.concatenate(([0.0], called / called[-1])), np.concatenate(([0.0], recovered / recovered[-1]))


# --- figures ---------------------------------------------------------------------------------------


def _starts(placed: NDArray[np.generic]) -> Places:
    """Return where each run of equal values begins."""
    return np.flatnonzero(np.concatenate(([True], placed[1:] != placed[:-1])))


def _of_runs(values: Reals, ranking: Ranking) -> Reals:
    """Return sums over each run of equal scores, shape (b, runs)."""
    if ranking.starts is None:
        return values
    sums: Reals = np.add.reduceat(values, ranking.starts, axis=1)
    return sums


def _area(steps: Reals, rises: Reals, heights: Reals) -> Reals:
    """Return the area under the line through (0, 0) that steps so far and rises so much, to those heights."""
    area: Reals = np.einsum("bk,bk->b", steps, heights) - np.einsum("bk,bk->b", steps, rises) / 2
    return area


def _first_crossing(share: Reals, pgr: Reals, goal: float) -> Reals:
    """Return the smallest share at which the line through the points first reaches the goal."""
    rows = np.arange(len(share))
    after = (pgr >= goal - _ROUNDING).argmax(axis=1)
    before = np.maximum(after - 1, 0)
    is_first = after == 0
    low_share = np.where(is_first, 0.0, share[rows, before])
    low_pgr = np.where(is_first, 0.0, pgr[rows, before])
    part = np.minimum((goal - low_pgr) / (pgr[rows, after] - low_pgr), 1.0)
    crossing: Reals = low_share + part * (share[rows, after] - low_share)
    return crossing


def _eleven_points(called: Reals, pgr: Reals) -> float:
    """Return the area under the line through 11 points, as RouteLLM's evaluation has them.

    A threshold lies at each tenth of the scores, by linear interpolation; rows at or above it go to Large, and above
    the highest none does. A threshold between two scores selects what the upper one does, so that the upper one is
    taken. There are no other differences but one: RouteLLM stops where two thresholds are equal, or, in later versions,
    drops the lower of them, and with it the step of a tie at the highest score; here the step stays.
    """
    rows = round(called[-1])
    ranks = [rows - -(-step * (rows - 1) // _STEPS) for step in range(_STEPS)]  # of the threshold, from the top
    points = np.append(np.searchsorted(called, ranks), -1)[::-1]
    share, height = called[points] / rows, pgr[points]
    share[0] = height[0] = 0.0
    return float(np.trapezoid(height, share))


def _auroc(calls: Reals, positives: Reals) -> Reals:
    """Return the chance that a positive row has a higher score than a negative one, half of it where they are equal."""
    negatives, found = calls - positives, positives.cumsum(axis=1)
    pairs = negatives.sum(axis=1) * found[:, -1]
    area: Reals = _area(negatives, positives, found) / np.where(pairs > 0, pairs, np.nan)
    return area


def _calibration(ranking: Ranking, weights: Reals, total: Reals) -> tuple[Reals, Reals]:
    """Return Brier score and expected calibration error, over bins of equal width, against "Mini is not enough".

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", section 2.
    """
    if ranking.error is None:
        nothing = np.full(len(weights), np.nan)
        return nothing, nothing
    gaps = np.abs(np.add.reduceat(weights * ranking.error, ranking.bins, axis=1)).sum(axis=1)
    # Not "@", whose threads cost more than they give.
    brier: Reals = np.einsum("bn,n->b", weights, ranking.error**2) / total
    return brier, gaps / total
