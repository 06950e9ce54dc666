"""Requests with and without a kept reply -> what another cache would have answered and saved, with its doubt.

Of the log itself hits and money are counted. The intervals are for traffic like it, of other users who ask what many
ask as often as these did: requests of one user hang together, users do not. What they do not tell is that questions
come out of fashion; so it is said how much of the hits are those of the few that were asked most.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from router.replaying.columns import Cached, Reals, Truths, Whole
from router.replaying.worth import Refused
from router.statistics.clusters import of_rows
from router.statistics.estimates import Estimate
from router.statistics.off_policy import FEWEST_CLUSTERS, FEWEST_MATCHING

MOST_ASKED: Final = 10
"""Questions, whose part of the hits is told."""


@dataclass(frozen=True, slots=True)
class Hits:
    """What another cache would have answered.

    Attributes:
        requests: that were answered.
        keyed: of them, those that could get a kept reply.
        logged, hits: that got one, and would have got one.
        of_most_asked: share of the hits that are of the `MOST_ASKED` reply keys with most of them.
        share: of all that were answered, that would have got one.
        saved: share of what the log cost, that would have been saved; below 0 where more would have been spent.
        logged_first_byte, first_byte: mean of streamed answers, seconds; the former None where nothing was streamed.
        again, differing: requests that the log's own cache answers when it is replayed, and those that it treats
            otherwise than it did.
    """

    requests: int
    keyed: int
    logged: int
    hits: int
    of_most_asked: float
    share: Estimate | Refused
    saved: Estimate | Refused
    logged_first_byte: float | None
    first_byte: Estimate | Refused
    again: int
    differing: int

    def as_json(self) -> dict[str, object]:
        """Return what `--json` prints."""
        return {
            "answered": self.requests,
            "keyed": self.keyed,
            "hits": {"logged": self.logged, "target": self.hits},
            "of_most_asked": self.of_most_asked,
            "share": self.share.as_json(),
            "saved": self.saved.as_json(),
            "first_byte": {"logged": self.logged_first_byte, "target": self.first_byte.as_json()},
            "own_cache": {"replayed": self.again, "differing": self.differing},
            "clusters": "users",
        }

    def words(self) -> list[str]:
        """Return it in lines to be read."""
        first = "" if self.logged_first_byte is None else f"; was {self.logged_first_byte:.3f} s"
        return [
            f"{self.hits:,} of {self.requests:,} answers from the cache, were {self.logged:,}; {self.keyed:,} could be",
            f"{self.of_most_asked:.1%} of the hits are of the {MOST_ASKED} questions that were asked most",
            f"share of hits: {_words(self.share, '.1%')}",
            f"saved by the change: {_words(self.saved, '+.1%')}",
            f"first byte of all answers, s: {_words(self.first_byte, '.3f')}{first}",
        ]


def hits_of(cached: Cached) -> Hits:
    """Return what the outcomes come to."""
    outcomes = cached.outcomes
    columns = (np.array(column, dtype=np.float64) for column in zip(*outcomes, strict=True))
    users, keys, was_hit, is_hit, was, spent, was_first, first = columns
    clusters = users.astype(np.int64)
    by_key = np.sort(np.bincount(keys.astype(np.int64), is_hit))
    thin = _thin(np.maximum(was_hit, is_hit), clusters)
    told, timed = ~np.isnan(was_first), ~np.isnan(first)
    return Hits(
        requests=len(outcomes),
        keyed=cached.keyed,
        logged=int(was_hit.sum()),
        hits=int(is_hit.sum()),
        of_most_asked=float(by_key[-MOST_ASKED:].sum() / max(by_key.sum(), 1.0)),
        share=thin or _mean(is_hit, np.ones(len(outcomes), dtype=np.bool_), clusters),
        saved=thin or _saved(was, spent, clusters),
        logged_first_byte=float(was_first[told].mean()) if told.any() else None,
        first_byte=Refused("nothing was streamed") if not timed.any() else thin or _mean(first, timed, clusters),
        again=cached.again,
        differing=cached.differing,
    )


def _thin(changed: Reals, clusters: Whole) -> Refused | None:
    """Return why hits are too few for an interval, or of too few users; None where there are enough."""
    hits = int(changed.sum())
    if hits < FEWEST_MATCHING:
        return Refused(f"{hits} hits, and {FEWEST_MATCHING} are needed for an interval")
    counts = np.bincount(clusters, changed)
    effective = hits**2 / float(counts @ counts)
    if effective < FEWEST_CLUSTERS:
        return Refused(f"the hits are of as few users as {effective:.1f}, and {FEWEST_CLUSTERS:g} are needed")
    return None


def _mean(values: Reals, told: Truths, clusters: Whole) -> Estimate:
    value, shares = float(values[told].mean()), told / told.sum()
    return of_rows(value, shares * np.where(told, values - value, 0.0), shares, clusters)


def _saved(was: Reals, spent: Reals, clusters: Whole) -> Estimate | Refused:
    priced = ~np.isnan(was + spent)
    whole = float(was[priced].sum())
    if whole <= 0.0:
        return Refused("the log cost nothing")
    ratio, shares = float(spent[priced].sum()) / whole, np.where(priced, was, 0.0) / whole
    return of_rows(1.0 - ratio, np.where(priced, ratio * was - spent, 0.0) / whole, shares, clusters)


def _words(found: Estimate | Refused, form: str) -> str:
    if isinstance(found, Refused):
        return f"no estimate: {found.why}"
    return f"{found.value:{form}}, 95 % interval {found.low:{form}} to {found.high:{form}}"
