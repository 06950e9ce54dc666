"""A request's id -> what the ledger holds of it, for the tenant whose it is.

Reads one request; `reading.py` reads many.
"""

from pathlib import Path
from typing import Any

from router.ledger.engines.base import NUL
from router.ledger.journal import journalled, unsettled
from router.ledger.place import LedgerPlace, LedgerUnreadable, reading
from router.ledger.rows import FIND, names_of, open_row

WITHIN = 1.0  # seconds that this may take, and that a writer may hold it up

_REQUEST = f"SELECT * FROM requests WHERE id = ({FIND})"  # noqa: S608 - a statement of ours
_ATTEMPTS = "SELECT * FROM attempts WHERE request_id = :id ORDER BY position"


def find_request(ledger: LedgerPlace | Path, identifier: str, tenant: str) -> dict[str, Any] | None:
    """Return the row of a request with its attempts in order; None where this tenant has none of that id.

    Args:
        ledger: where it is; a path is that of an SQLite file.
        identifier: ours, or the `x-request-id` that the caller sent with it.

    Raises:
        LedgerUnreadable: the ledger could not be read; the message names no path.
    """
    if NUL in identifier:
        return None
    noted = [intent for intent in journalled(ledger) if (tenant, identifier) in names_of(intent)]
    try:
        with reading(ledger, wait=WITHIN, within=WITHIN) as opened:
            row = opened.one(_REQUEST, identifier=identifier, tenant=tenant)
            latest = max(unsettled(noted, opened), key=lambda intent: intent.id, default=None)
            if latest is not None and (row is None or identifier != row["id"] < latest.id):  # as in `FIND`
                row = open_row(latest)
            if row is None:
                return None
            attempts = list(opened.rows(_ATTEMPTS, id=row["id"]))
            return {**row, "stream": bool(row["stream"]), "attempts": attempts}
    except LedgerUnreadable as error:
        raise LedgerUnreadable("the ledger cannot be read now") from error
