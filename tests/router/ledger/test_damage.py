"""router/ledger/damage.py: what no gateway writes is named by its row and column, and nothing else is."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from router.base import Tier
from router.ledger.damage import damage_in
from router.ledger.engines.opening import engine_of
from router.ledger.place import LedgerPlace, LedgerUnreadable, SqlitePlace
from tests.router.ledger.test_retention import write
from tests.router.logged import Logged, write_ledger

DAMAGED = {
    "a word where a price was": ("requests", "cost = 'dear'", "cost"),
    "bytes where a word was": ("attempts", "model = x'ff'", "model"),
    "a fraction of a token": ("attempts", "output = 1.5", "output"),
    "a time without an end": ("requests", "started = 9e999", "started"),
    "a truth that is neither": ("assessments", "is_empty = 7", "is_empty"),
    "an end that is none": ("requests", "outcome = 'perhaps'", "outcome"),
    "a tier that is none": ("labels", "answered = 'huge'", "answered"),
    "a text where a conversation was kept": ("labels", "prompt = 7", "prompt"),
    "half of what was told": ("attempts", "fresh_input = NULL", "fresh_input"),
    "a sum that is a word": ("totals", "cost = 'dear'", "cost"),
}


async def test_what_a_gateway_has_written_is_not_damaged(place: LedgerPlace) -> None:
    await write(place, 3)
    assert damage_in(place) is None
    with closing(engine_of(place)) as engine, engine.transaction():
        engine.run("UPDATE requests SET outcome = 'perhaps'", {})
    assert "outcome is what no gateway writes" in str(damage_in(place))


def test_what_was_told_of_many_requests_is_not_damaged(tmp_path: Path) -> None:
    some = (Logged(n, n * 60.0, Tier.MINI, (9, 9), kept=n == 1, shadow=(9, 7), labels=(1.0, 0.0)) for n in range(9))
    assert damage_in(write_ledger(tmp_path / "l.db", [*some])) is None


@pytest.mark.parametrize(("table", "change", "column"), DAMAGED.values(), ids=DAMAGED)
async def test_a_value_that_cannot_be_is_named(table: str, change: str, column: str, tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    await write(SqlitePlace(path), 1)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"UPDATE {table} SET {change}")  # noqa: S608 - names of ours
        requests = [request for (request,) in connection.execute("SELECT id FROM requests")]
    damage = str(damage_in(path))
    assert damage.endswith(f" is damaged: {column} is what no gateway writes")
    row = damage.removeprefix(f"what it holds of {table} ").partition(" is damaged")[0]
    assert row.split()[0] in (requests if table != "totals" else ["60", "3600", "21600", "86400"])


async def test_a_mark_that_is_no_time_is_named_and_other_marks_may_say_anything(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    await write(SqlitePlace(path), 1)
    with closing(sqlite3.connect(path)) as connection:
        with connection:
            connection.execute("INSERT INTO marks VALUES ('price 1', 'dear')")
        assert damage_in(path) is None
        with connection:
            connection.execute("INSERT INTO marks VALUES ('raw_from', 'noon')")
    assert damage_in(path) == "what it holds of marks raw_from is damaged: value is what no gateway writes"


def test_what_is_no_ledger_is_not_looked_through(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnreadable):
        damage_in(tmp_path / "none.db")
