"""Ledger file -> labels with what people said of the same answers, read-only.

Knows the tables; what a label is worth for training is for `router.learning.pairs` to say.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from router.base import Label, Tier
from router.ledger.reading import LedgerUnreadable

_LABELS = """
SELECT l.*, r.score AS rating FROM labels l LEFT JOIN ratings r ON r.request_id = l.request_id
WHERE l.made >= ? ORDER BY l.request_id
"""
_NO_TABLE = "no such table"


@dataclass(frozen=True, slots=True)
class RatedLabel:
    """One label; `rating` is what a person said of the answer that the caller got, 0.0 to 1.0, None if nobody did."""

    label: Label
    rating: float | None


def iter_labels(path: Path, *, since: float = float("-inf")) -> Iterator[RatedLabel]:
    """Yield the labels made from `since` on (seconds since 1970), oldest request first.

    Raises:
        LedgerUnreadable: no such file, not a ledger, or one that no gateway of this version has opened yet.
    """
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=1.0)) as connection:
            connection.row_factory = sqlite3.Row
            yield from (_rated(dict(row)) for row in connection.execute(_LABELS, (since,)))
    except sqlite3.Error as error:
        if _NO_TABLE in str(error):
            raise LedgerUnreadable("it holds no labels yet: serve with learning.shadow above 0") from error
        raise LedgerUnreadable(f"the ledger cannot be read: {error}") from error


def _rated(row: dict[str, Any]) -> RatedLabel:
    rating, answered, request_id = row.pop("rating"), row.pop("answered"), row.pop("request_id")
    return RatedLabel(Label(id=request_id, answered=Tier(answered), **row), rating)
