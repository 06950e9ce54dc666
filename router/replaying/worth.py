"""Columns of a log -> what the target would have cost, how soon it would have answered, and how well; or why not.

What stays where it was is known. Of what moves, the other tier's outcome is known where a shadow call was drawn, or
where chance had decided as the target does; those stand for the others. Costs come with the interval of
`router.statistics.aipw`, the rest with those of `router.statistics.off_policy`, both of which refuse what is too thin.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from router.base import Tier
from router.replaying.columns import Columns, Reals, Reward, Truths, Whole
from router.statistics.aipw import Clusters, Corrected, Draws, corrected, folds_of
from router.statistics.estimates import Estimate, estimated
from router.statistics.off_policy import FEWEST_MATCHING, Evaluation, Log, evaluated
from router.statistics.realised import realised_weights
from router.statistics.tails import unseen

MOST_UNREACHED: Final = 0.2
"""Share of the requests that move which no call could be drawn for; they are taken to be like the others."""

_SELDOM: Final = 0.5
"""Probability up to which the log has not mostly done the same."""

_OPTION: Final = {Tier.LARGE: "learning.shadow", Tier.MINI: "learning.shadow_large"}
"""What draws calls to a tier, for requests that the other one answers."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing can be said; `why` in words."""

    why: str

    def as_json(self) -> dict[str, str]:
        """Return what is told of it."""
        return {"refused": self.why}


@dataclass(frozen=True, slots=True)
class Means:
    """A mean under the target, beside that of the log.

    Attributes:
        logged: of the same requests, as it was.
        rows: requests that have one.
    """

    logged: float
    target: Evaluation
    rows: int


@dataclass(frozen=True, slots=True)
class Modelled:
    """A mean that rests on a model alone, and so has no interval.

    Attributes:
        why: it is not more.
    """

    logged: float
    target: float
    rows: int
    why: str


def cost_of(columns: Columns) -> Estimate | Refused:
    """Return nano-USD that all requests of the columns would have taken."""
    known = np.where(columns.moved, columns.answer, columns.spent)
    stays = ~columns.moved | (columns.known_large == columns.is_large)
    errors, total = [], 0.0
    for tier in Tier:
        to_tier = columns.is_large if tier is Tier.LARGE else ~columns.is_large
        moved = to_tier & ~stays
        if not moved.any():
            continue
        found = _by_shadows(columns, moved)
        if found is None:
            explored = to_tier & (columns.chance > 0.0) & (columns.chance < 1.0)
            found = _by_chance(columns, explored, known) if not (moved & ~explored).any() else None
            if found is None:
                return Refused(_too_few(columns, moved, tier))
            stays &= ~explored
        total += float(found.totals.sum())
        errors.append(found.errors)
    value = total + float(known[stays].sum())
    if not errors:
        return Estimate(value, value, value, 0.0, float("inf"))
    every = np.concatenate(errors)
    return estimated(value, every, are_draws=True, tail=unseen(every))


def first_bytes_of(columns: Columns) -> Means | Modelled | Refused:
    """Return the mean time to the first byte of streamed answers, seconds."""
    seconds = columns.first_bytes
    streamed = ~np.isnan(seconds)
    if not streamed.any():
        return Refused("nothing was streamed")
    rows, logged = int(streamed.sum()), float(seconds[streamed].mean())
    found = _where(columns, streamed, seconds, bounds=None)
    if isinstance(found, Evaluation):
        return Means(logged, found, rows)
    features = np.stack([np.ones(len(columns)), columns.inputs], axis=1)
    predicted, told = seconds.copy(), streamed & ~np.isnan(columns.inputs)
    for is_large in (True, False):
        fitted = told & (columns.answered_large == is_large)
        wanted = told & columns.moved & (columns.is_large == is_large) & ~fitted
        if not wanted.any():
            continue
        if fitted.sum() < FEWEST_MATCHING:
            return Refused(found.why)
        model, *_ = np.linalg.lstsq(features[fitted], seconds[fitted], rcond=None)
        predicted[wanted] = features[wanted] @ model
    return Modelled(logged, float(predicted[streamed].mean()), rows, found.why)


def quality_of(columns: Columns, reward: Reward) -> Means | Refused:
    """Return the mean worth of a reply; by labels, the difference that the target makes to it."""
    if reward is Reward.LABELS:
        return _by_labels(columns)
    told = ~np.isnan(columns.rewards)
    if not told.any():
        return Refused(f"no request has one of the {reward}")
    found = _where(columns, told, columns.rewards, bounds=(0.0, 1.0))
    if isinstance(found, Refused):
        return found
    return Means(float(columns.rewards[told].mean()), found, int(told.sum()))


def _by_labels(columns: Columns) -> Means | Refused:
    """Compare both replies of the labelled requests that move; where nothing moves, nothing differs."""
    moved = columns.moved
    rows = int(moved.sum())
    difference = np.where(columns.is_large, 1.0, -1.0) * (columns.large_scores - columns.mini_scores)
    seen = moved & ~np.isnan(difference) & (columns.meant > 0.0)
    if not rows:
        return Refused("no request moves, so that quality stays what it was")
    if seen.sum() < FEWEST_MATCHING:
        options = " and ".join(
            option for tier, option in _OPTION.items() if (moved & (columns.is_large == (tier is Tier.LARGE))).any()
        )
        return Refused(
            f"of the {rows:,} requests that move, {int(seen.sum())} have a label, and {FEWEST_MATCHING} are needed;"
            f" {options} draws more"
        )
    reached = moved & (columns.meant > 0.0)
    probabilities = reached[moved].astype(np.float64)
    probabilities[seen[moved]] = 1.0 / (_weights(columns, reached, seen) * rows / reached.sum())
    found = evaluated(
        Log(
            rewards=np.nan_to_num(difference[moved]),
            seen=seen[moved],
            probabilities=probabilities,
            features=_features(columns)[moved],
            clusters=_numbered(columns.clusters[moved]),
            differs=np.ones(rows, dtype=np.bool_),
            bounds=(-1.0, 1.0),
        )
    )
    if not isinstance(found, Evaluation):
        return Refused(found.refusal)
    return Means(0.0, _scaled(found, rows / len(columns)), int(seen.sum()))


def _where(
    columns: Columns, told: Truths, outcomes: Reals, *, bounds: tuple[float, float] | None
) -> Evaluation | Refused:
    """Evaluate an outcome of the answer that was given, among the requests that have one."""
    stays = ~columns.moved[told]
    chance = np.where(np.isnan(columns.chance[told]), stays, columns.chance[told])
    found = evaluated(
        Log(
            rewards=outcomes[told],
            seen=stays,
            probabilities=chance,
            features=_features(columns)[told],
            clusters=_numbered(columns.clusters[told]),
            differs=chance <= _SELDOM,
            bounds=bounds,
        )
    )
    if isinstance(found, Evaluation):
        return found
    more = "; only an experiment tells more" if found.impossible else ""
    return Refused(f"{found.refusal}{more}")


def _by_shadows(columns: Columns, moved: Truths) -> Corrected | None:
    """Sum up what moved requests take, from shadow calls; None where those are too few."""
    reached = moved & (columns.meant > 0.0)
    seen = reached & ~np.isnan(columns.other)
    if seen.sum() < FEWEST_MATCHING or reached.sum() < (1.0 - MOST_UNREACHED) * moved.sum():
        return None
    return _corrected(columns, moved, reached, seen, columns.other, _weights(columns, reached, seen))


def _by_chance(columns: Columns, explored: Truths, known: Reals) -> Corrected | None:
    """Sum up what requests take that chance has decided, from those that it sent where the target does."""
    seen = explored & ~columns.moved
    seldom = explored & (columns.chance <= _SELDOM)
    if min(seen.sum(), (seen & seldom).sum() if seldom.any() else FEWEST_MATCHING) < FEWEST_MATCHING:
        return None
    return _corrected(columns, explored, explored, seen, known, 1.0 / columns.chance[seen])


def _corrected(
    columns: Columns, things: Truths, reached: Truths, seen: Truths, values: Reals, weights: Reals
) -> Corrected:
    features = np.nan_to_num(np.stack([np.ones(len(columns)), columns.inputs, columns.outputs, columns.scores], axis=1))
    count = int(columns.clusters.max()) + 1
    sums = np.stack([np.bincount(columns.clusters[things], column[things], count) for column in features.T], axis=1)
    return corrected(
        Clusters(sums.astype(np.float64), folds_of(count), features[things & ~reached].sum(axis=0)),
        Draws(columns.clusters[seen], features[seen], values[seen], weights),
    )


def _weights(columns: Columns, things: Truths, seen: Truths) -> Reals:
    """Return how many of the things each stands for that was seen."""
    answered = np.bincount(columns.hours[things], minlength=int(columns.hours.max()) + 1).astype(np.float64)
    return realised_weights(columns.hours[seen], columns.meant[seen], answered)


def _features(columns: Columns) -> Reals:
    scores, is_large = np.nan_to_num(columns.scores), columns.is_large.astype(np.float64)
    return np.stack([np.ones(len(columns)), scores, is_large, scores * is_large], axis=1)


def _numbered(clusters: Whole) -> Whole:
    """Return the clusters counted from 0 without gaps."""
    return np.asarray(np.unique(clusters, return_inverse=True)[1], dtype=np.int64)


def _scaled(found: Evaluation, factor: float) -> Evaluation:
    def scaled(each: Estimate) -> Estimate:
        return Estimate(each.value * factor, each.low * factor, each.high * factor, each.error * factor, each.degrees)

    return Evaluation(found.support, scaled(found.ips), scaled(found.snips), scaled(found.doubly_robust))


def _too_few(columns: Columns, moved: Truths, tier: Tier) -> str:
    drawn = int((moved & ~np.isnan(columns.other)).sum())
    never = int((moved & (columns.meant <= 0.0)).sum())
    if drawn >= FEWEST_MATCHING and never:
        return (
            f"for {never:,} of the {int(moved.sum()):,} requests that move to {tier} no shadow call could be drawn;"
            " begin the replay where they could, with --since"
        )
    return (
        f"of the {int(moved.sum()):,} requests that move to {tier}, {drawn} have a shadow call there, and"
        f" {FEWEST_MATCHING} are needed; {_OPTION[tier]} draws more"
    )
