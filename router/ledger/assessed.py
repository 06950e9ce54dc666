"""Ledger -> what replies looked like, and what people said of them, since a moment.

Looks at the latest of them alone, so that it takes the same time however many there are; whoever shows the figures
says of how many they are.
"""

from dataclasses import dataclass
from typing import Final

from router.ledger.place import Reading

LOOKED_AT: Final = 5_000
"""Replies, and ratings, that are looked at: enough that a share is known to a point and a half."""

_ASSESSED: Final = """
SELECT count(*) AS replies, coalesce(sum(is_empty), 0) AS is_empty,
    coalesce(sum(CASE WHEN is_empty = 0 THEN is_repetitive ELSE 0 END), 0) AS is_repetitive,
    coalesce(sum(is_truncated), 0) AS is_truncated, coalesce(sum(is_refusal), 0) AS is_refusal,
    coalesce(sum(CASE WHEN checks > 0 THEN 1 ELSE 0 END), 0) AS checked,
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
    """Counts over the latest replies of a window; every share is of `replies` where nothing else is said.

    Attributes:
        replies: how many were looked at; never above `LOOKED_AT`.
        empty: without text and without a call of a tool.
        repetitive: of those that are not empty.
        truncated, refused: cut by a limit of length; declined.
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
    checked: int = 0
    failed: int = 0
    compared: int = 0
    agreement: float = 0.0
    agreement_sq: float = 0.0
    ratings: int = 0
    rating: float = 0.0
    rating_sq: float = 0.0


NOTHING_ASSESSED: Final = Assessed()


def read_assessed(ledger: Reading, *, start: float, end: float, most: int = LOOKED_AT) -> Assessed:
    """Return what is known of the latest replies to requests that came from `start` up to `end`.

    Ids begin with the time at which they were made, so that the tables' own order finds them.
    """
    span = {"first": first_id(start), "after": first_id(end), "most": most}
    seen, rated = ledger.one(_ASSESSED, **span) or {}, ledger.one(_RATED, **span) or {}
    return Assessed(
        replies=int(seen["replies"]),
        empty=int(seen["is_empty"]),
        repetitive=int(seen["is_repetitive"]),
        truncated=int(seen["is_truncated"]),
        refused=int(seen["is_refusal"]),
        checked=int(seen["checked"]),
        failed=int(seen["failed"]),
        compared=int(seen["compared"]),
        agreement=float(seen["agreement"]),
        agreement_sq=float(seen["agreement_sq"]),
        ratings=int(rated["ratings"]),
        rating=float(rated["score"]),
        rating_sq=float(rated["score_sq"]),
    )


def first_id(moment: float) -> str:
    """Return the least id that a request of that moment can have, seconds since 1970."""
    return f"req_{max(0, int(moment * 1000)):012x}"
