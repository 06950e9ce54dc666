"""A ledger file -> one gateway's own: locked, of this program's layout, with nothing left open.

Whoever holds it may let several writers of one gateway write at the same time; those of another gateway are refused
for as long as a process lives that has the lock, be it by inheritance.
"""

import fcntl
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import IO, Final

from router.base import Outcome, Unavailable
from router.ledger.layout import prepare

CHECKPOINT_PAGES: Final = 2_000  # of 4 KiB: the write-ahead file stays near 8 MiB

_TIMED: Final = slice(4, 16)  # of an id of ours: milliseconds since 1970, 12 hexadecimal digits
_MAKER: Final = slice(16, 26)  # likewise: the process that made it


def hold(path: Path) -> IO[bytes]:
    """Return what holds the file until it is closed, here and wherever it was inherited.

    What an earlier gateway left open is closed as interrupted.

    Raises:
        Unavailable: the file is in use by another gateway, or cannot be written.
    """
    lock = _locked(path)
    try:
        with closing(connected(path)) as connection:
            prepare(connection)
            connection.execute("UPDATE requests SET outcome = ? WHERE outcome IS NULL", (Outcome.INTERRUPTED,))
    except sqlite3.Error as error:
        lock.close()
        raise Unavailable(f"the ledger {path} cannot be opened: {error}", code="ledger_unavailable") from error
    return lock


def connected(path: Path) -> sqlite3.Connection:
    """Return a connection that writes ahead; one that finds another one writing waits for five seconds."""
    for plain in (bool, type(None)):  # of a type without an adapter sqlite3 asks each value, at the price of its row
        sqlite3.register_adapter(plain, _as_it_is)
    connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def maker_of(identifier: str) -> str:
    """Return the part of a request's id that says which process made it."""
    return identifier[_MAKER]


def interrupt(path: Path, maker: str, *, since: float) -> int:
    """Close as interrupted what a process left open that has ended; returns how many requests that were.

    Args:
        maker: as `maker_of` tells it.
        since: wall time, seconds since 1970, from which on they may have begun.

    Raises:
        Unavailable: the file cannot be written.
    """
    first = f"req_{max(0, int(since * 1000)):012x}"
    begin, end = _MAKER.start + 1, _MAKER.stop - _MAKER.start
    try:
        with closing(connected(path)) as connection:
            # Looked for before anything is locked: it takes a while, and other processes go on writing.
            left = connection.execute(
                f"SELECT id FROM requests WHERE id >= ? AND outcome IS NULL AND substr(id, {begin}, {end}) = ?",  # noqa: S608 - two numbers of ours
                (first, maker),
            ).fetchall()
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany(
                    "UPDATE requests SET outcome = ? WHERE id = ? AND outcome IS NULL",
                    [(Outcome.INTERRUPTED.value, identifier) for (identifier,) in left],
                )
    except sqlite3.Error as error:
        raise Unavailable(f"the ledger {path} cannot be written: {error}", code="ledger_unavailable") from error
    return len(left)


def _locked(path: Path) -> IO[bytes]:
    lock_path = path.with_name(f"{path.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = lock_path.open("ab")
    except OSError as error:
        raise Unavailable(f"the ledger {path} cannot be written: {error}", code="ledger_unavailable") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise Unavailable(
            f"the ledger {path} is in use by another gateway: stop it or choose another path",
            code="ledger_unavailable",
        ) from error
    return lock


def _as_it_is(value: bool | None, /) -> bool | None:  # noqa: FBT001 - sqlite3 calls it, with nothing else
    return value
