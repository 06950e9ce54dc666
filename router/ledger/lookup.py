"""A request's id -> what the ledger holds of it, for the tenant whose it is.

Reads one request; `reading.py` reads many.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from router.ledger.reading import LedgerUnreadable

WITHIN = 1.0  # seconds that a writer may hold this up

# Ours, or else the latest under that id of the caller's own.
_FIND = """
SELECT * FROM requests WHERE tenant = ?2 AND id = coalesce(
    (SELECT id FROM requests WHERE id = ?1 AND tenant = ?2),
    (SELECT id FROM requests WHERE caller_id = ?1 AND caller_id <> '' AND tenant = ?2 ORDER BY id DESC LIMIT 1))
"""


def find_request(path: Path, identifier: str, tenant: str) -> dict[str, Any] | None:
    """Return the row of a request with its attempts in order; None where this tenant has none of that id.

    Args:
        identifier: ours, or the `x-request-id` that the caller sent with it.

    Raises:
        LedgerUnreadable: the ledger could not be read; the message names no path.
    """
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=WITHIN)) as connection:
            connection.row_factory = sqlite3.Row
            connection.execute("BEGIN")
            row = connection.execute(_FIND, (identifier, tenant)).fetchone()
            if row is None:
                return None
            attempts = connection.execute("SELECT * FROM attempts WHERE request_id = ? ORDER BY position", (row["id"],))
            return {**row, "stream": bool(row["stream"]), "attempts": [dict(each) for each in attempts]}
    except sqlite3.Error as error:
        raise LedgerUnreadable("the ledger cannot be read now") from error
