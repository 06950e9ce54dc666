"""A log of what one policy did -> what another would have been worth, or why the log cannot tell.

Where the other policy would have done what was seen to be done, the outcome is known, and stands for as many as the
probability of seeing it says. Three ways to put that together:

    IPS     mean of w r                         unbiased; wide
    SNIPS   sum of w r over sum of w            a little biased; narrower
    DR      mean of m(x) + w (r - m(x))         unbiased; as narrow as the model m is good

with w = 1 / probability where the outcome was seen, and 0 elsewhere. The model alone is never given an interval: its
standard error knows nothing of its own mistakes, and covers in one run of five.

Neither the number of rows nor the effective sample size tells whether an interval can be trusted. What does is how
often the log did, where both policies part, what the other one wants: with 40 such actions and 4 failures intervals of
95 % cover in 90 %, with 122 and 12 in 95 %. So there is a gate of 100 and 10.

A gate chooses, though: of logs that would mostly see seven failures, those pass that happened to see ten, and these
show too many. So from the gate to twice as many failures intervals are wider than their errors say.

Quality is bounded, times are not. What is not seen of a tail widens an interval, and where it reaches out too far there
is none; see `router.statistics.tails`.

Source: Horvitz and Thompson 1952 for IPS; Swaminathan and Joachims 2015, "The self-normalized estimator for
counterfactual learning", for SNIPS; Dudik, Langford and Li 2011, "Doubly robust policy evaluation and learning".
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from router.statistics.aipw import Clusters, Draws, corrected, folds_of
from router.statistics.clusters import of_rows
from router.statistics.estimates import LEVEL, Estimate
from router.statistics.tails import LEAST_INDEX, index_of

Reals = NDArray[np.float64]
Whole = NDArray[np.int64]
Truths = NDArray[np.bool_]

FEWEST_MATCHING: Final = 100
FEWEST_MINORITY: Final = 10
FEWEST_CLUSTERS: Final = 8.0
"""Users who would weigh as much as these if each had as many requests: where users find all good or all bad, intervals
of 95 % cover in 86 % with 6 of them, and in 94 % with 8."""
MOST_SLIP: Final = 4.0
"""Standard errors by which the mean weight may be off 1, before the probabilities are taken to be wrong."""


@dataclass(frozen=True, slots=True, eq=False)
class Log:
    """Requests, and what became of the action that the other policy takes.

    Attributes:
        rewards: shape (n,), of that action; anything where it was not seen.
        seen: shape (n,).
        probabilities: shape (n,), with which it was to be seen, above 0.0 up to 1.0; 0.0 where it could not be.
        features: shape (n, k), known before the action; the first is 1.
        clusters: shape (n,), from 0; requests of one may resemble each other.
        differs: shape (n,), where the other policy does not what the logging one mostly did.
        bounds: of rewards; None where they have none. Where one was seen beyond them, there are none either.
    """

    rewards: Reals
    seen: Truths
    probabilities: Reals
    features: Reals
    clusters: Whole
    differs: Truths
    bounds: tuple[float, float] | None = (0.0, 1.0)

    @property
    def index(self) -> float | None:
        """Return the index of the rewards' tail; None where none may be larger than those that were seen."""
        seen = self.rewards[self.seen]
        if self.bounds is not None and not ((seen < self.bounds[0]) | (seen > self.bounds[1])).any():
            return None
        return index_of(seen)


@dataclass(frozen=True, slots=True)
class Support:
    """How far a log can tell.

    Attributes:
        requests, differing: all of them, and those where the policies part.
        impossible: of the latter, those whose outcome could not be seen.
        matching: of the latter, those whose outcome was seen.
        minority: of these, the fewer of those above and those at or below their mean.
        clusters: how many of equal size would weigh as much.
        effective: sample size, (sum w)^2 / sum w^2.
        mean_weight: should be 1.
        slip: standard errors by which it is not.
        index: of the rewards' tail; infinite where they are bounded.
    """

    requests: int
    differing: int
    impossible: int
    matching: int
    minority: int
    clusters: float
    effective: float
    mean_weight: float
    slip: float
    index: float

    @property
    def refusal(self) -> str:
        """Return why nothing can be said; "" where something can."""
        if not self.requests:
            return "no request of the log has an outcome that tells"
        if self.impossible:
            return (
                f"for {self.impossible:,} of the {self.differing:,} requests where the policies part, the log could not"
                " see what the other one does"
            )
        if self.differing and (thin := self._thin):
            return thin
        if self.clusters < FEWEST_CLUSTERS:
            return (
                f"the requests are of as few users as {self.clusters:.1f} who ask alike often, and"
                f" {FEWEST_CLUSTERS:g} are needed; have callers name their users"
            )
        return self._astray

    @property
    def _thin(self) -> str:
        """Return why what was seen where the policies part is too little; "" where it is not."""
        if self.matching < FEWEST_MATCHING:
            return (
                f"where the policies part, the log saw {self.matching} of the actions that the other one takes, and"
                f" {FEWEST_MATCHING} are needed"
            )
        if self.minority < FEWEST_MINORITY:
            return (
                f"of the {self.matching} outcomes where the policies part, {self.minority} are on the rarer side, and"
                f" {FEWEST_MINORITY} are needed"
            )
        return ""

    @property
    def _astray(self) -> str:
        """Return why what was seen does not stand for the rest; "" where it does."""
        if self.index < LEAST_INDEX:
            return (
                f"the largest outcomes reach out so far (tail index {self.index:.2f}, and {LEAST_INDEX:g} is needed)"
                " that they may have no mean"
            )
        if self.slip > MOST_SLIP:
            return f"the mean weight is {self.mean_weight:.3f} and should be 1: the logged probabilities are wrong"
        return ""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What the other policy would have been worth, a request."""

    support: Support
    ips: Estimate
    snips: Estimate
    doubly_robust: Estimate


def support_of(log: Log) -> Support:
    """Return how far the log can tell."""
    count, weights = len(log.seen), _weights(log)
    matching = log.differs & log.seen
    outcomes = log.rewards[matching]
    above = int((outcomes > outcomes.mean()).sum()) if len(outcomes) else 0
    squares = float(np.square(weights).sum())
    mean = float(weights.mean()) if count else 0.0
    error = float(weights.std()) / count**0.5 if count else 0.0
    sizes, index = np.bincount(log.clusters).astype(np.float64), log.index
    return Support(
        requests=count if log.seen.any() else 0,
        differing=int(log.differs.sum()),
        impossible=int((log.differs & (log.probabilities <= 0.0)).sum()),
        matching=int(matching.sum()),
        minority=min(above, len(outcomes) - above),
        clusters=count**2 / float(sizes @ sizes) if count else 0.0,
        effective=float(weights.sum()) ** 2 / squares if squares else 0.0,
        mean_weight=mean,
        slip=abs(mean - 1.0) / error if error else 0.0,
        index=float("inf") if index is None else index,
    )


def evaluated(log: Log, *, level: float = LEVEL) -> Evaluation | Support:
    """Return what the other policy would have been worth; its support alone where that is too thin."""
    support = support_of(log)
    if support.refusal:
        return support
    by = max(1.0, 2.0 * FEWEST_MINORITY / support.minority) ** 0.5 if support.differing else 1.0
    return Evaluation(
        support,
        _widened(ips(log, level=level), by),
        _widened(snips(log, level=level), by),
        _widened(doubly_robust(log, level=level), by),
    )


def ips(log: Log, *, level: float = LEVEL) -> Estimate:
    """Return the mean of w r."""
    return _mean(log, _weights(log) * np.where(log.seen, log.rewards, 0.0), level)


def snips(log: Log, *, level: float = LEVEL) -> Estimate:
    """Return the sum of w r over the sum of w, its error by linearisation."""
    weights = _weights(log)
    rewards = np.where(log.seen, log.rewards, 0.0)
    value = float(weights @ rewards / weights.sum())
    shares = weights / weights.sum()
    return of_rows(value, shares * (rewards - value), shares, log.clusters, level=level, index=log.index)


def doubly_robust(log: Log, *, level: float = LEVEL) -> Estimate:
    """Return the mean of a linear model, fitted on other clusters, and of what it missed."""
    counts = np.bincount(log.clusters)
    sums = np.stack([np.bincount(log.clusters, column) for column in log.features.T], axis=1).astype(np.float64)
    seen = np.flatnonzero(log.seen)
    folds = folds_of(len(counts))
    found = corrected(
        Clusters(sums, folds, np.zeros(log.features.shape[1])),
        Draws(log.clusters[seen], log.features[seen], log.rewards[seen], 1.0 / log.probabilities[seen]),
    )
    worth = np.einsum("nk,nk->n", log.features, found.models[folds[log.clusters]])
    worth[seen] += found.missed
    return _mean(log, worth, level)


def _mean(log: Log, worth: Reals, level: float) -> Estimate:
    """Return the mean of what each request says of the whole."""
    value, count = float(worth.mean()), len(worth)
    shares = np.full(count, 1.0 / count)
    return of_rows(value, shares * (worth - value), shares, log.clusters, level=level, index=log.index)


def _widened(found: Estimate, by: float) -> Estimate:
    low, high = found.value - by * (found.value - found.low), found.value + by * (found.high - found.value)
    return Estimate(found.value, low, high, found.error, found.degrees)


def _weights(log: Log) -> Reals:
    weights = np.zeros(len(log.seen))
    weights[log.seen] = 1.0 / log.probabilities[log.seen]
    return weights
