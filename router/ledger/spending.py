"""Ledger file -> what tenants have spent, by the process that answered them.

The ledger is the truth about money: what a request cost or, where nobody knows that, all that was reserved for it. A
request that is open counts with its reservation, too, so that a reading is never too low but for what was handed over
within the last moments.
"""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

from router.ledger.holding import maker_of
from router.ledger.reading import LedgerUnreadable

# An id begins with the time at which it was made, which is a little later than the request began; ids are the table's
# order, so that everything before is not even looked at.
_SLACK: Final = 3_600.0  # seconds, in case the wall clock was set back meanwhile
_SPENT: Final = """
SELECT tenant, substr(id, 1, 26), sum(coalesce(cost, reserved)) FROM requests
WHERE id >= ? AND started >= ? GROUP BY tenant, substr(id, 17, 10)
"""
_WAIT: Final = 5.0  # seconds, for a writer that holds the file


def read_spending(path: Path, since: Mapping[str, float]) -> dict[str, dict[str, int]]:
    """Return nano-USD by tenant and by the maker of its requests' ids; see `router.ledger.holding.maker_of`.

    Args:
        since: whose, and from when on, seconds since 1970.

    Raises:
        LedgerUnreadable: no such file, or not a ledger of this version.
    """
    found = {tenant: dict[str, int]() for tenant in since}
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_WAIT)) as connection:
            for begins in set(since.values()):
                first = f"req_{max(0, int((begins - _SLACK) * 1000)):012x}"
                for tenant, identifier, spent in connection.execute(_SPENT, (first, begins)):
                    if since.get(tenant) == begins and spent:
                        found[tenant][maker_of(identifier)] = spent
    except sqlite3.Error as error:
        raise LedgerUnreadable(f"the ledger cannot be read: {error}") from error
    return found
