"""router/ledger/layout.py: a new file is laid out as the tables say, an older one brought up to date in place.

router/ledger/layout.py, router/ledger/migrations/running.py, router/ledger/migrations/env.py,
router/ledger/migrations/versions/step_1_requests.py, router/ledger/migrations/versions/step_2_verified.py,
router/ledger/migrations/versions/step_3_stayed.py, router/ledger/migrations/versions/step_4_reserved.py,
router/ledger/migrations/versions/step_5_cubes.py, router/ledger/migrations/versions/step_6_reply_keys.py,
router/ledger/migrations/versions/step_7_looked_at.py, router/ledger/migrations/versions/step_8_written_flag.py
"""

import asyncio
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from backends.base import Usage
from classifier.base import Score
from router.base import Attempt, Decision, Intent, Outcome, Record, Tier
from router.insight.overview import SPANS
from router.ledger.layout import prepare
from router.ledger.place import reading
from router.ledger.reading import iter_requests, read_window
from router.ledger.rollup import verify
from router.ledger.tables import METADATA
from router.ledger.versions import REVISION, VERSION
from router.ledger.writer import LedgerWriter

# As the first version made it.
FIRST = """
CREATE TABLE requests (
    id TEXT PRIMARY KEY, caller_id TEXT NOT NULL, tenant TEXT NOT NULL, model TEXT NOT NULL,
    stream INTEGER NOT NULL, started REAL NOT NULL,
    tier TEXT NOT NULL, reason TEXT NOT NULL, score REAL, threshold REAL, scorer TEXT,
    policy TEXT NOT NULL, arm TEXT NOT NULL, propensity REAL NOT NULL,
    outcome TEXT, status INTEGER, first_byte REAL, duration REAL,
    cost INTEGER, baseline INTEGER, error TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE INDEX requests_started ON requests(started);
CREATE TABLE attempts (
    request_id TEXT NOT NULL, position INTEGER NOT NULL, kind TEXT NOT NULL, tier TEXT NOT NULL,
    model TEXT NOT NULL, replica TEXT NOT NULL,
    fresh_input INTEGER, cached_input INTEGER, output INTEGER, cost INTEGER,
    price_version TEXT NOT NULL, error TEXT NOT NULL,
    PRIMARY KEY (request_id, position)
) WITHOUT ROWID;
PRAGMA user_version=1;
"""


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A ledger of the first version, with one settled request and one that was left open."""
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.executescript(FIRST)
        for name, outcome in (("a", "answered"), ("b", None)):
            connection.execute(
                "INSERT INTO requests VALUES (?, 'mine', 'acme', 'auto', 0, 5.0, 'mini', 'score', 0.2, 0.5,"
                " 'linear@1', 'threshold@1', '', 1.0, ?, 200, 0.1, 0.2, 7, 70, '')",
                (name, outcome),
            )
        connection.execute("INSERT INTO attempts VALUES ('a', 0, 'primary', 'mini', 's', 'h:1', 1, 0, 2, 7, 'v', '')")
    return path


def names(path: Path, table: str) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")]


def columns(path: Path) -> dict[str, list[str]]:
    with closing(sqlite3.connect(path)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return {table: names(path, table) for table in sorted(tables)}


def details(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return [
            (table, *row)
            for table in METADATA.tables
            for row in connection.execute(f"PRAGMA table_info({table})").fetchall()
        ]


def indexes(path: Path) -> dict[str, str]:
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
        return {name: " ".join(sql.replace("(", " (").split()) for name, sql in found}


def test_a_new_file_is_laid_out_as_the_tables_say(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "new.db", isolation_level=None)) as connection:
        prepare(connection)
        layout = [
            tuple(row[1:6]) for table in METADATA.tables for row in connection.execute(f"PRAGMA table_info({table})")
        ]
    engine = create_engine(f"sqlite:///{tmp_path / 'tables.db'}", poolclass=NullPool)
    METADATA.create_all(engine)
    with closing(sqlite3.connect(tmp_path / "tables.db")) as connection:
        told = [
            tuple(row[1:6]) for table in METADATA.tables for row in connection.execute(f"PRAGMA table_info({table})")
        ]
    assert layout == told
    assert indexes(tmp_path / "new.db") == indexes(tmp_path / "tables.db")
    assert columns(tmp_path / "new.db").keys() - columns(tmp_path / "tables.db").keys() == {"alembic_version"}
    with closing(sqlite3.connect(tmp_path / "new.db")) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(REVISION,)]
        assert connection.execute("PRAGMA user_version").fetchone() == (VERSION,) == (int(REVISION),)


def test_neither_a_new_nor_an_up_to_date_file_needs_what_makes_and_upgrades_ledgers(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib; from router.ledger.holding import hold; import router.ledger.writer\n"
        "for _ in range(2): hold(pathlib.Path(sys.argv[1])).close()\n"
        "print(*sorted({'sqlalchemy', 'alembic', 'psycopg'} & sys.modules.keys()))"
    )
    told = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "l.db")],
        capture_output=True,
        check=True,
        timeout=30,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert told.stdout.strip() == b""


def test_a_file_of_another_program_is_left_as_it_is(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "l.db", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE songs (name TEXT)")
        with pytest.raises(sqlite3.DatabaseError, match="tables of another program"):
            prepare(connection)
    assert list(columns(tmp_path / "l.db")) == ["songs"]


async def test_an_old_ledger_keeps_its_rows_and_takes_new_ones(old: Path) -> None:
    ledger = LedgerWriter(old, loop=asyncio.get_running_loop())
    decision = Decision(Tier.MINI, "between", Score(0.4, "linear@1"), 0.5, "cascade@1", verify=0.3)
    await ledger.open(Intent("c", "", "acme", "auto", stream=False, started=6.0, decision=decision))
    attempt = Attempt("primary", Tier.MINI, "s", "h:1", Usage(1, None, 2), 3, "v")
    ledger.settle(Record("c", Outcome.ANSWERED, 200, (attempt,), 0.1, 0.2, 30, p_wrong=0.1))
    await ledger.aclose()
    rows = {row["id"]: row for row in iter_requests(old)}
    assert [(row["cost"], row["outcome"], row["verify"], row["p_wrong"]) for row in rows.values()] == [
        (7, "answered", None, None),
        (None, "interrupted", None, None),
        (3, "answered", 0.3, 0.1),
    ]
    assert len(rows["a"]["attempts"]) == 1
    line = read_window(old, SPANS["1h"].window(10.0), latest=1).latest[0]
    assert (line.verify, line.p_wrong) == (0.3, 0.1)


async def test_an_upgraded_file_is_laid_out_as_a_new_one_and_opens_again(old: Path, tmp_path: Path) -> None:
    for _ in range(2):
        await LedgerWriter(old, loop=asyncio.get_running_loop()).aclose()
    fresh = tmp_path / "new.db"
    await LedgerWriter(fresh, loop=asyncio.get_running_loop()).aclose()
    assert columns(old) == columns(fresh)
    assert indexes(old) == indexes(fresh)
    assert verify(old) == []
    with reading(old) as ledger:
        assert list(ledger.rows("SELECT source, outcome, requests, cost FROM totals WHERE width = 60")) == [
            {"source": "mini", "outcome": "answered", "requests": 1, "cost": 7},
            {"source": "mini", "outcome": "interrupted", "requests": 1, "cost": 0},
        ]
    with closing(sqlite3.connect(old)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (VERSION,)
        plan = connection.execute(
            "EXPLAIN QUERY PLAN SELECT id FROM requests WHERE caller_id = 'x' AND caller_id <> '' AND tenant = 't'"
        ).fetchall()
    assert "requests_caller" in plan[0][3]


def test_a_step_is_taken_wholly_or_not_at_all(old: Path) -> None:
    with closing(sqlite3.connect(old, isolation_level=None)) as connection:
        connection.execute("ALTER TABLE requests ADD COLUMN p_wrong REAL")  # in the way of the step's second half
        with pytest.raises(sqlite3.OperationalError, match="duplicate column"):
            prepare(connection)
    assert "verify" not in names(old, "requests")
    assert names(old, "labels") == []
    with closing(sqlite3.connect(old)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)


@pytest.mark.parametrize("version", [VERSION + 1, -1])
def test_a_file_of_a_version_that_is_not_known_is_left_as_it_is(version: int, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "l.db", isolation_level=None)) as connection:
        connection.execute(f"PRAGMA user_version={version}")
        with pytest.raises(sqlite3.DatabaseError, match=f"version {version}"):
            prepare(connection)
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
