"""router/ledger/sqlite.py: one record for each request, whatever happens."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from backends.base import Usage
from router.base import Attempt, Decision, Intent, Outcome, Record, Tier, Unavailable
from router.ledger.reading import iter_requests
from router.ledger.sqlite import SqliteLedger


def intent(name: str) -> Intent:
    return Intent(
        name, "", "acme", "auto", stream=False, started=1.0, decision=Decision(Tier.MINI, "asked", None, None, "p@1")
    )


def record(name: str, *, cost: int | None = 5) -> Record:
    attempt = Attempt("primary", Tier.MINI, "small", "h:1", Usage(1, None, 2), cost, "v")
    return Record(name, Outcome.ANSWERED, 200, (attempt,), 0.1, 0.2, 50)


async def test_an_intent_is_in_the_file_before_its_wait_ends(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "l.db", loop=asyncio.get_running_loop())
    await ledger.open(intent("a"))
    with sqlite3.connect(tmp_path / "l.db") as reader:
        assert reader.execute("SELECT id, outcome FROM requests").fetchall() == [("a", None)]
    reader.close()
    ledger.settle(record("a"))
    await ledger.aclose()
    (row,) = iter_requests(tmp_path / "l.db")
    assert (row["outcome"], row["cost"], row["baseline"]) == ("answered", 5, 50)


async def test_ten_thousand_settled_at_once_are_all_kept(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "l.db", loop=asyncio.get_running_loop())
    waits = [ledger.open(intent(f"r{i}")) for i in range(10_000)]
    for i in range(10_000):
        ledger.settle(record(f"r{i}"))
    await asyncio.gather(*waits)
    await ledger.aclose()
    assert sum(row["outcome"] == "answered" for row in iter_requests(tmp_path / "l.db")) == 10_000


async def test_a_second_settlement_changes_nothing(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "l.db", loop=asyncio.get_running_loop())
    await ledger.open(intent("a"))
    ledger.settle(record("a", cost=5))
    ledger.settle(record("a", cost=7))
    await ledger.aclose()
    (row,) = iter_requests(tmp_path / "l.db")
    assert row["cost"] == 5
    assert len(row["attempts"]) == 1


async def test_a_second_gateway_on_the_same_file_is_refused(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    first = SqliteLedger(tmp_path / "l.db", loop=loop)
    with pytest.raises(Unavailable, match="in use by another gateway"):
        SqliteLedger(tmp_path / "l.db", loop=loop)
    await first.aclose()
    await SqliteLedger(tmp_path / "l.db", loop=loop).aclose()


async def test_a_file_of_another_layout_is_refused(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "l.db")
    connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(Unavailable, match="version 99"):
        SqliteLedger(tmp_path / "l.db", loop=asyncio.get_running_loop())


async def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "l.db").write_bytes(b"not a database" * 100)
    with pytest.raises(Unavailable, match="cannot be opened"):
        SqliteLedger(tmp_path / "l.db", loop=asyncio.get_running_loop())


_KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from router.ledger.sqlite import SqliteLedger
from tests.router.ledger.test_sqlite import intent, record
async def main():
    ledger = SqliteLedger(Path(sys.argv[1]), loop=asyncio.get_running_loop())
    for i in range(200):
        await ledger.open(intent(f"r{i:03d}"))
        print(f"r{i:03d}", flush=True)
        if i % 2:
            ledger.settle(record(f"r{i:03d}"))
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""


async def test_a_kill_loses_no_intent_and_the_next_start_closes_the_open_ones(tmp_path: Path) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, str(tmp_path / "l.db")],
        capture_output=True,
        check=False,
        timeout=30,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    acknowledged = killed.stdout.decode().split()
    assert len(acknowledged) == 200
    await SqliteLedger(tmp_path / "l.db", loop=asyncio.get_running_loop()).aclose()
    rows = {row["id"]: row["outcome"] for row in iter_requests(tmp_path / "l.db")}
    assert set(rows) == set(acknowledged)
    assert set(rows.values()) <= {"answered", "interrupted"}


async def test_a_ledger_that_refuses_writes_fails_the_wait_and_recovers(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "l.db", loop=asyncio.get_running_loop())
    await ledger.open(intent("before"))
    ledger._connection.execute("PRAGMA query_only=ON")
    with pytest.raises(Unavailable, match="cannot be written"):
        await ledger.open(intent("refused"))
    ledger.settle(record("before"))  # its answer was given: it must get in as soon as the file takes it
    await asyncio.sleep(0.1)
    ledger._connection.execute("PRAGMA query_only=OFF")
    await asyncio.sleep(1.0)
    await ledger.open(intent("after"))
    await ledger.aclose()
    rows = {row["id"]: row["outcome"] for row in iter_requests(tmp_path / "l.db")}
    assert rows == {"before": "answered", "after": None}


async def test_one_record_that_cannot_be_held_does_not_stop_the_others(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "l.db", loop=asyncio.get_running_loop())
    await asyncio.gather(*(ledger.open(intent(name)) for name in "abc"))
    for name, cost in (("a", 1), ("b", 1 << 70), ("c", 3)):
        ledger.settle(record(name, cost=cost))
    await ledger.open(intent("d"))
    await ledger.aclose()
    rows = {row["id"]: row["cost"] for row in iter_requests(tmp_path / "l.db")}
    assert rows == {"a": 1, "b": None, "c": 3, "d": None}
