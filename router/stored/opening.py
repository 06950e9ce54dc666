"""Path and layout -> a connection to a SQLite file that several processes may have open, in write-ahead mode.

Whoever works on it waits for other processes no longer than `BUSY_TIMEOUT` from the moment on at which the work was
handed over: what waited for its turn has waited.
"""

import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

BUSY_TIMEOUT: Final = 5.0  # seconds that another process may hold the file

_T = TypeVar("_T")
_AT_ONCE: Final = 0.1  # seconds in a queue that are not counted, so that next to no work is
_TRIES: Final = 50  # to turn on write-ahead mode, for which sqlite does not wait by itself


def opened(path: Path, *, version: int, layout: Sequence[str]) -> sqlite3.Connection:
    """Return a connection for one thread at a time; what is deleted over it is erased from the file, too.

    Only its owner may read a file that is made here.

    Args:
        version: of the layout.
        layout: the statements that make it.

    Raises:
        sqlite3.Error: the file cannot be used, or has the layout of another version.
        OSError: it cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=BUSY_TIMEOUT)
    try:
        _use_write_ahead(connection)
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA secure_delete=ON")
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            (found,) = connection.execute("PRAGMA user_version").fetchone()
            if found not in (0, version):
                raise sqlite3.DatabaseError(f"its layout is version {found}, this program reads {version}")
            if found == 0:
                for statement in (*layout, f"PRAGMA user_version={version}"):
                    connection.execute(statement)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def waits_until() -> float:
    """Return until when work that is handed over now waits for other processes, by `time.monotonic`."""
    return time.monotonic() + BUSY_TIMEOUT


def work_until(until: float, connection: sqlite3.Connection, work: Callable[..., _T], *given: object) -> _T:
    """Return what some work on a file gives, which waits for other processes at most until then.

    Args:
        until: see `waits_until`; where that is over, the work is tried all the same, and waits for nobody.

    Raises:
        sqlite3.OperationalError: the file was held for too long, or the work raises it.
    """
    left = until - time.monotonic()
    if left > BUSY_TIMEOUT - _AT_ONCE:
        return work(*given)
    connection.execute(f"PRAGMA busy_timeout={max(0, int(left * 1_000))}")
    try:
        return work(*given)
    finally:
        connection.execute(f"PRAGMA busy_timeout={int(BUSY_TIMEOUT * 1_000)}")


def _use_write_ahead(connection: sqlite3.Connection) -> None:
    for left in reversed(range(_TRIES)):
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:  # another process does the same at this moment
            if not left:
                raise
            time.sleep(BUSY_TIMEOUT / _TRIES)
        else:
            return
