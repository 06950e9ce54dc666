"""A few rows written by hand -> a ledger whose every figure can be worked out on paper.

The hour that ends at NOW holds eight requests, in nano-USD:

    id  tier decided -> answered by   streamed, first byte     cost       baseline
    a   mini                          0.1 s              1_000_000     10_000_000
    b   mini                          0.2 s              2_000_000     20_000_000
    c   large                         0.5 s             30_000_000     30_000_000
    d   kept                          0.01 s                     0     10_000_000
    e   large -> mini                 0.3 s              1_000_000     12_000_000
    f   failed on both tiers
    g   mini, in one piece                                 unknown        unknown
    h   open

The hour before holds one on Mini (i), and one older still (j) shows that the ledger was there by then.
"""

import sqlite3
import tempfile
from collections.abc import Iterable
from contextlib import closing
from functools import cache
from pathlib import Path

from sqlalchemy import create_engine

from router.ledger.engines.opening import engine_of
from router.ledger.place import SqlitePlace, reading
from router.ledger.rollup import fill
from router.ledger.tables import METADATA

NOW = 1_795_178_096.0  # Friday 2026-11-20, 12:34:56 UTC
MILLION = 1_000_000

_REQUEST: dict[str, object] = {
    "caller_id": "",
    "tenant": "acme",
    "model": "auto",
    "stream": 1,
    "tier": "mini",
    "reason": "score",
    "score": 0.2,
    "threshold": 0.42,
    "scorer": "linear@1",
    "policy": "threshold@1",
    "arm": "",
    "propensity": 1.0,
    "outcome": "answered",
    "status": 200,
    "duration": 1.0,
}
_TRY = """
INSERT INTO attempts (request_id, position, kind, tier, model, replica, fresh_input, cached_input, output, cost,
    price_version, error, usage_source)
VALUES (?, ?, ?, ?, 'some-model', '127.0.0.1:1', 10, 0, 5, 1, 'p1', ?, 'provider')
"""


@cache
def _empty() -> bytes:
    """Return the file of a ledger without a row, in write-ahead mode as the gateway has it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "empty.db"
        engine = create_engine(f"sqlite:///{path}")
        METADATA.create_all(engine)
        engine.dispose()
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
        return path.read_bytes()


def create(path: Path) -> None:
    """Make an empty ledger."""
    path.write_bytes(_empty())


def ask(path: Path, request_id: str, *, tried: tuple[tuple[str, str], ...] = (), **columns: object) -> None:
    """Write one request; `tried` are its attempts as (tier, error)."""
    attempts = [
        (request_id, position, "failover" if position else "primary", tier, error)
        for position, (tier, error) in enumerate(tried)
    ]
    ask_many(path, [{"id": request_id, **columns}], attempts)


def ask_many(
    path: Path, requests: Iterable[dict[str, object]] = (), attempts: Iterable[tuple[object, ...]] = ()
) -> None:
    """Write requests that name only what is not usual in them, and rows of attempts; then add all up anew."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA synchronous=OFF")
        for request in requests:
            row = {"started": NOW, **_REQUEST, **request}
            marks = ", ".join(f":{name}" for name in row)
            connection.execute(f"INSERT INTO requests ({', '.join(row)}) VALUES ({marks})", row)  # noqa: S608 - names of ours
        connection.executemany(_TRY, attempts)
    add_up(path)


def add_up(path: Path) -> None:
    """Make the sums of a ledger anew from its rows."""
    engine = engine_of(SqlitePlace(path))
    with reading(path) as opened, engine.transaction():
        for table in ("totals", "spreads", "units"):
            engine.run(f"DELETE FROM {table}", {})  # noqa: S608 - likewise
        fill(engine, opened.rows)
    engine.close()


def write_an_hour(path: Path) -> None:
    """Make the ledger that the head of this file draws."""
    path.write_bytes(_an_hour())


@cache
def _an_hour() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hour.db"
        create(path)
        _ask_of_an_hour(path)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return path.read_bytes()


def _ask_of_an_hour(path: Path) -> None:
    ask(path, "a", started=NOW - 600, first_byte=0.1, cost=MILLION, baseline=10 * MILLION, tried=(("mini", ""),))
    ask(path, "b", started=NOW - 590, first_byte=0.2, cost=2 * MILLION, baseline=20 * MILLION, caller_id="mine")
    ask(path, "c", started=NOW - 300, first_byte=0.5, cost=30 * MILLION, baseline=30 * MILLION, tier="large", score=0.9)
    ask(path, "d", started=NOW - 200, first_byte=0.01, cost=0, baseline=10 * MILLION, outcome="kept", reason="kept")
    moved = (("large", "Overloaded"), ("mini", ""))
    ask(path, "e", started=NOW - 100, first_byte=0.3, cost=MILLION, baseline=12 * MILLION, tried=moved, tier="large")
    neither = (("large", "Overloaded"), ("mini", "ConnectFailed"))
    ask(path, "f", started=NOW - 90, outcome="failed", status=502, error="RoutesFailed", tried=neither, tier="large")
    ask(path, "g", started=NOW - 80, stream=0, first_byte=1.0, caller_id="mine")
    ask(path, "h", started=NOW - 5, outcome=None, status=None, duration=None)
    ask(path, "i", started=NOW - 5_000, first_byte=0.4, cost=5 * MILLION, baseline=50 * MILLION)
    ask(path, "j", started=NOW - 9_000, first_byte=0.4, cost=5 * MILLION, baseline=50 * MILLION)
