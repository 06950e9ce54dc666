"""A ledger -> one gateway's own: locked, of this program's layout, with nothing left open.

Whoever holds it may let several writers of one gateway write at the same time; those of another gateway are refused
for as long as a process lives that has the lock, be it by inheritance: of a file's lock, or of the connection to a
server that has given one. Where the server has forgotten, since it was started anew, writers that are there still keep
another gateway out; one that comes first leaves its mark, and none of those before it writes any more.
"""

import fcntl
import sqlite3
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self
from uuid import uuid4

from router.base import Unavailable
from router.ledger.engines.opening import engine_of, unavailable
from router.ledger.engines.sqlite import SqliteEngine, connected
from router.ledger.ids import first_id
from router.ledger.journal import left_behind
from router.ledger.layout import prepare
from router.ledger.place import (
    LedgerPlace,
    LedgerUnreadable,
    PostgresPlace,
    SqlitePlace,
    as_place,
    in_words,
    load_psycopg,
)
from router.ledger.posting import Poster

GIVEN_BACK_WITHIN: Final = 1_000  # milliseconds that a server takes to notice that a connection was closed

_OPEN: Final = "SELECT id FROM requests WHERE outcome IS NULL"
# Looked for before anything is locked: it takes a while, and other processes go on writing.
_LEFT: Final = "SELECT id FROM requests WHERE id >= :first AND outcome IS NULL AND substr(id, 17, 10) = :maker"


class Held(Protocol):
    """What holds a ledger until it is closed, here and wherever its descriptor was inherited."""

    def fileno(self) -> int:
        """Return the descriptor that keeps it held."""
        ...

    def close(self) -> None:
        """Give the ledger back."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None: ...


def hold(place: LedgerPlace | Path) -> Held:
    """Return what holds a ledger; one that is not there yet is made, an older one brought up to date.

    What an earlier gateway left open is closed as interrupted.

    Raises:
        Unavailable: the ledger is in use by another gateway, is of a version that is not known, or cannot be written.
    """
    place = as_place(place)
    if isinstance(place, PostgresPlace):
        return _hold_database(place)
    with ExitStack() as failed:
        lock = _lock(place.path)
        failed.callback(lock.close)
        try:
            with closing(connected(place.path)) as connection:
                prepare(connection)
                _recover(place.path, Poster(SqliteEngine(connection)))
                Poster(SqliteEngine(connection)).interrupt(_OPEN, {})
        except (sqlite3.Error, OSError) as error:
            raise unavailable(place, "opened", str(error)) from error
        failed.pop_all()
        return lock


def interrupt(place: LedgerPlace | Path, maker: str, *, since: float) -> int:
    """Close as interrupted what a process left open that has ended; returns how many requests that were.

    Args:
        maker: as `router.ledger.ids.maker_of` tells it.
        since: wall time, seconds since 1970, from which on they may have begun.

    Raises:
        Unavailable: the ledger cannot be written.
    """
    place = as_place(place)
    with closing(engine_of(place)) as engine:
        try:
            if isinstance(place, SqlitePlace):
                _recover(place.path, Poster(engine))
            return Poster(engine).interrupt(_LEFT, {"first": first_id(since), "maker": maker})
        except engine.errors as error:
            raise unavailable(place, "written", in_words(error)) from error
        except OSError as error:
            raise unavailable(place, "written", str(error)) from error


def _recover(path: Path, poster: Poster) -> None:
    """Make rows of what processes had written down that have ended."""
    with closing(left_behind(path)) as files:
        for left in files:
            left.unread += poster.recover(left.intents)


def _lock(path: Path) -> Held:
    lock_path = path.with_name(f"{path.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = lock_path.open("ab")
    except OSError as error:
        raise unavailable(as_place(path), "written", str(error)) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise _in_use(as_place(path), "ledger.path to another file") from error
    return lock


def _hold_database(place: PostgresPlace) -> Held:
    try:
        psycopg = load_psycopg()
    except LedgerUnreadable as error:
        raise unavailable(place, "opened", str(error)) from error
    from router.ledger.engines.postgres import GATEWAY, HOLDER, MARK, WRITERS, connected_to  # noqa: PLC0415 - needs psycopg
    from router.ledger.layout import prepare_database  # noqa: PLC0415 - likewise

    with ExitStack() as failed:
        try:
            held = failed.enter_context(connected_to(place, name="gateway"))
            held.execute(f"SET lock_timeout = {GIVEN_BACK_WITHIN}")
            for lock in (GATEWAY, WRITERS):
                held.execute("SELECT pg_advisory_lock(%s, %s)", lock)
            prepare_database(place)
            held.execute("SET synchronous_commit = on")  # whatever the server is told: a mark must not be forgotten
            held.execute(MARK, (HOLDER, uuid4().hex))
            held.execute("SELECT pg_advisory_unlock(%s, %s)", WRITERS)
            with closing(engine_of(place)) as engine:
                Poster(engine).interrupt(_OPEN, {})
        except psycopg.errors.LockNotAvailable as error:
            raise _in_use(place, "ledger.url to another database") from error
        except psycopg.Error as error:
            raise unavailable(place, "opened", in_words(error)) from error
        failed.pop_all()
        kept: Held = held
        return kept


def _in_use(place: LedgerPlace, change: str) -> Unavailable:
    return Unavailable(
        f"the ledger {place} is in use by another gateway: stop it, or set {change} (--config)",
        code="ledger_unavailable",
    )
