"""Ledger -> what replies looked like, and what people said of them, in a span of time.

What the cubes count is of all replies of the span. What they cannot tell, since it is no count of requests, is looked
up among the latest rows alone, so that it takes the same time however many there are; whoever shows the figures says of
how many they are.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from router.ledger.ids import first_id
from router.ledger.place import Reading

LOOKED_AT: Final = 5_000
"""Replies, and ratings, that are looked at: enough that a share is known to a point and a half."""

_LATEST: Final = """
SELECT count(*) AS replies, coalesce(sum(CASE WHEN checks > 0 THEN 1 ELSE 0 END), 0) AS checked,
    coalesce(sum(CASE WHEN failed_checks > 0 THEN 1 ELSE 0 END), 0) AS failed,
    count(agreement) AS compared, coalesce(sum(agreement), 0) AS agreement,
    coalesce(sum(agreement * agreement), 0) AS agreement_sq
FROM (SELECT * FROM assessments WHERE request_id >= :first AND request_id < :after
      ORDER BY request_id DESC LIMIT :most) AS latest
"""
_RATED: Final = """
SELECT count(*) AS ratings, coalesce(sum(score), 0) AS score, coalesce(sum(score * score), 0) AS score_sq
FROM (SELECT score FROM ratings WHERE request_id >= :first AND request_id < :after
      ORDER BY request_id DESC LIMIT :most) AS latest
"""


@dataclass(frozen=True, slots=True)
class Assessed:
    """Counts over the replies of a window that were looked at when they came.

    Attributes:
        replies: how many those are, of the whole window.
        empty: of them, without text and without a call of a tool.
        repetitive: of them, saying the same again and again; an empty one does not.
        truncated, refused: of them, cut by a limit of length; declined.
        latest: the newest of them, which all below is about; never above `LOOKED_AT`.
        checked: to which something that can be verified applied.
        failed: of `checked`, those of which any of it failed.
        compared: with Large's reply to the same request.
        agreement, agreement_sq: sums over `compared`, of 0.0 to 1.0 each, and of its square.
        ratings: how many people gave; never above `LOOKED_AT`.
        rating, rating_sq: sums over them, likewise.
    """

    replies: int = 0
    empty: int = 0
    repetitive: int = 0
    truncated: int = 0
    refused: int = 0
    latest: int = 0
    checked: int = 0
    failed: int = 0
    compared: int = 0
    agreement: float = 0.0
    agreement_sq: float = 0.0
    ratings: int = 0
    rating: float = 0.0
    rating_sq: float = 0.0


NOTHING_ASSESSED: Final = Assessed()


def read_assessed(
    ledger: Reading, sums: Iterable[Mapping[str, Any]], *, start: float, end: float, most: int = LOOKED_AT
) -> Assessed:
    """Return what is known of the replies to requests that came from `start` up to `end`.

    Ids begin with the time at which they were made, so that the tables' own order finds the latest.

    Args:
        sums: rows of totals that add up to the same span.
    """
    counted = dict.fromkeys(("assessed", "empty", "repetitive", "truncated", "refused"), 0)
    for row in sums:
        for name in counted:
            counted[name] += int(row[name])
    span = {"first": first_id(start), "after": first_id(end), "most": most}
    seen, rated = ledger.one(_LATEST, **span) or {}, ledger.one(_RATED, **span) or {}
    return Assessed(
        replies=counted.pop("assessed"),
        **counted,
        latest=int(seen["replies"]),
        checked=int(seen["checked"]),
        failed=int(seen["failed"]),
        compared=int(seen["compared"]),
        agreement=float(seen["agreement"]),
        agreement_sq=float(seen["agreement_sq"]),
        ratings=int(rated["ratings"]),
        rating=float(rated["score"]),
        rating_sq=float(rated["score_sq"]),
    )
