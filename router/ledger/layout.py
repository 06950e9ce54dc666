"""A connection -> a ledger of this program's layout.

A new file is made from `SCHEMA`, which says of SQLite what `tables.py` says of both engines: it is opened often, and
SQLAlchemy would take longer to load than all the rest. Whatever is older, or in PostgreSQL, is for `migrations`. Knows
the tables and nothing of what is written into them.
"""

import sqlite3
from typing import Final

from router.ledger.place import PostgresPlace, revision_in
from router.ledger.versions import REVISION, VERSION, fault_of

SCHEMA: Final = """
CREATE TABLE requests (
    id TEXT NOT NULL, caller_id TEXT NOT NULL, tenant TEXT NOT NULL, model TEXT NOT NULL, stream INTEGER NOT
    NULL, started REAL NOT NULL, tier TEXT NOT NULL, reason TEXT NOT NULL, score REAL, threshold REAL, scorer
    TEXT, policy TEXT NOT NULL, arm TEXT NOT NULL, propensity REAL NOT NULL, outcome TEXT, status INTEGER,
    first_byte REAL, duration REAL, cost INTEGER, baseline INTEGER, error TEXT NOT NULL DEFAULT '', verify REAL,
    p_wrong REAL, stay_cost INTEGER, switch_cost INTEGER, reserved INTEGER NOT NULL DEFAULT 0, user_hash TEXT
    NOT NULL DEFAULT '', conversation_hash TEXT NOT NULL DEFAULT '', unit TEXT NOT NULL DEFAULT '', experiment
    TEXT NOT NULL DEFAULT '', sampled REAL NOT NULL DEFAULT 0, inputs TEXT NOT NULL DEFAULT '', config TEXT NOT
    NULL DEFAULT '', cache TEXT NOT NULL DEFAULT '', overhead REAL, finish TEXT NOT NULL DEFAULT '', source TEXT
    NOT NULL DEFAULT '', served TEXT NOT NULL DEFAULT '', moved INTEGER NOT NULL DEFAULT 0, minute INTEGER NOT
    NULL DEFAULT 0, hour INTEGER NOT NULL DEFAULT 0, day INTEGER NOT NULL DEFAULT 0, reply_key TEXT NOT NULL
    DEFAULT '', PRIMARY KEY (id)
) WITHOUT ROWID;
CREATE INDEX requests_caller ON requests (caller_id, tenant) WHERE caller_id <> '';
CREATE INDEX requests_open ON requests (id) WHERE outcome IS NULL;
CREATE INDEX requests_started ON requests (started);
CREATE TABLE attempts (
    request_id TEXT NOT NULL, position INTEGER NOT NULL, kind TEXT NOT NULL, tier TEXT NOT NULL, model TEXT NOT
    NULL, replica TEXT NOT NULL, fresh_input INTEGER, cached_input INTEGER, output INTEGER, cost INTEGER,
    price_version TEXT NOT NULL, error TEXT NOT NULL, cache_write INTEGER NOT NULL DEFAULT 0, cache_write_1h
    INTEGER NOT NULL DEFAULT 0, audio_input INTEGER NOT NULL DEFAULT 0, image_input INTEGER NOT NULL DEFAULT 0,
    reasoning INTEGER NOT NULL DEFAULT 0, audio_output INTEGER NOT NULL DEFAULT 0, image_output INTEGER NOT NULL
    DEFAULT 0, service_tier TEXT NOT NULL DEFAULT '', usage_source TEXT NOT NULL DEFAULT '', prefix_saved
    INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (request_id, position)
) WITHOUT ROWID;
CREATE TABLE labels (
    request_id TEXT NOT NULL, tenant TEXT NOT NULL, made REAL NOT NULL, prompt BLOB, answered TEXT NOT NULL,
    strong_score REAL, weak_score REAL, score REAL NOT NULL, scorer TEXT NOT NULL, threshold REAL, propensity
    REAL NOT NULL, grader TEXT NOT NULL, PRIMARY KEY (request_id)
);
CREATE INDEX labels_text ON labels (made) WHERE prompt IS NOT NULL;
CREATE TABLE ratings (
    request_id TEXT NOT NULL, tenant TEXT NOT NULL, given REAL NOT NULL, score REAL NOT NULL, comment TEXT,
    PRIMARY KEY (request_id)
);
CREATE INDEX ratings_text ON ratings (given) WHERE comment IS NOT NULL;
CREATE TABLE assessments (
    request_id TEXT NOT NULL, made REAL NOT NULL, tier TEXT NOT NULL, finish TEXT NOT NULL DEFAULT '', tokens
    INTEGER NOT NULL DEFAULT 0, repetition REAL NOT NULL DEFAULT 0, compression REAL NOT NULL DEFAULT 0,
    is_repetitive INTEGER NOT NULL DEFAULT 0, is_empty INTEGER NOT NULL DEFAULT 0, is_truncated INTEGER NOT NULL
    DEFAULT 0, is_refusal INTEGER NOT NULL DEFAULT 0, checks INTEGER NOT NULL DEFAULT 0, failed_checks INTEGER
    NOT NULL DEFAULT 0, logprob REAL, agreement REAL, judge TEXT NOT NULL DEFAULT '',
    repetition_written INTEGER, PRIMARY KEY (request_id)
) WITHOUT ROWID;
CREATE TABLE signals (
    id TEXT NOT NULL, request_id TEXT NOT NULL, tenant TEXT NOT NULL, given REAL NOT NULL, kind TEXT NOT NULL,
    value REAL NOT NULL, source TEXT NOT NULL, repeats INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (id)
) WITHOUT ROWID;
CREATE INDEX signals_request ON signals (request_id);
CREATE TABLE totals (
    width INTEGER NOT NULL, bucket INTEGER NOT NULL, tenant TEXT NOT NULL, source TEXT NOT NULL, decided TEXT
    NOT NULL, outcome TEXT NOT NULL, experiment TEXT NOT NULL, arm TEXT NOT NULL, cache TEXT NOT NULL, model
    TEXT NOT NULL, requests INTEGER NOT NULL DEFAULT 0, moved INTEGER NOT NULL DEFAULT 0, cost INTEGER NOT NULL
    DEFAULT 0, unpriced INTEGER NOT NULL DEFAULT 0, priced_cost INTEGER NOT NULL DEFAULT 0, baseline INTEGER NOT
    NULL DEFAULT 0, learning INTEGER NOT NULL DEFAULT 0, overhead_cost INTEGER NOT NULL DEFAULT 0, prefix_saved
    INTEGER NOT NULL DEFAULT 0, cache_avoided INTEGER NOT NULL DEFAULT 0, estimated_usage INTEGER NOT NULL
    DEFAULT 0, contradictory INTEGER NOT NULL DEFAULT 0, held INTEGER NOT NULL DEFAULT 0, assessed INTEGER NOT
    NULL DEFAULT 0, repetitive INTEGER NOT NULL DEFAULT 0, refused INTEGER NOT NULL DEFAULT 0, empty INTEGER NOT
    NULL DEFAULT 0, truncated INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (width, bucket, tenant, source, decided,
    outcome, experiment, arm, cache, model)
) WITHOUT ROWID;
CREATE TABLE spreads (
    width INTEGER NOT NULL, bucket INTEGER NOT NULL, source TEXT NOT NULL, kind TEXT NOT NULL, bin INTEGER NOT
    NULL, n INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (width, bucket, source, kind, bin)
) WITHOUT ROWID;
CREATE TABLE units (
    day INTEGER NOT NULL, tenant TEXT NOT NULL, unit TEXT NOT NULL, experiment TEXT NOT NULL, arm TEXT NOT NULL,
    requests INTEGER NOT NULL DEFAULT 0, answered INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0,
    cost INTEGER NOT NULL DEFAULT 0, cost_sq REAL NOT NULL DEFAULT 0, baseline INTEGER NOT NULL DEFAULT 0,
    large_n INTEGER NOT NULL DEFAULT 0, large_cost INTEGER NOT NULL DEFAULT 0, rest_n INTEGER NOT NULL DEFAULT
    0, rest_known INTEGER NOT NULL DEFAULT 0, rest_input INTEGER NOT NULL DEFAULT 0, rest_output INTEGER NOT
    NULL DEFAULT 0, rest_scored INTEGER NOT NULL DEFAULT 0, rest_score REAL NOT NULL DEFAULT 0, assessed INTEGER
    NOT NULL DEFAULT 0, repetitive INTEGER NOT NULL DEFAULT 0, refused INTEGER NOT NULL DEFAULT 0, empty INTEGER
    NOT NULL DEFAULT 0, truncated INTEGER NOT NULL DEFAULT 0, overhead_sum REAL NOT NULL DEFAULT 0, overhead_n
    INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (day, tenant, unit, experiment, arm)
) WITHOUT ROWID;
CREATE TABLE marks (
    name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (name)
) WITHOUT ROWID;
CREATE TABLE alembic_version (
    version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO alembic_version VALUES ('0008');
PRAGMA user_version=8;
"""


def prepare(connection: sqlite3.Connection) -> None:
    """Give the file this program's layout; a file of a later version is left as it is.

    Raises:
        sqlite3.DatabaseError: the file is no ledger, or one of a version that this program does not know.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if fault := fault_of(revision_in(connection), version):
        raise sqlite3.DatabaseError(fault)
    if version == VERSION:
        return
    if version:
        from router.ledger.migrations.running import upgrade_file  # noqa: PLC0415 - heavy, and once in a file's life

        upgrade_file(connection, version)
        return
    if connection.execute("SELECT count(*) FROM sqlite_master").fetchone() != (0,):
        raise sqlite3.DatabaseError("it holds tables of another program: choose another path")
    connection.executescript(f"BEGIN IMMEDIATE; {SCHEMA} COMMIT;")


def prepare_database(place: PostgresPlace) -> None:
    """Give a database this program's layout; the gateway holds it.

    Raises:
        psycopg.Error: it cannot be reached, or is of a version that this program does not know.
    """
    from router.ledger.engines.postgres import connected_to, revision_of  # noqa: PLC0415 - needs psycopg

    with connected_to(place, name="layout") as connection:
        if revision_of(connection) == REVISION:
            return
    from router.ledger.migrations.running import upgrade_database  # noqa: PLC0415 - heavy, and once in a version's life

    upgrade_database(place)
