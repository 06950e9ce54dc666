"""Where a ledger is -> whether a gateway could use it, in one line, and what to do where it could not.

Reads alone, and a few rows: nothing is made but what SQLite puts beside a file that it reads, and nothing is locked or
brought up to date. Never raises for what is found there.
"""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from router.ledger.place import (
    IRREGULAR,
    WAIT,
    LedgerPlace,
    LedgerUnreadable,
    PostgresPlace,
    SqlitePlace,
    in_words,
    is_irregular,
    load_psycopg,
    revision_in,
)
from router.ledger.versions import REVISION, VERSION, WHAT_TO_DO, fault_of

if TYPE_CHECKING:
    import psycopg

TESTED: Final = 15
"""Major version of PostgreSQL that the tests run on; nothing is known of older ones."""

_UPGRADE: Final = "run ./tandem ledger migrate, or start the gateway, which does the same"
_OTHER_FILE: Final = "or set ledger.path to another file"
_ABOUT: Final = """
SELECT current_setting('server_version_num')::int / 10000 AS major, current_setting('server_version') AS version,
    pg_is_in_recovery() OR current_setting('default_transaction_read_only')::bool AS is_read_only,
    current_user AS name, coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS makes_tables
"""
_WRITES: Final = """
SELECT has_table_privilege('requests', 'INSERT') AND has_table_privilege('requests', 'UPDATE')
    AND has_table_privilege('requests', 'DELETE')
"""


@dataclass(frozen=True, slots=True)
class Tried:
    """What was found.

    Attributes:
        found: in one line that names neither the address nor a password.
        advice: what to do; "" where all is in order.
        is_usable: a gateway can start with it.
    """

    found: str
    advice: str = ""
    is_usable: bool = True


def tried(place: LedgerPlace) -> Tried:
    """Return how a ledger answers, which version it is of, and whose layout it has."""
    return _file(place.path) if isinstance(place, SqlitePlace) else _database(place)


def _file(path: Path) -> Tried:
    try:
        if is_irregular(path):
            return Tried(IRREGULAR, "set ledger.path to another file", is_usable=False)
        if not path.exists() or not path.stat().st_size:
            return Tried("not there: it is made when a gateway starts")
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=WAIT, isolation_level=None)) as connection:
            (number,) = connection.execute("PRAGMA user_version").fetchone()
            (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            return _of_file(number, revision_in(connection), tables=tables)
    except (sqlite3.Error, OSError) as error:
        is_held = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY
        advice = "end the process that holds it" if is_held else "put a copy of it in its place"
        return Tried(f"cannot be read: {in_words(error)}", f"{advice}, {_OTHER_FILE}", is_usable=False)


def _of_file(number: int, revision: str | None, *, tables: int) -> Tried:
    """Return what a file's marks say.

    Args:
        number: SQLite's, 0 where nothing was laid out.
        revision: alembic's.
    """
    if fault := fault_of(revision, number):
        found, _, advice = fault.partition("; ")
        return Tried(found, f"{advice}, {_OTHER_FILE}", is_usable=False)
    if not number and tables:
        return Tried("it holds tables of another program", "set ledger.path to another file", is_usable=False)
    if not number:
        return Tried("empty: its tables are made when a gateway starts")
    if number < VERSION:
        return Tried(f"layout {number:04d}, and this program's is {REVISION}", _UPGRADE)
    return Tried(f"layout {REVISION}")


def _database(place: PostgresPlace) -> Tried:
    try:
        psycopg = load_psycopg()
    except LedgerUnreadable as error:
        return Tried(str(error), "install it, or set ledger.use to sqlite", is_usable=False)
    from router.ledger.engines.postgres import connected_to, revision_of  # noqa: PLC0415 - needs psycopg

    try:
        with connected_to(place, name="check") as connection:
            return _seen(connection, revision_of(connection))
    except psycopg.Error as error:
        return Tried(
            f"cannot be reached: {in_words(error)}",
            "start the server, or set ledger.url to a database of its own that this user may open",
            is_usable=False,
        )


def _seen(connection: "psycopg.Connection[Any]", revision: str | None) -> Tried:
    row = connection.execute(_ABOUT).fetchone()
    major, version, is_read_only, name, makes_tables = row or (0, "unknown", False, "", False)
    found = f"PostgreSQL {str(version).partition(' ')[0]}"
    if is_read_only:
        return Tried(f"{found} takes no records: it only reads", "name the primary in ledger.url", is_usable=False)
    if revision is None:
        if not makes_tables:
            said = f"{found}, empty, and {name} may not make tables in it"
            return Tried(said, f'run GRANT CREATE ON SCHEMA public TO "{name}"', is_usable=False)
        return _of_version(major, f"{found}, empty: its tables are made when a gateway starts")
    fault = _of_layout(connection, f"{found}, layout {revision}", revision, name)
    return fault or _of_version(major, f"{found}, layout {revision}")


def _of_layout(connection: "psycopg.Connection[Any]", found: str, revision: str, name: str) -> Tried | None:
    """Return what is not as this program has it; None where nothing is."""
    if fault_of(revision):
        said = f"{found}, and this program reads {REVISION}"
        return Tried(said, f"{WHAT_TO_DO}, or set ledger.url to another database", is_usable=False)
    if revision < REVISION:
        return Tried(f"{found}, and this program's is {REVISION}", _UPGRADE)
    writes = connection.execute(_WRITES).fetchone()
    if writes is None or not writes[0]:
        advice = f'run GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO "{name}"'
        return Tried(f"{found}, and {name} may not write into it", advice, is_usable=False)
    return None


def _of_version(major: int, found: str) -> Tried:
    if major < TESTED:
        return Tried(found, f"nothing is known of versions before {TESTED}; take that one or a later one")
    return Tried(found)
