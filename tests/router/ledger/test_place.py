"""router/ledger/place.py: one statement reads either engine, from one moment."""

import asyncio
import sys
from contextlib import closing
from pathlib import Path

import pytest

from router.ledger.engines.opening import engine_of
from router.ledger.holding import hold
from router.ledger.place import LedgerPlace, LedgerUnreadable, PostgresPlace, SqlitePlace, as_place, is_address, reading
from router.ledger.writer import LedgerWriter
from tests.router.ledger.test_rollup import attempt, intent, record

SLOW = """
WITH RECURSIVE counting AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM counting WHERE n < 100000000)
SELECT sum(n) AS n FROM counting
"""


async def test_sums_quotes_and_parameters_are_the_same_on_each_engine(place: LedgerPlace) -> None:
    ledger = LedgerWriter(place, loop=asyncio.get_running_loop())
    for number in range(3):
        await ledger.open(intent(number))
        ledger.settle(record(intent(number), attempt(cost=1 << 60)))
    await ledger.aclose()
    with reading(place) as opened:
        assert opened.one("SELECT sum(cost) AS cost, ':a 5%' AS said FROM requests WHERE id >= :a", a="") == {
            "cost": 3 << 60,
            "said": ":a 5%",
        }
        assert type((opened.one("SELECT sum(cost) AS cost FROM requests") or {})["cost"]) is int
        assert opened.one("SELECT avg(score) AS score FROM requests") == {"score": 0.25}
        assert opened.one("SELECT id FROM requests WHERE id = :a", a="none") is None
        pairs = [
            (one["id"], other["id"])
            for one in opened.rows("SELECT id FROM requests ORDER BY id")
            for other in opened.rows("SELECT id FROM requests WHERE id > :id ORDER BY id", id=one["id"])
        ]
    assert len(pairs) == 3


def test_all_is_read_from_one_moment(place: LedgerPlace) -> None:
    hold(place).close()
    with reading(place) as opened, closing(engine_of(place)) as engine:
        assert opened.one("SELECT count(*) AS n FROM ratings") == {"n": 0}
        engine.run("INSERT INTO ratings VALUES ('a', 'acme', 1.0, 1.0, NULL)", {})
        assert opened.one("SELECT count(*) AS n FROM ratings") == {"n": 0}
    with reading(place) as opened:
        assert opened.one("SELECT count(*) AS n FROM ratings") == {"n": 1}


def test_a_reading_that_takes_too_long_is_given_up(place: LedgerPlace) -> None:
    hold(place).close()
    with pytest.raises(LedgerUnreadable, match=r"took longer than 0.02 s"), reading(place, within=0.02) as opened:
        opened.one(SLOW)


def test_nothing_can_be_written_by_a_reading(place: LedgerPlace) -> None:
    hold(place).close()
    with pytest.raises(LedgerUnreadable, match=r"read-?only"), reading(place) as opened:
        opened.one("DELETE FROM marks WHERE name = :name RETURNING name", name="holder")


def test_a_server_that_is_not_there_is_said_to_be_away_without_its_address() -> None:
    place = PostgresPlace("postgresql://me:hunter22@127.0.0.1:1/none")
    with pytest.raises(LedgerUnreadable) as told, reading(place):
        pass
    assert "refused" in str(told.value)
    assert "hunter22" not in str(told.value)
    assert "127.0.0.1" not in str(told.value)


def test_an_address_that_cannot_be_read_is_not_repeated() -> None:
    with pytest.raises(LedgerUnreadable) as told, reading(PostgresPlace("postgresql://me:hunter22@[::1/none")):
        pass
    assert "the address" in str(told.value)
    assert "hunter22" not in str(told.value)


def test_without_its_driver_a_database_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(LedgerUnreadable, match="install the extra postgres"), reading(PostgresPlace("postgresql:///x")):
        pass


def test_a_path_is_a_file(tmp_path: Path) -> None:
    assert as_place(tmp_path) == SqlitePlace(tmp_path)
    assert (is_address("postgres://x/y"), is_address("postgresql.db")) == (True, False)
