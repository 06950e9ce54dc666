"""Rows -> a PostgreSQL database.

What is new is copied in; what may meet a row that is there already goes over as one JSON array a table. A connection
that is lost is made anew when there is something to write; until then everything is refused at once. Several processes
of one gateway may write.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from typing import Any, Final

import msgspec
import psycopg
from psycopg import sql

from router.ledger.engines.base import NUL, Row, Shape
from router.ledger.place import PostgresPlace, translated

CONNECT_WITHIN: Final = 3  # seconds
UNANSWERED: Final = 5_000  # milliseconds that a server may be silent on what was sent, and a statement may take
AGAIN_AFTER: Final = 0.5  # seconds from a connection that was refused to the next try

# Advisory locks, within the database: one gateway has the first; each connection that writes shares the second.
GATEWAY: Final = (0x54414E44, 1)
WRITERS: Final = (0x54414E44, 2)

HOLDER: Final = "holder"
"""The mark that says which gateway has the ledger; see `router.ledger.holding`."""

MARK: Final = """
INSERT INTO marks (name, value) VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET value = excluded.value
"""
_HOLDER: Final = "SELECT value FROM marks WHERE name = 'holder'"
_ESCAPED_NUL: Final = "\\u0000"
_READ_ONLY: Final = "25006"  # of a server that has become another one's standby


class TakenOver(psycopg.OperationalError):
    """Another gateway has the ledger now: this one must not write any more."""


def connected_to(place: PostgresPlace, *, name: str) -> "psycopg.Connection[Any]":
    """Return a connection that gives up on a server that does not answer.

    Raises:
        psycopg.Error: there is none to be had.
    """
    connection = psycopg.connect(
        place.url,
        autocommit=True,
        connect_timeout=CONNECT_WITHIN,
        application_name=f"tandem {name}",
        keepalives_idle=10,
        tcp_user_timeout=UNANSWERED,
        options=f"-c statement_timeout={UNANSWERED} -c lock_timeout={UNANSWERED}",
    )
    connection.prepare_threshold = 2
    return connection


def revision_of(connection: "psycopg.Connection[Any]") -> str | None:
    """Return the revision of a database's layout; None where it has none."""
    known = connection.execute("SELECT to_regclass('alembic_version')").fetchone()
    if known is None or known[0] is None:
        return None
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])


class PostgresEngine:
    """A connection to a ledger's database; see `router.ledger.engines.base.Engine`."""

    errors: tuple[type[Exception], ...] = (psycopg.Error, ValueError, OverflowError)

    def __init__(self, place: PostgresPlace) -> None:
        """Connect to a database that has this program's layout, and that this gateway holds.

        Raises:
            psycopg.Error: it cannot be reached.
        """
        self._place = place
        self._holder: str | None = None
        self._refusal: tuple[float, psycopg.Error] | None = None
        self._connection = self._joined()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Begin, on a new connection where the old one is lost."""
        if self._connection.closed or self._connection.broken:
            self.close()
            self._connection = self._joined()
        with self._connection.transaction():
            yield

    def insert(self, shape: Shape, rows: Sequence[Row]) -> int:
        """Write rows."""
        cursor = self._connection.cursor()
        if shape.clash == "error":
            with cursor.copy(_copying(shape)) as copy:
                for row in rows:
                    copy.write_row(row)
        elif shape.clash == "keep":  # bytes are among them, which JSON cannot hold
            cursor.executemany(_keeping(shape), rows)
        else:
            cursor.execute(_merging(shape), (_as_json(shape, rows),))
        return cursor.rowcount

    def settle(self, shape: Shape, rows: Sequence[Row]) -> int:
        """Change rows by their key where `outcome` is NULL."""
        return self._connection.execute(_settling(shape), (_as_json(shape, rows),)).rowcount

    def among(self, statement: str, ids: Sequence[str]) -> list[tuple[Any, ...]]:
        """Return the rows of a statement about these ids."""
        return _fetched(self._connection.execute(statement.format(among="= ANY(%s)"), (list(ids),)))

    def run(self, statement: str, parameters: Mapping[str, object]) -> tuple[list[tuple[Any, ...]], int]:
        """Return rows of a statement, and how many it has changed."""
        cursor = self._connection.execute(translated(statement), parameters)
        return _fetched(cursor), cursor.rowcount

    def is_passing(self, error: Exception) -> bool:
        """Tell whether the server, or the way there, is to blame."""
        is_of_a_value = isinstance(error, (psycopg.DataError, psycopg.IntegrityError))
        is_of_the_place = isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError))
        state = getattr(error, "sqlstate", None)
        return (is_of_the_place or state == _READ_ONLY) and not is_of_a_value

    def is_collision(self, error: Exception) -> bool:
        """Tell whether another writer was in the way; class 40 of SQLSTATE is for transactions undone for that."""
        state = getattr(error, "sqlstate", None)
        return state is not None and state.startswith("40")

    @contextmanager
    def erasing(self) -> Iterator[None]:
        """Do nothing: when a page is written anew is for the server to say."""
        yield

    def fold(self) -> bool:
        """Tell that there is no log of ours."""
        return True

    def close(self) -> None:
        """Close the connection."""
        with suppress(psycopg.Error):
            self._connection.close()

    def _joined(self) -> "psycopg.Connection[Any]":
        """Return a connection that shares the writers' lock, of the gateway that has the ledger.

        Raises:
            psycopg.Error: there is none to be had; soon after one was refused it is not even tried.
        """
        if self._refusal is not None and time.monotonic() < self._refusal[0] + AGAIN_AFTER:
            raise self._refusal[1]
        with ExitStack() as failed:
            try:
                connection = failed.enter_context(connected_to(self._place, name="writer"))
                connection.execute("SELECT pg_advisory_lock_shared(%s, %s)", WRITERS)
                row = connection.execute(_HOLDER).fetchone()
                holder = "" if row is None else str(row[0])
                if self._holder is not None and holder != self._holder:
                    raise TakenOver("another gateway has the ledger now; start this one anew")
            except psycopg.Error as error:
                self._refusal = (time.monotonic(), error)
                raise
            self._holder, self._refusal = holder, None
            failed.pop_all()
            return connection


def _fetched(cursor: "psycopg.Cursor[Any]") -> list[tuple[Any, ...]]:
    return [] if cursor.description is None else cursor.fetchall()


def _as_json(shape: Shape, rows: Sequence[Row]) -> str:
    """Return rows as the server can hold them: a character that no text of its may have becomes the one for that."""
    text = _encoded(shape, rows)
    if _ESCAPED_NUL not in text:
        return text
    clean = (tuple(value.replace(NUL, "\ufffd") if isinstance(value, str) else value for value in row) for row in rows)
    return _encoded(shape, clean)


def _encoded(shape: Shape, rows: Iterable[Row]) -> str:
    return msgspec.json.encode([dict(zip(shape.columns, row, strict=True)) for row in rows]).decode()


def _names(names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))


@cache
def _copying(shape: Shape) -> sql.Composed:
    return sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(shape.table), _names(shape.columns))


@cache
def _keeping(shape: Shape) -> sql.Composed:
    return sql.SQL("INSERT INTO {} ({}) VALUES ({}) ON CONFLICT DO NOTHING").format(
        sql.Identifier(shape.table), _names(shape.columns), sql.SQL(", ").join(sql.Placeholder() * len(shape.columns))
    )


@cache
def _merging(shape: Shape) -> sql.Composed:
    """Return what takes rows in the order of their keys, so that two writers do not wait for each other."""
    keys, others = shape.columns[: shape.keys], shape.columns[shape.keys :]
    change = "{name} = excluded.{name}" if shape.clash == "replace" else "{name} = {table}.{name} + excluded.{name}"
    table = sql.Identifier(shape.table)
    return sql.SQL(
        "INSERT INTO {table} ({columns}) SELECT {columns} FROM json_populate_recordset(NULL::{table}, %s::json)"
        " ORDER BY {keys} ON CONFLICT ({keys}) DO UPDATE SET {changes}"
    ).format(
        table=table,
        columns=_names(shape.columns),
        keys=_names(keys),
        changes=sql.SQL(", ").join(sql.SQL(change).format(name=sql.Identifier(each), table=table) for each in others),
    )


@cache
def _settling(shape: Shape) -> sql.Composed:
    key, *others = map(sql.Identifier, shape.columns)
    return sql.SQL(
        "UPDATE {table} SET {changes} FROM json_populate_recordset(NULL::{table}, %s::json) AS told"
        " WHERE {table}.{key} = told.{key} AND {table}.outcome IS NULL"
    ).format(
        table=sql.Identifier(shape.table),
        key=key,
        changes=sql.SQL(", ").join(sql.SQL("{name} = told.{name}").format(name=each) for each in others),
    )
