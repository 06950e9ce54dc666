"""Ledger -> labels with what people said of the same answers, read-only.

Knows the tables; what a label is worth for training is for `router.learning.pairs` to say.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from router.base import Label, Tier
from router.ledger.place import LedgerPlace, reading

_LABELS = """
SELECT l.*, r.score AS rating FROM labels l LEFT JOIN ratings r ON r.request_id = l.request_id
WHERE l.made >= :since ORDER BY l.request_id
"""


@dataclass(frozen=True, slots=True)
class RatedLabel:
    """One label; `rating` is what a person said of the answer that the caller got, 0.0 to 1.0, None if nobody did."""

    label: Label
    rating: float | None


def iter_labels(ledger: LedgerPlace | Path, *, since: float = float("-inf")) -> Iterator[RatedLabel]:
    """Yield the labels made from `since` on (seconds since 1970), oldest request first.

    Raises:
        LedgerUnreadable: no such ledger, not a ledger, or one that no gateway of this version has opened yet.
    """
    with reading(ledger) as opened:
        yield from map(_rated, opened.rows(_LABELS, since=since))


def _rated(row: dict[str, Any]) -> RatedLabel:
    rating, answered, request_id = row.pop("rating"), row.pop("answered"), row.pop("request_id")
    return RatedLabel(Label(id=request_id, answered=Tier(answered), **row), rating)
