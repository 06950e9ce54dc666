"""A place -> the engine that writes there."""

import sqlite3

from router.base import Unavailable
from router.ledger.engines.base import Engine
from router.ledger.engines.sqlite import SqliteEngine, connected
from router.ledger.place import LedgerPlace, LedgerUnreadable, PostgresPlace, in_words, load_psycopg


def engine_of(place: LedgerPlace) -> Engine:
    """Return an engine of a ledger that has this program's layout; whoever calls closes it.

    Raises:
        Unavailable: it cannot be opened.
    """
    if isinstance(place, PostgresPlace):
        try:
            psycopg = load_psycopg()
        except LedgerUnreadable as error:
            raise unavailable(place, "opened", str(error)) from error
        from router.ledger.engines.postgres import PostgresEngine  # noqa: PLC0415 - needs psycopg

        try:
            return PostgresEngine(place)
        except psycopg.Error as error:
            raise unavailable(place, "opened", in_words(error)) from error
    try:
        return SqliteEngine(connected(place.path))
    except sqlite3.Error as error:
        raise unavailable(place, "opened", str(error)) from error


def unavailable(place: LedgerPlace, what: str, why: str) -> Unavailable:
    """Return what says that something cannot be done with a ledger."""
    return Unavailable(f"the ledger {place} cannot be {what}: {why}", code="ledger_unavailable")
