"""Where a ledger is -> a connection that only reads, on either engine.

    with reading(place) as ledger:
        for row in ledger.rows("SELECT id, cost FROM requests WHERE started >= :since", since=0.0): ...

Statements are written once, for both engines: parameters as `:name`, no casts by `::`. All that is read through one
connection is from the same moment. Knows no table.
"""

import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlsplit

from router.ledger.versions import MARK, fault_of, revision_of_rows

if TYPE_CHECKING:
    import psycopg

WAIT: Final = 1.0  # seconds that a writer may hold a reading up
IRREGULAR: Final = "it is a folder, a pipe or a device, and no file"

_STEPS: Final = 100_000  # virtual machine steps between two looks at the clock, about a millisecond
_PAGE: Final = 2_000  # rows that come over from PostgreSQL at a time
_OLDER: Final = ("no such table", "no such column")
_ADDRESS: Final = re.compile(r"\"?postgres(ql)?://\S*")
_PARAMETER: Final = re.compile(r"'[^']*'|(?<!:):([a-z_][a-z0-9_]*)|%")


class LedgerUnreadable(Exception):
    """The ledger could not be read; the message says why and names no path and no address."""


@dataclass(frozen=True, slots=True)
class SqlitePlace:
    """A file, which several processes of one machine may share."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True, slots=True)
class PostgresPlace:
    """A database of a PostgreSQL server.

    Attributes:
        url: as libpq takes it, such as "postgresql://user:password@host:5432/name"; a secret.
    """

    url: str = field(repr=False)

    def __str__(self) -> str:
        """Return what may be told of it: neither user nor password."""
        parts = urlsplit(self.url)
        return f"postgresql://{parts.hostname or 'local'}{parts.path}"


LedgerPlace = SqlitePlace | PostgresPlace


def as_place(ledger: LedgerPlace | Path) -> LedgerPlace:
    """Return a place; a path is that of an SQLite file."""
    return SqlitePlace(ledger) if isinstance(ledger, Path) else ledger


def is_address(text: str) -> bool:
    """Tell whether a text is the address of a database, rather than a path."""
    return text.startswith(("postgresql://", "postgres://"))


class Reading(Protocol):
    """A ledger as it was at one moment."""

    def rows(self, statement: str, /, **parameters: object) -> Iterator[dict[str, Any]]:
        """Yield rows by their columns' names, as they come; one statement at a time."""
        ...

    def one(self, statement: str, /, **parameters: object) -> dict[str, Any] | None:
        """Return the first row; None where there is none."""
        ...


@contextmanager
def reading(ledger: LedgerPlace | Path, *, within: float | None = None, wait: float = WAIT) -> Iterator[Reading]:
    """Yield a ledger for reading alone.

    Args:
        ledger: a path is that of an SQLite file.
        within: seconds after which the reading is given up; None is for as long as it takes.
        wait: seconds that a writer may hold it up.

    Raises:
        LedgerUnreadable: it cannot be reached, is no ledger, is one of a layout that this program does not know, or
            cannot be read in time; also for what goes wrong inside the block.
    """
    if isinstance(ledger, PostgresPlace):
        with _postgres(ledger, within=within) as opened:
            yield opened
        return
    path = ledger if isinstance(ledger, Path) else ledger.path
    if is_irregular(path):
        raise LedgerUnreadable(f"the ledger cannot be read: {IRREGULAR}")
    try:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=wait, isolation_level=None
        )
        with closing(connection):
            connection.row_factory = sqlite3.Row
            if within is not None:
                until = time.monotonic() + within
                connection.set_progress_handler(lambda: time.monotonic() > until, _STEPS)
            connection.execute("BEGIN")
            (number,) = connection.execute("PRAGMA user_version").fetchone()
            _refuse(fault_of(revision_in(connection), number))
            yield _SqliteReading(connection)
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
            raise _too_slow(within) from error
        raise _unreadable(str(error), is_older=str(error).startswith(_OLDER)) from error


def is_irregular(path: Path) -> bool:
    """Tell whether something else than a file is there: SQLite would wait for a pipe."""
    return not path.is_file() and path.exists()


def revision_in(connection: sqlite3.Connection) -> str | None:
    """Return the revision of a file's layout; None where it has none.

    Raises:
        sqlite3.Error: it cannot be read.
    """
    known = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
    return revision_of_rows(connection.execute(MARK)) if known[0] else None


def _refuse(fault: str) -> None:
    """Refuse a ledger of a layout that this program does not know.

    Raises:
        LedgerUnreadable: there is a fault.
    """
    if fault:
        raise LedgerUnreadable(fault)


class _SqliteReading:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, statement: str, /, **parameters: object) -> Iterator[dict[str, Any]]:
        for row in self._connection.execute(statement, parameters):
            yield dict(row)

    def one(self, statement: str, /, **parameters: object) -> dict[str, Any] | None:
        row = self._connection.execute(statement, parameters).fetchone()
        return None if row is None else dict(row)


@contextmanager
def _postgres(place: PostgresPlace, *, within: float | None) -> Iterator[Reading]:
    psycopg = load_psycopg()
    try:
        with closing(psycopg.connect(place.url, connect_timeout=5, application_name="tandem reading")) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            connection.adapters.register_loader("numeric", _plain_numbers(psycopg))
            if within is not None:
                connection.execute(f"SET LOCAL statement_timeout = {max(1, int(within * 1_000))}")
            opened = _PostgresReading(connection)
            if (opened.one("SELECT to_regclass('alembic_version') IS NOT NULL AS marked") or {}).get("marked"):
                _refuse(fault_of(revision_of_rows(tuple(row.values()) for row in opened.rows(MARK))))
            yield opened
    except psycopg.errors.QueryCanceled as error:
        raise _too_slow(within) from error
    except psycopg.Error as error:
        is_older = isinstance(error, (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn))
        raise _unreadable(in_words(error), is_older=is_older) from error


def _plain_numbers(psycopg: ModuleType) -> Any:  # noqa: ANN401 - a class over one that is loaded late
    """Return what reads sums, which PostgreSQL calls numeric, as the whole numbers or floats that SQLite gives."""

    def load(_loader: object, data: bytes) -> int | float:
        written = bytes(data).decode()
        return float(written) if "." in written or written == "NaN" else int(written)

    return type("PlainNumbers", (psycopg.adapt.Loader,), {"load": load})


class _PostgresReading:
    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        self._connection, self._cursors = connection, 0

    def rows(self, statement: str, /, **parameters: object) -> Iterator[dict[str, Any]]:
        self._cursors += 1
        with self._connection.cursor(f"rows_{self._cursors}") as cursor:  # named: rows stay there until they are wanted
            cursor.itersize = _PAGE
            cursor.execute(translated(statement), parameters)
            names = [column.name for column in cursor.description or ()]
            for row in cursor:
                yield dict(zip(names, row, strict=True))

    def one(self, statement: str, /, **parameters: object) -> dict[str, Any] | None:
        with self._connection.cursor() as cursor:
            cursor.execute(translated(statement), parameters)
            row = cursor.fetchone()
            names = [column.name for column in cursor.description or ()]
            return None if row is None else dict(zip(names, row, strict=True))


@lru_cache(256)
def translated(statement: str) -> str:
    """Return a statement with its parameters as psycopg wants them."""
    return _PARAMETER.sub(_as_psycopg, statement)


def _as_psycopg(found: re.Match[str]) -> str:
    name = found.group(1)
    return f"%({name})s" if name else found.group().replace("%", "%%")


def load_psycopg() -> ModuleType:
    """Return psycopg, which only a ledger in PostgreSQL needs.

    Raises:
        LedgerUnreadable: it is not installed.
    """
    try:
        import psycopg  # noqa: PLC0415 - only where it is wanted
    except ImportError as error:
        raise LedgerUnreadable("a ledger in PostgreSQL needs psycopg: install the extra postgres") from error
    return psycopg


def in_words(error: Exception) -> str:
    """Return one line of an error, without where it was met."""
    first = str(error).strip().partition("\n")[0]
    if first.startswith("connection"):  # libpq repeats all that it was told of the server, except the password
        first = first.rpartition("failed: ")[2]
    return _ADDRESS.sub("the address", first) or type(error).__name__


def _unreadable(why: str, *, is_older: bool) -> LedgerUnreadable:
    advice = "; if it is one of an older version, run: tandem ledger migrate" if is_older else ""
    return LedgerUnreadable(f"the ledger cannot be read: {why}{advice}")


def _too_slow(within: float | None) -> LedgerUnreadable:
    return LedgerUnreadable(f"the reading took longer than {within or 0:g} s; choose a shorter span")
