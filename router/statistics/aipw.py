"""Some values, drawn at random, and what is known of all -> what all of them sum up to, without bias.

A model, linear in features, predicts each value that is not known; the values that were drawn correct it:

    sum over all of m(x)  +  sum over the drawn of (value - m(x)) / probability

The sum is right whatever the model says, as long as the probabilities are: a better model only narrows the interval.
So that it stays right, no value is predicted by a model that has seen it or another of its cluster (cross-fitting). As
the model is linear, predictions of all need their features' sums alone, one row a cluster.

Some things cannot be drawn at all, such as requests without a score. They are predicted like the others, which is an
assumption, and what the model's coefficients are uncertain by is added to the interval.

Source: Robins, Rotnitzky and Zhao 1994, "Estimation of regression coefficients when some regressors are not always
observed"; Chernozhukov et al. 2018, "Double/debiased machine learning", for cross-fitting; Angelopoulos et al. 2023,
"Prediction-powered inference", which is the same estimator.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from router.statistics.estimates import LEVEL, Estimate, estimated

Reals = NDArray[np.float64]
Whole = NDArray[np.int64]

FOLDS: Final = 5

_RANK: Final = 1e-10  # of the largest eigenvalue: a direction below it is one that no draw tells of


@dataclass(frozen=True, slots=True, eq=False)
class Clusters:
    """What is known of all things whose value is not.

    Attributes:
        features: shape (m, k), sums over the things of each cluster; the first is their number.
        folds: shape (m,), from 0; clusters of one fold share a model.
        unreached: shape (k,), sums over those that could not be drawn, of all clusters together.
    """

    features: Reals
    folds: Whole
    unreached: Reals


@dataclass(frozen=True, slots=True, eq=False)
class Draws:
    """The things whose value was seen.

    Attributes:
        clusters: shape (s,), the row in `Clusters` of each.
        features: shape (s, k); the first is 1.
        values: shape (s,).
        weights: shape (s,), 1 over the probability with which each was drawn.
    """

    clusters: Whole
    features: Reals
    values: Reals
    weights: Reals


@dataclass(frozen=True, slots=True, eq=False)
class Corrected:
    """What the values sum up to.

    Attributes:
        totals: shape (m,), by cluster; those of one cluster may be far off, their sum is not.
        spread: shape (m,), the same with what the draws of each add to the error of those that could not be drawn.
        errors: shape (s,), what each draw adds to the error of the sum by having been drawn.
        missed: shape (s,), by how much each draw corrects the sum.
        models: shape (f, k), the coefficients by which the clusters of each fold are predicted.
    """

    totals: Reals
    spread: Reals
    errors: Reals
    missed: Reals
    models: Reals


def corrected(clusters: Clusters, draws: Draws) -> Corrected:
    """Return the sums of all values, by cluster."""
    count = len(clusters.folds)
    scale = np.abs(draws.features).max(axis=0, initial=0.0)
    scale[scale == 0.0] = 1.0
    seen = draws.features / scale
    folds = clusters.folds[draws.clusters]
    grams, sides = _sums(seen, draws, folds, int(clusters.folds.max(initial=0)) + 1)
    inverse = np.linalg.pinv(grams.sum(axis=0) - grams, rcond=_RANK, hermitian=True)
    models = np.einsum("fij,fj->fi", inverse, sides.sum(axis=0) - sides)
    predicted = np.einsum("uk,uk->u", clusters.features / scale, models[clusters.folds])
    missed = draws.weights * (draws.values - np.einsum("sk,sk->s", seen, models[folds]))
    toward = np.linalg.pinv(grams.sum(axis=0), rcond=_RANK, hermitian=True) @ (clusters.unreached / scale)
    beyond = missed * (seen @ toward)
    totals = predicted + np.bincount(draws.clusters, missed, minlength=count)
    return Corrected(
        totals,
        totals + np.bincount(draws.clusters, beyond, minlength=count),
        missed * np.sqrt(np.maximum(1.0 - 1.0 / draws.weights, 0.0)) + beyond,  # who is always drawn adds no error
        missed,
        models / scale,
    )


def saved(
    spent: float, known: float, found: Corrected, *, scale: float = 1.0, further: float = 0.0, level: float = LEVEL
) -> Estimate:
    """Return the share that was saved of these very things: 1 less what was spent, over what would have been.

    What was spent is known, and so is a part of what would have been: the interval is for what is not, and comes of
    the draws alone.

    Args:
        known: the part of what would have been that is known.
        found: the part that is not.
        scale: by which that part is taken, for others that are worth the same by ratio.
        further: standard error of what those are worth.

    Raises:
        ValueError: nothing would have been spent, or there are fewer than two draws.
    """
    whole = _positive(known + scale * float(found.totals.sum()))
    ratio = spent / whole
    parts = ratio * scale / whole * found.errors
    return estimated(1.0 - ratio, parts, level=level, further=ratio / whole * further, are_draws=True)


def saved_of_like(
    spent: Reals,
    known: Reals,
    found: Corrected,
    *,
    scale: float = 1.0,
    constant: float = 0.0,
    further: float = 0.0,
    level: float = LEVEL,
) -> Estimate:
    """Return the share that is saved of things like these, with its interval by the delta method on clusters.

    Other users would have asked for other things, which adds to the interval.

    Args:
        spent: shape (m,), by cluster.
        known: shape (m,), likewise; see `saved`.
        constant: known of all clusters together, and of none alone.
        further: as in `saved`.

    Raises:
        ValueError: nothing would have been spent, or there are fewer than two clusters.
    """
    would = known + scale * found.totals
    alone = _positive(float(would.sum()))
    whole = _positive(alone + constant)
    ratio = float(spent.sum()) / whole
    spread = (would + scale * (found.spread - found.totals)) * (whole / alone)
    return estimated(1.0 - ratio, (ratio * spread - spent) / whole, level=level, further=ratio / whole * further)


def _positive(whole: float) -> float:
    if whole <= 0.0:
        raise ValueError("nothing would have been spent: there is nothing to save from")
    return whole


def folds_of(count: int, *, folds: int = FOLDS) -> Whole:
    """Return a fold for each of so many clusters, which stand in an order that says nothing of their values."""
    return np.arange(count, dtype=np.int64) % folds


def _sums(seen: Reals, draws: Draws, folds: Whole, count: int) -> tuple[Reals, Reals]:
    """Return X'WX and X'Wy of the draws of each fold, shapes (f, k, k) and (f, k)."""
    weighted = seen * draws.weights[:, None]
    grams = np.empty((count, seen.shape[1], seen.shape[1]))
    sides = np.empty((count, seen.shape[1]))
    for fold in range(count):
        of_fold = folds == fold
        grams[fold] = weighted[of_fold].T @ seen[of_fold]
        sides[fold] = weighted[of_fold].T @ draws.values[of_fold]
    return grams, sides
