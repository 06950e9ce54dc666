"""Rows -> one SQLite file, in write-ahead mode.

A commit survives the death of the process, not the loss of power. Several processes of one machine may write.
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
        self._file = _file_at(self._path)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold the file from the first statement on, so that what is read inside is still so when it is written.

        What is written into a file that was removed or replaced would be gone without a word, so it is refused until
        the file is back.
        """
        if _file_at(self._path) != self._file:
            raise sqlite3.OperationalError("the file was removed or replaced; put it back, or start the gateway anew")
        with self.connection:
            self.connection.execute("BEGIN IMMEDIATE")
            yield

    def insert(self, shape: Shape, rows: Sequence[Row]) -> None:
        """Write rows."""
        self.connection.executemany(_inserting(shape), rows)

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
        (is_busy, _, _) = self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
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


def _file_at(path: str) -> tuple[int, int] | None:
    """Return which file stands at a path, whatever its name; None where there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116 - for each batch, and a Path takes three times as long
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _as_it_is(value: bool | None, /) -> bool | None:  # noqa: FBT001 - sqlite3 calls it, with nothing else
    return value
