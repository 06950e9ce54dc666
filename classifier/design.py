"""Prompts -> the matrix that linear weights are fitted on, and fitted coefficients -> weights.

Words weigh more than numbers before the penalty, by fixed factors: there are many of them, and each says little.
Numbers are cut to where most of them lie. A prior is one more column, and since it is linear in the same features, it
becomes part of the weights and costs nothing when a prompt is scored.
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

WORDS_BY, NUMBERS_BY = 3.0, 0.3
WIDEST = 3.0  # standard deviations from the mean, beyond which a number is cut
FLATTEST = 1e-6  # standard deviation of a number that is taken for a constant

Reals = NDArray[np.float64]
Matrix = Any  # of scipy, which has no types; it is of the extra [fit] and loaded where it is used


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """Rows ready to be fitted.

    Attributes:
        rows: sparse, shape (n, BUCKETS + len(NUMBERS)), and one column more where there is a prior.
        centre, scale, lowest, highest: shape (len(NUMBERS),), of the numbers.
        prior: its values, shape (BUCKETS + len(NUMBERS),); None where there is none.
        prior_scale: the last column is the prior's logit over this.
    """

    rows: Matrix
    centre: Reals
    scale: Reals
    lowest: Reals
    highest: Reals
    prior: Reals | None
    prior_scale: float

    def merged(self, coefficients: Reals, intercept: float) -> tuple[NDArray[np.float32], float]:
        """Return values and intercept for features as they are computed when a prompt is scored."""
        own = coefficients[: BUCKETS + len(NUMBERS)].copy()
        own[:BUCKETS] *= WORDS_BY
        own[BUCKETS:] *= NUMBERS_BY / self.scale
        shift = -float(own[BUCKETS:] @ self.centre)
        if self.prior is not None:
            own += self.prior * float(coefficients[-1]) / self.prior_scale
        return own.astype(np.float16).astype(np.float32), intercept + shift


def design(prompts: Sequence[Prompt], *, prior: Weights | None = None, widest: Reals | float = WIDEST) -> Design:
    """Return the design of these prompts; what it learns from them is centre and scale of numbers and prior.

    Args:
        prompts: one a row.
        prior: weights that become one more column.
        widest: standard deviations from the mean, beyond which a number is cut; one for all, or one for each.
    """
    words, numbers = featurised(prompts)
    centre, spread = numbers.mean(axis=0), numbers.std(axis=0)
    scale = np.where(spread < FLATTEST, 1.0, spread)
    lowest = np.maximum(numbers.min(axis=0), centre - widest * scale)
    highest = np.minimum(numbers.max(axis=0), centre + widest * scale)
    cut = numbers.clip(lowest, highest)
    sparse = import_module("scipy.sparse")
    columns = [words * WORDS_BY, sparse.csr_matrix((cut - centre) / scale * NUMBERS_BY)]
    values, prior_scale = None, 1.0
    if prior is not None:
        values = prior.values.astype(float)
        logits = words @ values[:BUCKETS] + cut @ values[BUCKETS:]
        prior_scale = max(float(logits.std()), FLATTEST)
        columns.append(sparse.csr_matrix((logits / prior_scale).reshape(-1, 1)))
    return Design(sparse.hstack(columns).tocsr(), centre, scale, lowest, highest, values, prior_scale)


def featurised(prompts: Sequence[Prompt]) -> tuple[Matrix, Reals]:
    """Return the hashed words as a sparse matrix of shape (n, BUCKETS), and the numbers, shape (n, len(NUMBERS))."""
    found = [featurise(prompt) for prompt in prompts]
    ends = np.cumsum([0, *(len(one.hashed) for one in found)])
    columns = np.concatenate([one.hashed for one in found])
    values = np.concatenate([one.values[: -len(NUMBERS)] for one in found]).astype(float)
    rows = import_module("scipy.sparse").csr_matrix((values, columns, ends), shape=(len(found), BUCKETS))
    rows.sum_duplicates()
    return rows, np.array([one.numbers for one in found])
