"""Answers under several policies -> what equal accuracy costs, with intervals.

The policies answer the same questions, so all is paired: a question that is drawn again is drawn for all of them.
Pure; knows no gateway.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]

_TINY = 1e-12  # accuracies closer than this are equal


@dataclass(frozen=True, slots=True, eq=False)
class Answered:
    """One policy's answers, in the order of the questions.

    Attributes:
        right: 1.0 for a right answer, 0.0 for a wrong one; shape (n,).
        cost: nano-USD; shape (n,).
    """

    right: Reals
    cost: Reals


@dataclass(frozen=True, slots=True)
class Match:
    """A policy against mixtures of others that are as accurate.

    Attributes:
        accuracy: of the policy, on the questions that count.
        spend: nano-USD for all questions.
        matched: nano-USD of the cheapest mixture that is at least as accurate.
        difference: the policy's spend less that; negative where the policy is cheaper.
        low, high: 95 % interval of the difference.
    """

    accuracy: float
    spend: float
    matched: float
    difference: float
    low: float
    high: float


def match(
    policy: Answered, others: Sequence[Answered], *, counts: NDArray[np.bool_], resamples: int, seed: int
) -> Match:
    """Compare spends at equal accuracy.

    Args:
        others: at least one; what lies between two of them is had by drawing one or the other for each question.
        counts: which questions the accuracy is of; spend is always of all; shape (n,).
        resamples: of the bootstrap, which draws questions with replacement, as many of each sort as there are.
    """
    everything = (policy, *others)
    right = np.stack([each.right for each in everything])
    cost = np.stack([each.cost for each in everything])
    rng = np.random.default_rng(seed)
    sorts = [np.flatnonzero(counts), np.flatnonzero(~counts)]
    differences = np.empty(resamples)
    for index in range(resamples):
        drawn = [rng.choice(sort, sort.size) for sort in sorts]
        differences[index] = _compared(right[:, drawn[0]], cost[:, np.concatenate(drawn)])[3]
    accuracy, spend, matched, difference = _compared(right[:, counts], cost)
    low, high = np.quantile(differences, (0.025, 0.975))
    return Match(accuracy, spend, matched, difference, float(low), float(high))


def cheapest(accuracies: Reals, spends: Reals, wanted: float) -> float:
    """Return the least spend of a mixture of two policies that is as accurate as wanted.

    Where none is, the spend of the most accurate one, which is then too little: no mixture can do it for that.
    """
    best = float(spends[accuracies.argmax()])
    if wanted > accuracies.max():
        return best
    enough, too_little = accuracies >= wanted - _TINY, accuracies < wanted - _TINY
    best = float(spends[enough].min())
    if too_little.any():
        upper, lower = accuracies[enough][:, None], accuracies[too_little][None, :]
        share = (wanted - lower) / (upper - lower)
        mixed = share * spends[enough][:, None] + (1 - share) * spends[too_little][None, :]
        best = min(best, float(mixed.min()))
    return best


def _compared(right: Reals, cost: Reals) -> tuple[float, float, float, float]:
    """Return accuracy, spend, matched spend and difference of the first row against the others."""
    accuracies, spends = right.mean(axis=1), cost.sum(axis=1)
    matched = cheapest(accuracies[1:], spends[1:], float(accuracies[0]))
    return float(accuracies[0]), float(spends[0]), matched, float(spends[0]) - matched


def auroc(signal: Reals, positive: NDArray[np.bool_]) -> float | None:
    """Return how often a positive has the higher signal than a negative, ties half; None where one sort is missing."""
    above, below = signal[positive][:, None], signal[~positive][None, :]
    if not above.size or not below.size:
        return None
    return float(((above > below) + 0.5 * (above == below)).mean())
