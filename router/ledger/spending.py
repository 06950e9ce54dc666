"""Ledger -> what tenants have spent, by the process that answered them.

The ledger is the truth about money: what a request cost or, where nobody knows that, all that was reserved for it. A
request that is open counts with its reservation, too, so that a reading is never too low; of PostgreSQL, but for what
was handed over within the last moments.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from router.ledger.cubes import DAY
from router.ledger.ids import first_id, maker_of
from router.ledger.journal import journalled, unsettled
from router.ledger.place import LedgerPlace, reading
from router.ledger.retention import RAW

# An id begins with the time at which it was made, which is a little later than the request began; ids are the table's
# order, so that everything before is not even looked at.
_SLACK: Final = 3_600.0  # seconds, in case the wall clock was set back meanwhile
_SPENT: Final = """
SELECT tenant, substr(id, 17, 10) AS maker, sum(coalesce(cost, reserved)) AS spent FROM requests
WHERE id >= :first AND started >= :since GROUP BY tenant, substr(id, 17, 10)
"""
# Rows are erased by whole days, and all windows that are longer than a day begin with one.
_ERASED: Final = f"""
SELECT tenant, sum(cost + held) AS spent FROM totals
WHERE width = {DAY} AND bucket >= :first AND bucket < :last GROUP BY tenant
"""  # noqa: S608 - a number of ours
_MARK: Final = "SELECT value FROM marks WHERE name = :name"
_WAIT: Final = 5.0  # seconds, for a writer that holds the file

UNKNOWN: Final = ""
"""The maker of requests whose rows have been erased."""


def read_spending(ledger: LedgerPlace | Path, since: Mapping[str, float]) -> dict[str, dict[str, int]]:
    """Return nano-USD by tenant and by the maker of its requests' ids; see `router.ledger.ids.maker_of`.

    Args:
        since: whose, and from when on, seconds since 1970.

    Raises:
        LedgerUnreadable: no such ledger, or not one of this version.
    """
    found = {tenant: dict[str, int]() for tenant in since}
    reserved = [intent for intent in journalled(ledger) if intent.reserved]
    with reading(ledger, wait=_WAIT) as opened:
        mark = opened.one(_MARK, name=RAW)
        raw_from = 0.0 if mark is None else float(mark["value"])
        for begins in set(since.values()):
            rows_from = max(begins, raw_from)
            spent = [
                *opened.rows(_SPENT, first=first_id(rows_from - _SLACK), since=rows_from),
                *opened.rows(_ERASED, first=int(begins // DAY), last=int(rows_from // DAY)),
            ]
            for row in spent:
                if since.get(row["tenant"]) == begins and row["spent"]:
                    found[row["tenant"]][row.get("maker", UNKNOWN)] = row["spent"]
        for intent in unsettled(reserved, opened):
            if intent.started >= since.get(intent.tenant, float("inf")):
                makers, maker = found[intent.tenant], maker_of(intent.id)
                makers[maker] = makers.get(maker, 0) + intent.reserved
    return found
