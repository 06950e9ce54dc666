"""Prompts -> the matrix that linear weights are fitted on, and fitted coefficients -> weights.

Words weigh more than numbers before the penalty, by fixed factors: there are many of them, and each says little. Where
many prompts begin alike, each word has one more column for those alone, so that what it says in one program's prompts
is learnt apart from what it says in another's. Numbers are cut to where most of them lie. A prior is one more column,
and since it is linear in the same features, it becomes part of the weights and costs nothing when a prompt is scored.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifier.base import Prompt
from classifier.features import BUCKETS, NUMBERS, featurise
from classifier.linear import Weights
from classifier.openings import common, mark_of
from classifier.window import window

WORDS_BY, NUMBERS_BY = 3.0, 0.3
WITHIN_BY = 1.7  # times a word's weight where it may be learnt everywhere
WIDEST = 3.0  # standard deviations from the mean, beyond which a number is cut
FLATTEST = 1e-6  # standard deviation of a number that is taken for a constant

Reals = NDArray[np.float64]
Matrix = Any  # of scipy, which has no types; it is of the extra [fit] and loaded where it is used


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """Rows ready to be fitted.

    Attributes:
        rows: sparse, shape (n, BUCKETS + len(NUMBERS)), one column more where there is a prior, and BUCKETS more for
            each opening.
        centre, scale, lowest, highest: shape (len(NUMBERS),), of the numbers.
        prior: its values, shape (BUCKETS + len(NUMBERS),); None where there is none.
        prior_scale: the prior's column is its logit over this.
        rarity: by which words are multiplied, shape (BUCKETS,): more where fewer rows have them.
        openings: marks of how many rows begin; their words have columns of their own.
    """

    rows: Matrix
    centre: Reals
    scale: Reals
    lowest: Reals
    highest: Reals
    prior: Reals | None
    prior_scale: float
    rarity: Reals
    openings: tuple[int, ...]

    def merged(self, coefficients: Reals, intercept: float) -> tuple[NDArray[np.float32], float]:
        """Return values and intercept for features as they are computed when a prompt is scored."""
        columns = BUCKETS + len(NUMBERS)
        own = coefficients[:columns].copy()
        own[:BUCKETS] *= WORDS_BY * self.rarity
        own[BUCKETS:] *= NUMBERS_BY / self.scale
        shift = -float(own[BUCKETS:] @ self.centre)
        if self.prior is not None:
            own += self.prior * float(coefficients[columns]) / self.prior_scale
        return _held(own), intercept + shift

    def within(self, coefficients: Reals) -> dict[int, NDArray[np.float32]]:
        """Return by opening what is added to the values of words there."""
        start = len(coefficients) - BUCKETS * len(self.openings)
        blocks = coefficients[start:].reshape(-1, BUCKETS) * (WORDS_BY * WITHIN_BY * self.rarity)
        return dict(zip(self.openings, map(_held, blocks), strict=True))


def _held(values: Reals) -> NDArray[np.float32]:
    """Return the nearest values that a file holds."""
    return values.astype(np.float16).astype(np.float32)


def design(
    prompts: Sequence[Prompt],
    *,
    prior: Weights | None = None,
    widest: Reals | float = WIDEST,
    of_one_user: bool = False,
) -> Design:
    """Return the design of these prompts; what it learns from them is centre and scale of numbers and prior.

    Args:
        prompts: one a row.
        prior: weights that become one more column; what they add within openings is left out.
        widest: standard deviations from the mean, beyond which a number is cut; one for all, or one for each.
        of_one_user: whether what is asked for later begins like these and has their words: then rare words count more,
            and words are weighed anew within common openings.
    """
    words, numbers = featurised(prompts)
    centre, spread = numbers.mean(axis=0), numbers.std(axis=0)
    scale = np.where(spread < FLATTEST, 1.0, spread)
    lowest = np.maximum(numbers.min(axis=0), centre - widest * scale)
    highest = np.minimum(numbers.max(axis=0), centre + widest * scale)
    cut = numbers.clip(lowest, highest)
    sparse = import_module("scipy.sparse")
    rarity = _rarity(words) if of_one_user else np.ones(BUCKETS)
    weighed = words @ sparse.diags(rarity * WORDS_BY)
    columns = [weighed, sparse.csr_matrix((cut - centre) / scale * NUMBERS_BY)]
    values, prior_scale = None, 1.0
    if prior is not None:
        values = prior.values.astype(float)
        logits = words @ values[:BUCKETS] + cut @ values[BUCKETS:]
        prior_scale = max(float(logits.std()), FLATTEST)
        columns.append(sparse.csr_matrix((logits / prior_scale).reshape(-1, 1)))
    marks = np.array([mark_of(window(prompt).text) for prompt in prompts]) if of_one_user else np.empty(0)
    openings = common(marks.tolist())
    columns += [sparse.diags((marks == mark) * WITHIN_BY) @ weighed for mark in openings]
    rows = sparse.hstack(columns).tocsr()
    return Design(rows, centre, scale, lowest, highest, values, prior_scale, rarity, openings)


def _rarity(words: Matrix) -> Reals:
    """Return 1.0 and more for a word by how few rows have it, over what leaves rows as long as they were.

    Source: Sparck Jones 1972, "A statistical interpretation of term specificity and its application in retrieval".
    """
    having = np.asarray((words > 0).sum(axis=0)).ravel()
    rarity: Reals = 1.0 + np.log((1 + words.shape[0]) / (1 + having))
    square = words.multiply(words)
    length = max(float((square @ rarity**2).sum()), FLATTEST)
    return rarity * float(np.sqrt(square.sum() / length))


def featurised(prompts: Sequence[Prompt]) -> tuple[Matrix, Reals]:
    """Return the hashed words as a sparse matrix of shape (n, BUCKETS), and the numbers, shape (n, len(NUMBERS))."""
    found = [featurise(prompt) for prompt in prompts]
    ends = np.cumsum([0, *(len(one.hashed) for one in found)])
    columns = np.concatenate([one.hashed for one in found])
    values = np.concatenate([one.values[: -len(NUMBERS)] for one in found]).astype(float)
    rows = import_module("scipy.sparse").csr_matrix((values, columns, ends), shape=(len(found), BUCKETS))
    rows.sum_duplicates()
    return rows, np.array([one.numbers for one in found])
