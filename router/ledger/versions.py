"""A ledger's own marks of its layout -> whether this program knows it, and what to do where it does not.

Two marks: alembic's, in a table of its own on either engine, and in an SQLite file a number as well. Knows no table.
"""

from collections.abc import Iterable
from typing import Final

VERSION: Final = 8
REVISION: Final = "0008"  # the same, as alembic has it
FIRST: Final = "0001"

WHAT_TO_DO: Final = "use the newer program that wrote it, or restore the copy that was made before"

MARK: Final = "SELECT version_num AS version FROM alembic_version"

_KNOWN: Final = frozenset(f"{number:04d}" for number in range(1, VERSION + 1))


def fault_of(revision: str | None, number: int | None = None) -> str:
    """Return why a ledger is not to be touched; "" where its layout is this program's, or one that leads up to it.

    Args:
        revision: alembic's; None where it has left none, as in ledgers of the first versions.
        number: of an SQLite file, 0 where nothing was laid out; None on another engine.
    """
    if number is not None and not 0 <= number <= VERSION:
        return _unknown(str(number))
    if revision is not None and revision not in _KNOWN:
        return _unknown(revision[:40] or "''")
    if number == VERSION and revision != REVISION:
        marks = f"marked as {number} and as {revision or 'none'}"
        return f"its layout is {marks}, which is not what this program has written; restore the copy from before"
    return ""


def revision_of_rows(rows: Iterable[tuple[object, ...]]) -> str | None:
    """Return the revision that alembic's table holds; None where it is empty, all where it holds several."""
    found = [str(row[0]) for row in rows]
    return ", ".join(found) if found else None


def _unknown(version: str) -> str:
    return (
        f"its layout is of version {version}, which this program does not know (it knows {FIRST} to {REVISION});"
        f" {WHAT_TO_DO}"
    )
