"""A ledger of an older layout -> one of this program's, by alembic, in one transaction.

Loads SQLAlchemy and alembic: only what makes or upgrades a ledger loads this.
"""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy.pool import NullPool, StaticPool

from router.ledger.engines.sqlite import SqliteEngine
from router.ledger.place import PostgresPlace
from router.ledger.rollup import fill
from router.ledger.tables import METADATA
from router.ledger.versions import VERSION, fault_of

HERE: Final = Path(__file__).parent
CUBES: Final = 5  # the first version that has them


def upgrade_file(connection: sqlite3.Connection, version: int) -> None:
    """Bring a file up to date, wholly or not at all: its number is part of the transaction.

    Raises:
        sqlite3.Error: it cannot be changed, or is not what its number says.
    """
    engine = sqlalchemy.create_engine("sqlite://", creator=lambda: connection, poolclass=StaticPool)
    sqlalchemy.event.listen(engine, "begin", _begin_at_once)  # so that statements that make tables are part of it
    with _as_told_by(sqlite3.Error), engine.begin() as opened:
        config = _config(opened)
        command.stamp(config, f"{version:04d}")
        command.upgrade(config, "head")
        if version < CUBES:
            fill(SqliteEngine(connection), _rows_of(connection))
        opened.exec_driver_sql(f"PRAGMA user_version={VERSION}")


def upgrade_database(place: PostgresPlace) -> None:
    """Make the tables of an empty database, or bring those of an older one up to date.

    Raises:
        psycopg.Error: it cannot be changed, or is of a version that this program does not know.
    """
    import psycopg  # noqa: PLC0415 - not every ledger needs it

    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(place.url), poolclass=NullPool
    )
    with _as_told_by(psycopg.Error), engine.begin() as opened:
        config = _config(opened)
        revision = MigrationContext.configure(opened).get_current_revision()
        if revision is None:
            METADATA.create_all(opened)
            command.stamp(config, "head")
        elif fault := fault_of(revision):
            raise psycopg.DatabaseError(fault)
        else:
            command.upgrade(config, "head")


def _config(connection: sqlalchemy.Connection) -> Config:
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells each thing that it looks at
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(HERE).replace("%", "%%"))
    return config


def _begin_at_once(connection: sqlalchemy.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


@contextmanager
def _as_told_by(kind: type[Exception]) -> Iterator[None]:
    """Raise what the driver says in the place of what SQLAlchemy makes of it."""
    try:
        yield
    except sqlalchemy.exc.DBAPIError as error:
        if isinstance(error.orig, kind):
            raise error.orig from error
        raise


def _rows_of(connection: sqlite3.Connection) -> Any:  # noqa: ANN401 - as `router.ledger.rollup.Rows`
    def rows(statement: str, /, **parameters: object) -> Iterator[dict[str, Any]]:
        cursor = connection.execute(statement, parameters)
        names = [column[0] for column in cursor.description]
        return (dict(zip(names, row, strict=True)) for row in cursor)

    return rows
