"""The tables of a ledger, as SQLAlchemy Core knows them, for both engines.

    raw     requests, attempts, assessments, signals; labels, ratings
    cubes   totals, spreads, units; written in the transaction of the rows that they sum up, for settled requests alone
    marks   what the ledger says of itself, such as the time before which raw rows have been erased

Only what makes and upgrades a ledger loads this; who writes and reads speaks SQL. Times are seconds since 1970, money
is whole nano-USD, tokens and rows are counted. Text sorts by its bytes on both engines.
"""

from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import (
    REAL,
    BigInteger,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeEngine

METADATA: Final = MetaData()

TEXT: Final = Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
WHOLE: Final = BigInteger().with_variant(Integer(), "sqlite")
NUMBER: Final[TypeEngine[Any]] = Double().with_variant(REAL(), "sqlite")


def _word(name: str) -> Column[Any]:
    """Return a column of text, "" where nothing is said."""
    return Column(name, TEXT, nullable=False, server_default=text("''"))


def _count(name: str) -> Column[Any]:
    """Return a column of a whole number, 0 where nothing is said."""
    return Column(name, WHOLE, nullable=False, server_default=text("0"))


def _sum(name: str) -> Column[Any]:
    """Return a column of a sum of numbers."""
    return Column(name, NUMBER, nullable=False, server_default=text("0"))


def _table(name: str, columns: Iterable[Column[Any]], key: str, *indexes: Index) -> Table:
    """Return a table whose rows lie in the order of their key, where the engine can do that."""
    return Table(
        name,
        METADATA,
        *columns,
        PrimaryKeyConstraint(*key.split()),
        *indexes,
        sqlite_with_rowid=False,
    )


REQUESTS: Final = _table(
    "requests",
    (
        Column("id", TEXT, nullable=False),
        Column("caller_id", TEXT, nullable=False),
        Column("tenant", TEXT, nullable=False),
        Column("model", TEXT, nullable=False),  # as the caller named it
        Column("stream", Integer, nullable=False),
        Column("started", NUMBER, nullable=False),
        Column("tier", TEXT, nullable=False),  # that was decided on
        Column("reason", TEXT, nullable=False),
        Column("score", NUMBER),
        Column("threshold", NUMBER),
        Column("scorer", TEXT),
        Column("policy", TEXT, nullable=False),
        Column("arm", TEXT, nullable=False),
        Column("propensity", NUMBER, nullable=False),
        Column("outcome", TEXT),  # NULL while it is open
        Column("status", Integer),
        Column("first_byte", NUMBER),
        Column("duration", NUMBER),
        Column("cost", WHOLE),  # of all attempts but those for learning; NULL where one of them is unknown
        Column("baseline", WHOLE),
        _word("error"),
        Column("verify", NUMBER),
        Column("p_wrong", NUMBER),
        Column("stay_cost", WHOLE),
        Column("switch_cost", WHOLE),
        _count("reserved"),
        _word("user_hash"),
        _word("conversation_hash"),
        _word("unit"),  # of an experiment, else user, else conversation, else "~" and two digits of a hash of the time
        _word("experiment"),
        _sum("sampled"),
        _word("inputs"),
        _word("config"),
        _word("cache"),
        Column("overhead", NUMBER),
        _word("finish"),
        _word("source"),  # who answered: large, mini or cache; where nobody did, the tier that was decided on
        _word("served"),  # the model that answered; "" where none did, or the cache
        _count("moved"),  # 1: a second tier was tried
        _count("minute"),  # since 1970, of `started`; likewise:
        _count("hour"),
        _count("day"),
        _word("reply_key"),  # of requests with one, those may get one and the same kept reply
    ),
    "id",
    Index("requests_started", "started"),
    Index(
        "requests_caller",
        "caller_id",
        "tenant",
        sqlite_where=text("caller_id <> ''"),
        postgresql_where=text("caller_id <> ''"),
    ),
    Index("requests_open", "id", sqlite_where=text("outcome IS NULL"), postgresql_where=text("outcome IS NULL")),
)

ATTEMPTS: Final = _table(
    "attempts",
    (
        Column("request_id", TEXT, nullable=False),
        Column("position", Integer, nullable=False),  # from 1,000 on: made after the request, for learning
        Column("kind", TEXT, nullable=False),
        Column("tier", TEXT, nullable=False),
        Column("model", TEXT, nullable=False),
        Column("replica", TEXT, nullable=False),
        Column("fresh_input", WHOLE),
        Column("cached_input", WHOLE),
        Column("output", WHOLE),
        Column("cost", WHOLE),
        Column("price_version", TEXT, nullable=False),
        Column("error", TEXT, nullable=False),
        _count("cache_write"),
        _count("cache_write_1h"),
        _count("audio_input"),
        _count("image_input"),
        _count("reasoning"),
        _count("audio_output"),
        _count("image_output"),
        _word("service_tier"),
        _word("usage_source"),
        _count("prefix_saved"),  # what its cached input would have cost more, had it been computed anew
    ),
    "request_id position",
)

LABELS: Final = Table(
    "labels",
    METADATA,
    Column("request_id", TEXT, primary_key=True),
    Column("tenant", TEXT, nullable=False),
    Column("made", NUMBER, nullable=False),
    Column("prompt", LargeBinary),
    Column("answered", TEXT, nullable=False),
    Column("strong_score", NUMBER),
    Column("weak_score", NUMBER),
    Column("score", NUMBER, nullable=False),
    Column("scorer", TEXT, nullable=False),
    Column("threshold", NUMBER),
    Column("propensity", NUMBER, nullable=False),
    Column("grader", TEXT, nullable=False),
    Index("labels_text", "made", sqlite_where=text("prompt IS NOT NULL"), postgresql_where=text("prompt IS NOT NULL")),
)

RATINGS: Final = Table(
    "ratings",
    METADATA,
    Column("request_id", TEXT, primary_key=True),
    Column("tenant", TEXT, nullable=False),
    Column("given", NUMBER, nullable=False),
    Column("score", NUMBER, nullable=False),
    Column("comment", TEXT),
    Index(
        "ratings_text", "given", sqlite_where=text("comment IS NOT NULL"), postgresql_where=text("comment IS NOT NULL")
    ),
)

ASSESSMENTS: Final = _table(
    "assessments",
    (
        Column("request_id", TEXT, nullable=False),
        Column("made", NUMBER, nullable=False),
        Column("tier", TEXT, nullable=False),
        _word("finish"),
        _count("tokens"),
        _sum("repetition"),
        _sum("compression"),
        _count("is_repetitive"),  # 0 or 1, as those below
        _count("is_empty"),
        _count("is_truncated"),
        _count("is_refusal"),
        _count("checks"),
        _count("failed_checks"),
        Column("logprob", NUMBER),
        Column("agreement", NUMBER),
        _word("judge"),
        Column("repetition_written", Integer),  # 0 or 1; NULL of those that were looked at before it was
    ),
    "request_id",
)

SIGNALS: Final = _table(
    "signals",
    (
        Column("id", TEXT, nullable=False),  # a digest of request, kind and source
        Column("request_id", TEXT, nullable=False),
        Column("tenant", TEXT, nullable=False),
        Column("given", NUMBER, nullable=False),
        Column("kind", TEXT, nullable=False),
        Column("value", NUMBER, nullable=False),
        Column("source", TEXT, nullable=False),
        _count("repeats"),  # how often it was given again; the last one stands
    ),
    "id",
    Index("signals_request", "request_id"),
)

# One row for each width (60, 3,600, 21,600 and 86,400 s) and bucket (since 1970, in widths) of `started`.
# `decided` is requests.tier, `model` is requests.served, the others are named as in requests.
TOTALS: Final = _table(
    "totals",
    (
        Column("width", Integer, nullable=False),
        Column("bucket", WHOLE, nullable=False),
        *(
            Column(name, TEXT, nullable=False)
            for name in "tenant source decided outcome experiment arm cache model".split()
        ),
        _count("requests"),
        _count("moved"),
        _count("cost"),  # where it is known
        _count("unpriced"),  # requests that lack cost or baseline, but for what failed or was rejected
        _count("priced_cost"),  # of the requests that have both
        _count("baseline"),  # of the same
        _count("learning"),  # shadow calls and what else is asked after the answer; no part of `cost`
        _count("overhead_cost"),  # part of `cost`: escalation, judge, retried, hedge_loser, classifier, guardrail
        _count("prefix_saved"),
        _count("cache_avoided"),  # baseline of what was answered from the cache
        _count("estimated_usage"),  # attempts whose usage was estimated
        _count("contradictory"),  # attempts whose usage cannot be
        _count("held"),  # reserved for requests whose cost is unknown: it counts as spent
        _count("assessed"),  # requests whose reply was looked at; of them, those that are:
        _count("repetitive"),
        _count("refused"),
        _count("empty"),
        _count("truncated"),
    ),
    "width bucket tenant source decided outcome experiment arm cache model",
)

# How long things took: in each bin (see router.ledger.bins), how many.
SPREADS: Final = _table(
    "spreads",
    (
        Column("width", Integer, nullable=False),
        Column("bucket", WHOLE, nullable=False),
        Column("source", TEXT, nullable=False),
        Column("kind", TEXT, nullable=False),  # first_token, of streamed answers; overhead, of whatever has one
        Column("bin", Integer, nullable=False),
        _count("n"),
    ),
    "width bucket source kind bin",
)

# Sums of a day for each who counts as one: what intervals and experiments are worked out from.
UNITS: Final = _table(
    "units",
    (
        Column("day", WHOLE, nullable=False),
        *(Column(name, TEXT, nullable=False) for name in "tenant unit experiment arm".split()),
        _count("requests"),
        _count("answered"),  # answered or kept
        _count("failed"),  # failed or broken
        _count("cost"),  # where it is known
        _sum("cost_sq"),  # sum of squares of the same, nano-USD squared
        _count("baseline"),  # where cost and baseline are known
        _count("large_n"),  # answered by Large, at a known cost
        _count("large_cost"),  # of the attempts that answered them
        _count("rest_n"),  # answered by Mini or the cache
        _count("rest_known"),  # of them, those whose attempt told its tokens
        _count("rest_input"),  # tokens of the same
        _count("rest_output"),
        _count("rest_scored"),  # of rest_n, those with a score
        _sum("rest_score"),
        _count("assessed"),
        _count("repetitive"),
        _count("refused"),
        _count("empty"),
        _count("truncated"),
        _sum("overhead_sum"),  # seconds
        _count("overhead_n"),  # requests that it is of
    ),
    "day tenant unit experiment arm",
)

MARKS: Final = _table("marks", (Column("name", TEXT, nullable=False), Column("value", TEXT, nullable=False)), "name")
