"""A table of the ledger -> its columns, and its rows a page at a time.

Each page is a snapshot of its own, so that a long extract neither holds the writer's log nor fills the memory. Times
are seconds since 1970, and money is whole nano-USD, as they lie there; `columns_of` says which column is what.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Literal

from router.ledger.place import LedgerPlace, reading

PAGE: Final = 2_000  # rows that are held at once


class Table(StrEnum):
    """What can be extracted."""

    REQUESTS = "requests"
    ATTEMPTS = "attempts"
    TOTALS = "totals"
    UNITS = "units"
    ASSESSMENTS = "assessments"
    SIGNALS = "signals"
    RATINGS = "ratings"


# Each begins behind the last row of the page before, in the order of the table's key.
_STATEMENTS: Final = {
    Table.ATTEMPTS: """
SELECT a.* FROM attempts a JOIN requests r ON r.id = a.request_id
WHERE (a.request_id, a.position) > (:request_id, :position) AND r.started >= :since AND r.started < :until
ORDER BY a.request_id, a.position LIMIT :page
""",
    Table.ASSESSMENTS: """
SELECT * FROM assessments WHERE request_id > :request_id AND made >= :since AND made < :until
ORDER BY request_id LIMIT :page
""",
    Table.SIGNALS: """
SELECT * FROM signals WHERE id > :id AND given >= :since AND given < :until ORDER BY id LIMIT :page
""",
    Table.RATINGS: """
SELECT * FROM ratings WHERE request_id > :request_id AND given >= :since AND given < :until
ORDER BY request_id LIMIT :page
""",
    Table.TOTALS: """
SELECT * FROM totals
WHERE (width, bucket, tenant, source, decided, outcome, experiment, arm, cache, model)
    > (:width, :bucket, :tenant, :source, :decided, :outcome, :experiment, :arm, :cache, :model)
    AND bucket * width >= :since AND bucket * width < :until
ORDER BY width, bucket, tenant, source, decided, outcome, experiment, arm, cache, model LIMIT :page
""",
    Table.UNITS: """
SELECT * FROM units
WHERE (day, tenant, unit, experiment, arm) > (:day, :tenant, :unit, :experiment, :arm)
    AND day * 86400 >= :since AND day * 86400 < :until
ORDER BY day, tenant, unit, experiment, arm LIMIT :page
""",
}
_BEFORE_ALL: Final[dict[Table, dict[str, int | str]]] = {
    Table.ATTEMPTS: {"request_id": "", "position": -1},
    Table.ASSESSMENTS: {"request_id": ""},
    Table.SIGNALS: {"id": ""},
    Table.RATINGS: {"request_id": ""},
    Table.TOTALS: {"width": -1, "bucket": -1}
    | dict.fromkeys("tenant source decided outcome experiment arm cache model".split(), ""),
    Table.UNITS: {"day": -1} | dict.fromkeys("tenant unit experiment arm".split(), ""),
}

_MONEY: Final = frozenset(
    "cost baseline stay_cost switch_cost reserved priced_cost learning overhead_cost prefix_saved cache_avoided held"
    " large_cost".split()
)
_TOKENS: Final = frozenset(
    "fresh_input cached_input output cache_write cache_write_1h audio_input image_input reasoning audio_output"
    " image_output rest_input rest_output".split()
)
_MOMENTS: Final = frozenset({"started", "made", "given"})
_SECONDS: Final = frozenset({"first_byte", "duration", "overhead", "overhead_sum", "width"})
_OTHERS: Final = {
    "minute": "minutes since 1970",
    "hour": "hours since 1970",
    "day": "days since 1970",
    "bucket": "widths since 1970",
    "cost_sq": "nano-USD squared",
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column as whoever reads an extract finds it.

    Attributes:
        kind: "json" is text that holds JSON.
        unit: "" where a word, a count or a share stands there.
        parts: of each item, where the column holds a list of rows.
    """

    name: str
    kind: Literal["whole", "number", "text", "truth", "json", "rows"]
    unit: str = ""
    parts: tuple["Column", ...] = ()


def columns_of(table: Table) -> tuple[Column, ...]:
    """Return the columns of an extract in their order; those of requests end with their attempts."""
    from router.ledger import tables  # noqa: PLC0415 - SQLAlchemy, which nothing else here needs

    columns = tuple(_column(column.name, column.type) for column in tables.METADATA.tables[table].columns)
    if table is not Table.REQUESTS:
        return columns
    attempts = tuple(column for column in columns_of(Table.ATTEMPTS) if column.name != "request_id")
    truths = (Column("stream", "truth") if column.name == "stream" else column for column in columns)
    return (*truths, Column("attempts", "rows", parts=attempts))


def iter_rows(
    ledger: LedgerPlace | Path, table: Table, *, since: float = float("-inf"), until: float = float("inf")
) -> Iterator[dict[str, Any]]:
    """Yield the rows of any table but requests, which `router.ledger.reading.iter_requests` yields, by their key.

    Args:
        ledger: where it is; a path is that of an SQLite file.
        since, until: seconds since 1970, the latter exclusive: when the request came, the assessment was made, the
            signal or rating was given, or the stretch began that is summed up.

    Raises:
        LedgerUnreadable: there is none, or it is no ledger.
    """
    key = dict(_BEFORE_ALL[table])
    while page := _page(ledger, _STATEMENTS[table], {**key, "since": since, "until": until, "page": PAGE}):
        yield from page
        key = {name: page[-1][name] for name in key}


def _page(ledger: LedgerPlace | Path, statement: str, parameters: dict[str, Any]) -> Sequence[dict[str, Any]]:
    with reading(ledger) as opened:
        return list(opened.rows(statement, **parameters))


def _column(name: str, kind: Any) -> Column:  # noqa: ANN401 - a type of SQLAlchemy's, which is not loaded here
    python_type = kind.python_type
    return Column(name, "text" if python_type is str else "number" if python_type is float else "whole", _unit(name))


def _unit(name: str) -> str:
    if name in _MONEY:
        return "nano-USD"
    if name in _TOKENS:
        return "tokens"
    if name in _MOMENTS:
        return "seconds since 1970"
    return "seconds" if name in _SECONDS else _OTHERS.get(name, "")
