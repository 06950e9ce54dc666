"""What replies looked like -> shares with their intervals.

Pure arithmetic. Every share says of how many it is and how far it can be trusted; one of nothing is None. People who
rate are not those who do not: what they say is told with how many of all answers they rated, and is no estimate of all.
"""

from dataclasses import dataclass
from math import sqrt
from typing import Final

from router.ledger.assessed import LOOKED_AT, Assessed
from router.statistics.proportions import wilson

FEWEST: Final = 30
"""Values whose mean is told with an interval; of fewer, a normal one says too little."""

_Z: Final = 1.959964  # 97.5 % of a normal distribution


@dataclass(frozen=True, slots=True)
class Share:
    """A share of `of` things, or a mean over them, with its 95 % interval; None where none can be given."""

    value: float
    of: int
    interval: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Quality:
    """Replies of a window that were looked at.

    Attributes:
        replies: how many those are.
        latest: the newest of them, which checks and agreement are told of; fewer than `replies` where those are many.
        repetitive: of the replies that are not empty.
        empty, truncated, refused: of all.
        failed_checks: of the latest, those to which something that can be verified applied.
        agreement: of Mini's replies with Large's to the same requests, mean of 0.0 to 1.0, over sampled requests among
            the latest.
        rating: mean of what people gave, 0.0 to 1.0.
        rated: share of the window's answers that were rated; None where there was no answer, or where there may be more
            ratings than were looked at.
    """

    replies: int
    latest: int
    repetitive: Share | None
    empty: Share | None
    truncated: Share | None
    refused: Share | None
    failed_checks: Share | None
    agreement: Share | None
    rating: Share | None
    rated: float | None


def quality(seen: Assessed, *, answered: int) -> Quality:
    """Return the shares; `answered` is how many answers the window had."""
    texts = seen.replies - seen.empty
    return Quality(
        replies=seen.replies,
        latest=seen.latest,
        repetitive=_share(min(seen.repetitive, texts), texts),
        empty=_share(seen.empty, seen.replies),
        truncated=_share(seen.truncated, seen.replies),
        refused=_share(seen.refused, seen.replies),
        failed_checks=_share(seen.failed, seen.checked),
        agreement=_mean(seen.agreement, seen.agreement_sq, seen.compared),
        rating=_mean(seen.rating, seen.rating_sq, seen.ratings),
        rated=min(1.0, seen.ratings / answered) if answered and seen.ratings < LOOKED_AT else None,
    )


def _share(found: int, of: int) -> Share | None:
    if not of:
        return None
    bounds = wilson(found, of)
    return Share(found / of, of, (bounds[0], bounds[1]))


def _mean(total: float, squares: float, of: int) -> Share | None:
    if not of:
        return None
    mean = total / of
    if squares == total:  # each of them is 0 or 1: a share
        return _share(round(total), of)
    if of < FEWEST:
        return Share(mean, of, None)
    reach = _Z * sqrt(max(0.0, squares / of - mean * mean) / (of - 1))
    return Share(mean, of, (max(0.0, mean - reach), min(1.0, mean + reach)))
