"""router/ledger/engines/postgres.py, opening.py, migrations/running.py: a server that goes away, and another gateway.

router/ledger/engines/postgres.py, router/ledger/engines/opening.py, router/ledger/migrations/running.py,
router/bench/private_postgres.py
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from router.base import Unavailable
from router.bench.private_postgres import PrivatePostgres
from router.ledger.holding import hold
from router.ledger.place import LedgerUnreadable, PostgresPlace, reading
from router.ledger.rollup import verify
from router.ledger.versions import REVISION
from router.ledger.writer import LedgerWriter
from tests.router.ledger.test_rollup import attempt, intent, record

_WRITERS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tandem writer'"


@pytest.fixture
def place(new_database: Callable[[], PostgresPlace]) -> PostgresPlace:
    return new_database()


def outcomes(place: PostgresPlace) -> list[tuple[str | None, int]]:
    with reading(place) as ledger:
        statement = "SELECT outcome, count(*) AS n FROM requests GROUP BY outcome ORDER BY outcome"
        return [(row["outcome"], row["n"]) for row in ledger.rows(statement)]


async def test_a_connection_that_is_cut_loses_and_doubles_nothing(
    place: PostgresPlace, postgres: PrivatePostgres
) -> None:
    ledger = LedgerWriter(place, loop=asyncio.get_running_loop())
    answered = refused = 0
    for number in range(60):
        asked = intent(number)
        if number % 12 == 6:
            postgres.run(_WRITERS)
        try:
            await ledger.open(asked)
        except Unavailable:
            refused += 1
        else:
            answered += 1
        ledger.settle(record(asked, attempt()))
        await asyncio.sleep(0.002)
    await asyncio.sleep(0.6)
    await ledger.aclose()
    assert 0 < refused <= 5
    assert outcomes(place) == [("answered", answered)]
    assert verify(place) == []


async def test_while_the_server_is_away_nothing_is_answered_and_what_was_is_recorded_later(
    place: PostgresPlace, postgres: PrivatePostgres
) -> None:
    ledger = LedgerWriter(place, loop=asyncio.get_running_loop())
    asked = intent(0)
    await ledger.open(asked)
    postgres.stop()
    try:
        ledger.settle(record(asked, attempt()))
        for number in (1, 2):
            with pytest.raises(Unavailable, match="cannot be written"):
                await asyncio.wait_for(ledger.open(intent(number)), 2.0)
        with pytest.raises(LedgerUnreadable, match="cannot be read"), reading(place):
            pass
        with pytest.raises(Unavailable, match="cannot be opened"):
            hold(place)
    finally:
        postgres.start()
    for _ in range(40):
        await asyncio.sleep(0.05)
        if outcomes(place) == [("answered", 1)]:
            break
    with pytest.raises(Unavailable, match="in use by another gateway"):  # its writer has come back
        hold(place)
    await ledger.open(intent(3))
    await ledger.aclose()
    assert outcomes(place) == [("answered", 1), (None, 1)]
    assert verify(place) == []


async def test_a_gateway_whose_ledger_was_taken_meanwhile_writes_no_more(
    place: PostgresPlace, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = LedgerWriter(place, loop=asyncio.get_running_loop())
    await ledger.open(intent(0))
    with psycopg.connect(place.url, autocommit=True) as connection:  # as if the server had been away
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name LIKE 'tandem %' AND datname = current_database()"
        )
    with hold(place):
        for number in (1, 2):  # on a connection that is lost, and on a new one
            with pytest.raises(Unavailable):
                await ledger.open(intent(number))
        assert "another gateway has the ledger now" in caplog.text
    await ledger.aclose()
    assert outcomes(place) == [("interrupted", 1)]


def test_who_inherits_the_connection_keeps_the_ledger_held(place: PostgresPlace) -> None:
    held = hold(place)
    heir = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[held.fileno()])
    with psycopg.connect(place.url) as other:
        statement = (
            "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database"
            " WHERE locktype = 'advisory' AND d.datname = current_database()"
        )
        assert other.execute(statement).fetchone() == (1,)
    with pytest.raises(Unavailable, match="in use by another gateway: stop it"):
        hold(place)
    heir.communicate(b"\n", timeout=10)
    held.close()
    hold(place).close()


def test_a_database_is_laid_out_once_and_one_of_another_version_is_left_as_it_is(postgres: PrivatePostgres) -> None:
    place = postgres.create()
    with pytest.raises(LedgerUnreadable, match="run: tandem ledger migrate"), reading(place) as ledger:
        ledger.one("SELECT * FROM requests")
    hold(place).close()
    script = (
        "import sys; from router.ledger.holding import hold; from router.ledger.place import PostgresPlace\n"
        "hold(PostgresPlace(sys.argv[1])).close()\n"
        "print(*sorted({'sqlalchemy', 'alembic', 'psycopg'} & sys.modules.keys()))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])}
    again = [sys.executable, "-c", script, place.url]
    assert subprocess.run(again, env=environment, capture_output=True, check=True).stdout.strip() == b"psycopg"
    with psycopg.connect(place.url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0099'")
    with pytest.raises(Unavailable, match="its layout is of version 0099, which this program does not"):
        hold(place)


def test_a_database_of_an_older_version_is_brought_up_to_date(postgres: PrivatePostgres) -> None:
    place = postgres.create()
    hold(place).close()
    described = (
        "SELECT column_name, data_type, collation_name, column_default, is_nullable FROM information_schema.columns"
        " WHERE table_name IN ('requests', 'totals', 'assessments') ORDER BY table_name, ordinal_position"
    )
    with psycopg.connect(place.url) as connection:
        made = connection.execute(described).fetchall()
        connection.execute("ALTER TABLE requests DROP COLUMN reply_key")
        connection.execute("ALTER TABLE assessments DROP COLUMN repetition_written")
        for name in ("assessed", "repetitive", "refused", "empty", "truncated"):
            connection.execute(f"ALTER TABLE totals DROP COLUMN {name}")
        connection.execute("UPDATE alembic_version SET version_num = '0005'")
    hold(place).close()
    with psycopg.connect(place.url) as connection:
        assert connection.execute(described).fetchall() == made
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == (REVISION,)


async def test_values_that_cannot_be_held_are_refused_alone(place: PostgresPlace) -> None:
    ledger = LedgerWriter(place, loop=asyncio.get_running_loop())
    odd = [intent(0), intent(1, inputs="\0"), intent(2, inputs="\ud800"), intent(3), intent(3)]
    told = await asyncio.gather(*map(ledger.open, odd), return_exceptions=True)
    ledger.settle(record(odd[0], attempt(cost=1 << 70)))
    ledger.settle(record(odd[3], attempt(cost=4)))
    await ledger.aclose()
    assert [type(each) for each in told] == [type(None), Unavailable, Unavailable, type(None), Unavailable]
    assert outcomes(place) == [("answered", 1), (None, 1)]
    assert verify(place) == []


def test_an_address_tells_neither_user_nor_password() -> None:
    place = PostgresPlace("postgresql://me:hunter22@db.example:5432/tandem")
    assert (str(place), repr(place)) == ("postgresql://db.example/tandem", "PostgresPlace()")
