"""0005: whose requests are, assessments and signals, and cubes; in PostgreSQL ledgers begin with it.

What is a table of its own was made by whichever version opened the file last, so that it may be there already.
"""

from alembic import op

revision = "0005"
down_revision = "0004"

REQUESTS = """
user_hash TEXT NOT NULL DEFAULT '',
conversation_hash TEXT NOT NULL DEFAULT '',
unit TEXT NOT NULL DEFAULT '',
experiment TEXT NOT NULL DEFAULT '',
sampled REAL NOT NULL DEFAULT 0,
inputs TEXT NOT NULL DEFAULT '',
config TEXT NOT NULL DEFAULT '',
cache TEXT NOT NULL DEFAULT '',
overhead REAL,
finish TEXT NOT NULL DEFAULT '',
source TEXT NOT NULL DEFAULT '',
served TEXT NOT NULL DEFAULT '',
moved INTEGER NOT NULL DEFAULT 0,
minute INTEGER NOT NULL DEFAULT 0,
hour INTEGER NOT NULL DEFAULT 0,
day INTEGER NOT NULL DEFAULT 0
"""
ATTEMPTS = """
cache_write INTEGER NOT NULL DEFAULT 0,
cache_write_1h INTEGER NOT NULL DEFAULT 0,
audio_input INTEGER NOT NULL DEFAULT 0,
image_input INTEGER NOT NULL DEFAULT 0,
reasoning INTEGER NOT NULL DEFAULT 0,
audio_output INTEGER NOT NULL DEFAULT 0,
image_output INTEGER NOT NULL DEFAULT 0,
service_tier TEXT NOT NULL DEFAULT '',
usage_source TEXT NOT NULL DEFAULT '',
prefix_saved INTEGER NOT NULL DEFAULT 0
"""
TABLES = """
CREATE INDEX IF NOT EXISTS requests_caller ON requests (caller_id, tenant) WHERE caller_id <> '';
CREATE TABLE IF NOT EXISTS labels (
    request_id TEXT NOT NULL, tenant TEXT NOT NULL, made REAL NOT NULL, prompt BLOB, answered TEXT NOT NULL,
    strong_score REAL, weak_score REAL, score REAL NOT NULL, scorer TEXT NOT NULL, threshold REAL, propensity
    REAL NOT NULL, grader TEXT NOT NULL, PRIMARY KEY (request_id)
);
CREATE INDEX IF NOT EXISTS labels_text ON labels (made) WHERE prompt IS NOT NULL;
CREATE TABLE IF NOT EXISTS ratings (
    request_id TEXT NOT NULL, tenant TEXT NOT NULL, given REAL NOT NULL, score REAL NOT NULL, comment TEXT,
    PRIMARY KEY (request_id)
);
CREATE INDEX IF NOT EXISTS ratings_text ON ratings (given) WHERE comment IS NOT NULL;
CREATE INDEX requests_open ON requests (id) WHERE outcome IS NULL;
CREATE TABLE assessments (
    request_id TEXT NOT NULL, made REAL NOT NULL, tier TEXT NOT NULL, finish TEXT NOT NULL DEFAULT '', tokens
    INTEGER NOT NULL DEFAULT 0, repetition REAL NOT NULL DEFAULT 0, compression REAL NOT NULL DEFAULT 0,
    is_repetitive INTEGER NOT NULL DEFAULT 0, is_empty INTEGER NOT NULL DEFAULT 0, is_truncated INTEGER NOT NULL
    DEFAULT 0, is_refusal INTEGER NOT NULL DEFAULT 0, checks INTEGER NOT NULL DEFAULT 0, failed_checks INTEGER
    NOT NULL DEFAULT 0, logprob REAL, agreement REAL, judge TEXT NOT NULL DEFAULT '', PRIMARY KEY (request_id)
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
    DEFAULT 0, contradictory INTEGER NOT NULL DEFAULT 0, held INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (width,
    bucket, tenant, source, decided, outcome, experiment, arm, cache, model)
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
"""


def upgrade() -> None:
    """Add columns and tables; the cubes are filled by whoever runs this, once all steps are taken."""
    for table, columns in (("requests", REQUESTS), ("attempts", ATTEMPTS)):
        for column in columns.split(","):
            op.execute(f"ALTER TABLE {table} ADD COLUMN {column.strip()}")
    for statement in TABLES.split(";"):
        if statement.strip():
            op.execute(statement)
