"""What a log holds, as columns of numbers: the words between whoever gathers them and whoever works figures out."""

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from router.base import Tier

Reals = NDArray[np.float64]
Whole = NDArray[np.int64]
Truths = NDArray[np.bool_]


class Reward(StrEnum):
    """What quality is told by."""

    LABELS = "labels"
    ASSESSMENTS = "assessments"
    RATINGS = "ratings"


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Requests that a model answered, each of shape (n,); numbers that are not known are NaN.

    Attributes:
        clusters, hours: from 0.
        was_large, is_large: Large, by the log and by the target: was decided on, or answered where replies are judged.
        answered_large: Large answered.
        known_large: the reply whose cost is known is Large's.
        scores, inputs, outputs: the latter two in tokens of the answer.
        was: nano-USD that it cost.
        spent: what all that was needed takes at the target's prices, where the request does not move.
        answer: of that, what the reply of the tier takes that `known_large` tells.
        other: nano-USD that it takes where it moves, as far as a shadow call to the other tier tells.
        meant: probability with which that call was drawn.
        chance: probability with which the log would have decided as the target does.
        first_bytes: seconds, of what was streamed.
        large_scores, mini_scores: what the replies of both were worth, of those with a label.
        rewards: what the reply was worth that was given.
    """

    clusters: Whole
    hours: Whole
    was_large: Truths
    is_large: Truths
    answered_large: Truths
    known_large: Truths
    scores: Reals
    inputs: Reals
    outputs: Reals
    was: Reals
    spent: Reals
    answer: Reals
    other: Reals
    meant: Reals
    chance: Reals
    first_bytes: Reals
    large_scores: Reals
    mini_scores: Reals
    rewards: Reals

    def __len__(self) -> int:
        return len(self.was)

    @property
    def moved(self) -> Truths:
        """Tell the requests that the target sends elsewhere."""
        return np.asarray(self.was_large != self.is_large)


@dataclass(frozen=True, slots=True)
class Uncached:
    """What the log's cache had answered from replies of one tier, a model would have, and no equal request tells of.

    Attributes:
        baseline: nano-USD that Large would have taken for the same tokens.
    """

    requests: int = 0
    baseline: int = 0


class Outcome(NamedTuple):
    """One request that was answered, by a model or from the cache.

    Attributes:
        user, key: clusters, from 0; who has no reply key is alone in its cluster.
        was_hit, is_hit: it got, or would have got, a kept reply.
        was, spent: nano-USD at the log's prices and decisions; NaN where they are not known.
        was_first, first: seconds to the first byte of a stream; likewise.
    """

    user: int
    key: int
    was_hit: bool
    is_hit: bool
    was: float
    spent: float
    was_first: float
    first: float


@dataclass(frozen=True, slots=True)
class Cached:
    """What a log holds of its cache, and of another one.

    Attributes:
        keyed: requests that could get a kept reply.
        again, differing: as of `router.replaying.recaching.Recacher`.
        by_meaning: kept replies to requests that only meant the same.
        strangers: kept replies that stay, since nobody knows how old they were.
    """

    outcomes: list[Outcome]
    keyed: int
    again: int
    differing: int
    by_meaning: int
    strangers: int


@dataclass(frozen=True, slots=True)
class Gathered:
    """What a log holds.

    Attributes:
        requests: all that ended.
        answered, to_large: by a model, at a known cost; and of those, Large's, as `Columns.was_large` tells.
        uncached: by the tier that had answered first.
        elsewhere: nano-USD of requests that no model answers, in the log and by the target.
        freed: nano-USD of requests that a model answered, and the target's cache would have.
        undecidable: requests that are left as they were, by why.
        unpriced: requests without a cost, which are left out.
        cut_sooner: streams of which a part would not have been sent, and is counted all the same.
        baseline: nano-USD that Mini's answers would have been at Large's price.
        scorers: that gave the scores.
        cached: None where the target has the log's cache.
    """

    columns: Columns
    requests: int
    answered: int
    to_large: int
    uncached: dict[Tier, Uncached]
    elsewhere: int
    freed: int
    undecidable: Counter[str]
    unpriced: int
    cut_sooner: int
    baseline: int
    scorers: Counter[str]
    cached: Cached | None

    @property
    def without_cache(self) -> dict[Tier, float]:
        """Return what kept replies that no equal request tells of would have cost, as a share of their baseline.

        Of Large's, all of it; of Mini's, as much less as its other answers cost.
        """
        took = float(self.columns.answer[~self.columns.answered_large].sum())
        return {Tier.LARGE: 1.0, Tier.MINI: took / self.baseline if self.baseline else 1.0}
