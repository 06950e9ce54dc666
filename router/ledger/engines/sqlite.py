"""Rows -> one SQLite file, in write-ahead mode.

A commit survives the death of the process, not the loss of power. Several processes of one machine may write. A file
that was removed, replaced, cut short or damaged takes nothing more, so that nothing is written where it would be lost.
"""

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final

from router.ledger.engines.base import Row, Shape

CHECKPOINT_PAGES: Final = 2_000  # of 4 KiB: the write-ahead file stays near 8 MiB
BUSY_TIMEOUT: Final = 5_000  # of a lock, in milliseconds, as sqlite3 sets it

# Of a file, as "Database File Format" of SQLite has it, sections 1.3.2 and 1.3.7: bytes of a page, and number of pages.
_HEADER: Final = 100  # bytes
_PAGE_SIZE: Final = slice(16, 18)
_PAGES: Final = slice(28, 32)
_LARGEST_PAGE: Final = 65_536  # bytes; written as 1

_OTHER_FILE: Final = "stop the gateway, put a copy of the file in its place, and start it anew"
_FAULTS: Final = {
    sqlite3.SQLITE_CORRUPT: ("it is damaged", _OTHER_FILE),
    sqlite3.SQLITE_NOTADB: ("it is no database any more", _OTHER_FILE),
    sqlite3.SQLITE_IOERR: ("the disk cannot read or write it", "see what the system's log says of the disk"),
}
_PRIMARY: Final = 0xFF  # of an error's code, which says more in its higher bits


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


class Damaged(sqlite3.OperationalError):
    """The file, or what it lies on, is to blame, and no row; the message says what to do."""


class SqliteEngine:
    """A connection to a ledger's file; see `router.ledger.engines.base.Engine`.

    Attributes:
        connection: what is done with it by hand is outside of all transactions.
    """

    errors: tuple[type[Exception], ...] = (sqlite3.Error, ValueError, OverflowError)

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Take a connection to a file that has this program's layout; it is closed with the engine."""
        self.connection = connection
        self._path = str(connection.execute("PRAGMA database_list").fetchone()[2])
        found = _file_at(self._path)
        self._file, self._size = found and found[:2], found[2] if found else 0
        self._was_cut = ""

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold the file from the first statement on, so that what is read inside is still so when it is written.

        What is written into a file that was removed or replaced would be gone without a word, so it is refused until
        the file is back; into one that was cut short it is refused for good, since what is in memory is of another.
        """
        self._look()
        try:
            with self.connection:
                self.connection.execute("BEGIN IMMEDIATE")
                yield
        except sqlite3.DatabaseError as error:
            what, advice = _FAULTS.get((getattr(error, "sqlite_errorcode", None) or 0) & _PRIMARY, ("", ""))
            if not what:
                raise
            raise Damaged(f"{what}: {error}; {advice}") from error

    def _look(self) -> None:
        """Refuse a file that is not the one that was opened, or not all of it."""
        found = _file_at(self._path)
        if found is None or found[:2] != self._file:
            raise sqlite3.OperationalError("the file was removed or replaced; put it back, or start the gateway anew")
        size = found[2]
        try:
            is_cut = size < self._size and not self._was_cut and size < _told_size(self._path)
        except OSError as error:  # of which the thread that writes must not die
            raise sqlite3.OperationalError(f"the file cannot be read: {error.strerror or error}") from error
        if is_cut:
            self._was_cut = f"it was cut from {self._size} to {size} bytes; {_OTHER_FILE}"
        if self._was_cut:
            raise Damaged(self._was_cut)
        self._size = size

    def insert(self, shape: Shape, rows: Sequence[Row]) -> int:
        """Write rows."""
        return self.connection.executemany(_inserting(shape), rows).rowcount

    def settle(self, shape: Shape, rows: Sequence[Row]) -> int:
        """Change rows by their key where `outcome` is NULL."""
        return self.connection.executemany(_settling(shape), rows).rowcount

    def among(self, statement: str, ids: Sequence[str]) -> list[tuple[Any, ...]]:
        """Return the rows of a statement about these ids."""
        found = "IN (SELECT value FROM json_each(?))"
        return self.connection.execute(statement.format(among=found), (json.dumps(ids),)).fetchall()

    def run(self, statement: str, parameters: Mapping[str, object]) -> tuple[list[tuple[Any, ...]], int]:
        """Return rows of a statement, and how many it has changed."""
        cursor = self.connection.execute(statement, parameters)
        return cursor.fetchall(), cursor.rowcount

    def is_passing(self, error: Exception) -> bool:
        """Tell whether the disk or a lock is to blame."""
        return isinstance(error, sqlite3.OperationalError)

    def is_collision(self, error: Exception) -> bool:  # noqa: ARG002 - the protocol's
        """Tell that nobody is ever in the way: a transaction has the file for itself."""
        return False

    @contextmanager
    def erasing(self) -> Iterator[None]:
        """Have erased bytes overwritten."""
        self.connection.execute("PRAGMA secure_delete=ON")
        try:
            yield
        finally:
            self.connection.execute("PRAGMA secure_delete=OFF")

    def fold(self) -> bool:
        """Empty the write-ahead file; nobody waits here for those who read it."""
        self.connection.execute("PRAGMA busy_timeout=0")
        try:
            (is_busy, _, _) = self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            self.connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT}")
        return not is_busy

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()


@cache
def _inserting(shape: Shape) -> str:
    keys, others = shape.columns[: shape.keys], shape.columns[shape.keys :]
    marks = ", ".join("?" * len(shape.columns))
    head = f"INSERT INTO {shape.table} ({', '.join(shape.columns)}) VALUES ({marks})"  # noqa: S608 - names of ours
    clash = f" ON CONFLICT ({', '.join(keys)}) DO "
    if shape.clash == "error":
        return head
    if shape.clash == "keep":
        return f"{head}{clash}NOTHING"
    before = "" if shape.clash == "replace" else "{0} + "
    return f"{head}{clash}UPDATE SET " + ", ".join(f"{name} = {before.format(name)}excluded.{name}" for name in others)


@cache
def _settling(shape: Shape) -> str:
    # Numbered, since the key comes first in a row and last in the statement.
    key, *others = shape.columns
    changes = ", ".join(f"{name} = ?{number}" for number, name in enumerate(others, 2))
    return f"UPDATE {shape.table} SET {changes} WHERE {key} = ?1 AND outcome IS NULL"  # noqa: S608 - likewise


def _file_at(path: str) -> tuple[int, int, int] | None:
    """Return which file stands at a path, whatever its name, and its bytes; None where there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116 - for each batch, and a Path takes three times as long
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size


def _told_size(path: str) -> float:
    """Return how many bytes a file says that it has; endless where it cannot say so.

    A file becomes smaller where somebody has it vacuumed, which writes that first.
    """
    with open(path, "rb") as file:  # noqa: PTH123 - as above
        header = file.read(_HEADER)
    if len(header) < _HEADER:
        return float("inf")
    page = int.from_bytes(header[_PAGE_SIZE], "big")
    return (_LARGEST_PAGE if page == 1 else page) * int.from_bytes(header[_PAGES], "big")


def _as_it_is(value: bool | None, /) -> bool | None:  # noqa: FBT001 - sqlite3 calls it, with nothing else
    return value
