"""Sums and shadow calls -> what all-Large would have cost, and what was saved against it.

What Large answered is known. What Mini answered is predicted from its tokens and its score, and corrected by the
requests that were drawn by chance and sent to Large too; see `router.statistics.aipw`. Two baselines, by name:

    all-Large without caches      every request calls Large, every token of a prompt is computed
    all-Large with the same caches    what was kept is kept there too, and prompts are discounted as they were

The difference to what was spent falls into four parts that add up to the nano-USD:

    cache      what Large would have taken for the requests that a kept reply answered
    prefix     what tokens that a backend had cached would have cost more, had they been computed
    routing    what Large would have taken for the others, less what those who answered took
    overhead   what answered nobody: escalations, judges, retries, hedges, classifiers, and shadow calls

A kept reply of Large's is worth what it cost; one of Mini's is taken to be worth to its tokens' price what Mini's other
replies are to theirs. Where a few replies were kept for most, as popular ones are, that says little of just these, and
the interval grows by it. Requests that were not answered count on both sides with what they cost. Pure arithmetic.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from router.statistics.aipw import Clusters, Draws, corrected, folds_of, saved, saved_of_like
from router.statistics.estimates import Estimate
from router.statistics.realised import realised_weights

Reals = NDArray[np.float64]
Whole = NDArray[np.int64]

FEATURES: Final = ("requests", "input", "output", "score")
_TOKENS: Final = slice(1, 3)
_SCORE: Final = 3


@dataclass(frozen=True, slots=True)
class Books:
    """Sums over all users, nano-USD.

    Attributes:
        cost: of all attempts but those for learning.
        learning: of those.
        overhead: part of `cost` that answered nobody.
        prefix: what cached input would have cost more.
        otherwise: part of `cost`, less its overhead, of requests that were not answered.
        kept_large, kept_mini: kept replies of either, their tokens at Large's price.
        mini: Mini's replies, their tokens at Large's price.
        kept_alike: probability that two nano-USD of `kept_mini` are of one reply; 0.0 where no two are.
    """

    cost: int
    learning: int = 0
    overhead: int = 0
    prefix: int = 0
    otherwise: int = 0
    kept_large: int = 0
    kept_mini: int = 0
    mini: int = 0
    kept_alike: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Traffic:
    """Requests of some days, by groups of users that are independent of each other.

    Attributes:
        spent: shape (m,), of all attempts, nano-USD.
        large: shape (m,), what the attempts took that answered from Large, nano-USD.
        rest: shape (m, 4), answers of Mini: `FEATURES`, the score summed over those that have one.
        scored: how many of them have one, and so could be drawn.
        groups: shape (s,), the group of each answer of Mini that Large was asked for, too.
        features: shape (s, 4), of the same.
        took: shape (s,), what Large took, nano-USD.
        meant: shape (s,), probability with which it was drawn.
        hours: shape (s,), its row in `answered`.
        answered: shape (h,), answers of Mini by the hour.
    """

    spent: Reals
    large: Reals
    rest: Reals
    scored: float
    groups: Whole
    features: Reals
    took: Reals
    meant: Reals
    hours: Whole
    answered: Reals


@dataclass(frozen=True, slots=True)
class Baseline:
    """What would have been spent, and the share of it that was not.

    Attributes:
        cost: nano-USD.
        saved: of this very traffic.
        expected: of traffic like this, which other users would send.
    """

    cost: int
    saved: Estimate
    expected: Estimate


@dataclass(frozen=True, slots=True)
class Parts:
    """What was saved against all-Large without caches, nano-USD; `overhead` takes away from it."""

    cache: int
    prefix: int
    routing: int
    overhead: int

    @property
    def saved(self) -> int:
        """Return the whole."""
        return self.cache + self.prefix + self.routing - self.overhead


@dataclass(frozen=True, slots=True)
class Counterfactual:
    """What all-Large would have cost.

    Attributes:
        spent: nano-USD, of all attempts.
        naive: what Mini's own lengths at Large's price would have said was saved of all-Large without caches; None
            where they say nothing.
    """

    spent: int
    without_caches: Baseline
    same_caches: Baseline
    parts: Parts
    naive: float | None


def counterfactual(traffic: Traffic, books: Books) -> Counterfactual:
    """Return what all-Large would have cost.

    Raises:
        ValueError: there are fewer than two groups, or nothing would have been spent.
    """
    weights = realised_weights(traffic.hours, traffic.meant, traffic.answered)
    weights *= traffic.scored / weights.sum()
    features, unreached = _all_scored(traffic)
    found = corrected(
        Clusters(features, folds_of(len(features)), unreached),
        Draws(traffic.groups, traffic.features, traffic.took, weights),
    )
    mini = float(found.totals.sum())
    scale = 1.0 + books.kept_mini / books.mini if books.mini else 1.0
    kept = books.kept_large + (round(mini * (scale - 1.0)) if books.mini else books.kept_mini)
    alone = books.kept_large + (0 if books.mini else books.kept_mini)
    of_kept = mini * (scale - 1.0) * (books.kept_alike * _uneven(traffic, weights)) ** 0.5
    spent = books.cost + books.learning
    large = round(float(traffic.large.sum()))
    asked = large + round(mini) + books.otherwise
    overhead = books.overhead + books.learning

    def baseline(cost: int, *, scale: float, constant: int, further: float) -> Baseline:
        return Baseline(
            cost,
            saved(spent, large + constant, found, scale=scale, further=further),
            saved_of_like(traffic.spent, traffic.large, found, scale=scale, constant=constant, further=further),
        )

    naive = large + books.mini + books.otherwise + books.prefix + books.kept_large + books.kept_mini
    return Counterfactual(
        spent,
        baseline(
            asked + kept + books.prefix,
            scale=scale,
            constant=books.otherwise + books.prefix + alone,
            further=of_kept,
        ),
        baseline(asked, scale=1.0, constant=books.otherwise, further=0.0),
        Parts(kept, books.prefix, asked - (spent - overhead), overhead),
        1.0 - spent / naive if books.mini and naive > 0 else None,
    )


def _uneven(traffic: Traffic, weights: Reals) -> float:
    """Return the variance of what a reply is worth by its tokens, by the square of the mean worth."""
    tokens, root = traffic.features[:, _TOKENS], np.sqrt(weights)
    prices, *_ = np.linalg.lstsq(tokens * root[:, None], traffic.took * root, rcond=None)
    mean = float(weights @ traffic.took) / float(weights.sum())
    left = float(weights @ np.square(traffic.took - tokens @ prices)) / float(weights.sum())
    return left / mean**2 if mean > 0.0 else 0.0


def _all_scored(traffic: Traffic) -> tuple[Reals, Reals]:
    """Return the groups' features, those without a score at the mean one, and the sum over those alone."""
    features = traffic.rest.copy()
    requests, score = features[:, 0].sum(), features[:, _SCORE].sum()
    missing = max(0.0, 1.0 - traffic.scored / requests) if requests else 0.0
    if missing and traffic.scored:
        features[:, _SCORE] += features[:, 0] * missing * (score / traffic.scored)
    return features, features.sum(axis=0) * missing
