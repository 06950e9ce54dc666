"""A connection -> a ledger file of this program's layout.

Makes what is missing and brings an older file up to date in place, each step as one transaction. Knows the tables
and nothing of what is written into them.
"""

import sqlite3

VERSION = 4
SCHEMA = """
CREATE TABLE IF NOT EXISTS requests (
    id TEXT PRIMARY KEY, caller_id TEXT NOT NULL, tenant TEXT NOT NULL, model TEXT NOT NULL,
    stream INTEGER NOT NULL, started REAL NOT NULL,
    tier TEXT NOT NULL, reason TEXT NOT NULL, score REAL, threshold REAL, scorer TEXT,
    policy TEXT NOT NULL, arm TEXT NOT NULL, propensity REAL NOT NULL,
    outcome TEXT, status INTEGER, first_byte REAL, duration REAL,
    cost INTEGER, baseline INTEGER, error TEXT NOT NULL DEFAULT '',
    verify REAL, p_wrong REAL, stay_cost INTEGER, switch_cost INTEGER,
    reserved INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS requests_started ON requests(started);
CREATE INDEX IF NOT EXISTS requests_caller ON requests(caller_id, tenant) WHERE caller_id <> '';
CREATE TABLE IF NOT EXISTS attempts (
    request_id TEXT NOT NULL, position INTEGER NOT NULL, kind TEXT NOT NULL, tier TEXT NOT NULL,
    model TEXT NOT NULL, replica TEXT NOT NULL,
    fresh_input INTEGER, cached_input INTEGER, output INTEGER, cost INTEGER,
    price_version TEXT NOT NULL, error TEXT NOT NULL,
    PRIMARY KEY (request_id, position)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS labels (
    request_id TEXT PRIMARY KEY, tenant TEXT NOT NULL, made REAL NOT NULL, prompt BLOB, answered TEXT NOT NULL,
    strong_score REAL, weak_score REAL, score REAL NOT NULL, scorer TEXT NOT NULL, threshold REAL,
    propensity REAL NOT NULL, grader TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS labels_text ON labels(made) WHERE prompt IS NOT NULL;
CREATE TABLE IF NOT EXISTS ratings (
    request_id TEXT PRIMARY KEY, tenant TEXT NOT NULL, given REAL NOT NULL, score REAL NOT NULL, comment TEXT
);
CREATE INDEX IF NOT EXISTS ratings_text ON ratings(given) WHERE comment IS NOT NULL;
"""

# From the version before to each version; what is a table of its own is made by `SCHEMA`.
_STEPS = {
    2: ("ALTER TABLE requests ADD COLUMN verify REAL", "ALTER TABLE requests ADD COLUMN p_wrong REAL"),
    3: ("ALTER TABLE requests ADD COLUMN stay_cost INTEGER", "ALTER TABLE requests ADD COLUMN switch_cost INTEGER"),
    4: ("ALTER TABLE requests ADD COLUMN reserved INTEGER NOT NULL DEFAULT 0",),
}


def prepare(connection: sqlite3.Connection) -> None:
    """Give the file this program's layout; a file of a later version is left as it is.

    Raises:
        sqlite3.DatabaseError: the file is no ledger, or one of a version that this program does not know.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if not 0 <= version <= VERSION:
        raise sqlite3.DatabaseError(f"its layout is version {version}, this program reads {VERSION}")
    for step in range(version + 1, VERSION + 1) if version else ():
        _take(connection, step)
    connection.executescript(SCHEMA)
    connection.execute(f"PRAGMA user_version={VERSION}")


def _take(connection: sqlite3.Connection, step: int) -> None:
    """Bring the file up by one version, wholly or not at all: its number is part of the transaction."""
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        for statement in _STEPS[step]:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version={step}")
