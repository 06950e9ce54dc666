"""A ledger on each engine, for tests that hold on both."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from router.bench.private_postgres import PrivatePostgres, running_postgres, why_not
from router.ledger.layout import prepare_database
from router.ledger.place import LedgerPlace, PostgresPlace, SqlitePlace


@pytest.fixture(scope="session")
def postgres() -> Iterator[PrivatePostgres]:
    """One server for all tests."""
    if why_not():
        pytest.skip(why_not())
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def new_database(postgres: PrivatePostgres) -> Callable[[], PostgresPlace]:
    """Makes databases with an empty ledger."""
    postgres.run("CREATE DATABASE laid_out TEMPLATE template0")
    prepare_database(PostgresPlace(postgres.url("laid_out")))
    return lambda: postgres.create("laid_out")


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> LedgerPlace:
    """Where a ledger of a test's own may be."""
    if request.param == "sqlite":
        return SqlitePlace(tmp_path / "l.db")
    create: Callable[[], PostgresPlace] = request.getfixturevalue("new_database")
    return create()
