"""Tests router/ledger/engines/sqlite.py on files that are not what was written into them."""

import asyncio
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from router.base import Decision, Intent, Outcome, Record, Tier, Unavailable
from router.ledger.engines.base import Shape
from router.ledger.engines.sqlite import BUSY_TIMEOUT, Damaged, SqliteEngine, connected
from router.ledger.layout import prepare
from router.ledger.writer import LedgerWriter
from tests.router.conftest import OpenHouse, chat

MARK = Shape("marks", ("name", "value"))
PAGE = 4_096


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger of some hundred pages, all of them in the file itself."""
    path = tmp_path / "l.db"
    with closing(connected(path)) as connection:
        prepare(connection)
        connection.executemany("INSERT INTO marks VALUES (?, ?)", ((f"m{n}", "x" * 3_000) for n in range(200)))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


@pytest.fixture
def engine(path: Path) -> Iterator[SqliteEngine]:
    with closing(SqliteEngine(connected(path))) as engine:
        yield engine


def write(engine: SqliteEngine, name: str) -> None:
    with engine.transaction():
        engine.insert(MARK, [(name, "y")])


def test_a_file_that_cannot_be_looked_at_is_refused_for_now(
    path: Path, engine: SqliteEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(engine, "before")

    def out_of_descriptors(_path: str) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("router.ledger.engines.sqlite._told_size", out_of_descriptors)
    os.truncate(path, PAGE)
    with pytest.raises(sqlite3.OperationalError, match="cannot be read: Too many open files") as refused:
        write(engine, "after")
    assert engine.is_passing(refused.value)


@pytest.mark.parametrize("left", [0, 50, PAGE, 100 * PAGE + 7])
def test_a_file_that_was_cut_short_takes_nothing_more_though_it_could(
    left: int, path: Path, engine: SqliteEngine
) -> None:
    write(engine, "before")
    engine.run("SELECT count(*) FROM marks", {})  # its pages are in memory: SQLite itself would go on
    whole, content = path.stat().st_size, path.read_bytes()
    os.truncate(path, left)
    for _ in range(2):
        with pytest.raises(Damaged, match=f"it was cut from {whole} to {left} bytes; stop the gateway, put a copy"):
            write(engine, "after")
    with path.open("r+b") as file:
        file.write(content)
    with pytest.raises(Damaged):  # a copy in its place is not what the connection has in memory
        write(engine, "after")


def test_a_file_that_is_vacuumed_or_grows_goes_on(path: Path, engine: SqliteEngine) -> None:
    size = path.stat().st_size
    with closing(connected(path)) as other:
        other.execute("DELETE FROM marks WHERE name <> 'm0'")
        other.execute("VACUUM")
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert path.stat().st_size < size
    write(engine, "after")
    for number in range(300):
        write(engine, f"more-{number}")
    assert engine.fold()
    write(engine, "last")


def test_a_log_that_cannot_be_folded_leaves_the_wait_for_locks_as_it_was(engine: SqliteEngine) -> None:
    with pytest.raises(sqlite3.OperationalError, match="locked"), engine.transaction():
        engine.fold()  # as on a disk that fails, from inside a transaction it raises
    assert engine.run("PRAGMA busy_timeout", {})[0] == [(BUSY_TIMEOUT,)]


@pytest.mark.parametrize("place", [0, 100])
def test_bytes_that_were_overwritten_are_said_to_be_damage_and_no_fault_of_a_row(
    place: int, path: Path, engine: SqliteEngine
) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        file.write(b"\x7f" * (path.stat().st_size - place))
    with pytest.raises(Damaged, match="it is damaged: database disk image is malformed; stop") as caught:
        write(engine, "after")
    assert engine.is_passing(caught.value)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (sqlite3.SQLITE_IOERR_READ, "the disk cannot read or write it: as SQLite says; see what the system's log says"),
        (sqlite3.SQLITE_NOTADB, "it is no database any more: as SQLite says; stop the gateway, put a copy"),
    ],
)
def test_what_the_disk_or_another_program_did_is_said(code: int, said: str, engine: SqliteEngine) -> None:
    error = sqlite3.DatabaseError("as SQLite says")
    error.sqlite_errorcode = code
    with pytest.raises(Damaged, match=said), engine.transaction():
        raise error


def test_what_a_row_is_to_blame_for_stays_so(engine: SqliteEngine) -> None:
    write(engine, "one")
    with pytest.raises(sqlite3.IntegrityError) as caught:
        write(engine, "one")
    assert not engine.is_passing(caught.value)


async def test_the_writer_says_it_once_refuses_intents_and_keeps_records(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = LedgerWriter(path, loop=asyncio.get_running_loop())
    decision = Decision(Tier.MINI, "asked", None, None, "explicit@1")
    first, second = (Intent(f"req_{n}", "", "a", "mini", stream=False, started=1.0, decision=decision) for n in "ab")
    await ledger.open(first)
    os.truncate(path, 2 * PAGE)
    ledger.settle(Record("req_a", Outcome.ANSWERED, 200, (), 0.1, 0.2, None))
    async with asyncio.timeout(5):
        while not ledger.is_refused():
            await asyncio.sleep(0.01)
    for _ in range(2):
        with pytest.raises(Unavailable, match="cannot be written, so nothing is answered") as caught:
            await ledger.open(second)
        assert caught.value.code == "ledger_unavailable"
        await asyncio.sleep(0.05)
    assert repr(ledger).endswith("0 intents, 1 records>")
    assert caplog.text.count("it was cut from") == 1
    await ledger.aclose()


async def test_requests_are_refused_as_on_a_full_disk(open_house: OpenHouse, tmp_path: Path) -> None:
    async with open_house() as house:
        assert (await house.client.post("/v1/chat/completions", json=chat())).status_code == 200
        os.truncate(tmp_path / "ledger.db", 0)
        async with asyncio.timeout(5):  # until a record has found out
            while (answer := await house.client.post("/v1/chat/completions", json=chat())).status_code == 200:
                await asyncio.sleep(0.01)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "ledger_unavailable")
