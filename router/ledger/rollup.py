"""Rows of a ledger -> the sums that they should add up to, and where its cubes say otherwise.

The sums are made anew from requests and attempts alone, by the same rules as when they were written. Times before
which rows have been erased are left out. Also fills the cubes of a ledger that has none yet.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import isclose
from pathlib import Path
from typing import Any, Final

from backends.base import Usage
from router.base import Attempt, Outcome, Record, Tier, total_cost
from router.ledger.cubes import DAY, UNITS, Afterwards, Deltas, Ended, Facts, Signs, afterwards_of, ended_of
from router.ledger.engines.base import Engine, Row, Shape
from router.ledger.place import LedgerPlace, reading
from router.ledger.retention import FROM, RAW, UNITS_FROM
from router.ledger.rows import AFTERWARDS, anonymous

Rows = Callable[..., Iterable[dict[str, Any]]]
"""As `router.ledger.place.Reading.rows`."""

PAGE: Final = 500  # requests at a time

_RATIO: Final = 1e-9  # by which sums of fractions may differ: they depend on their order
_TIERS: Final = {tier.value: tier for tier in Tier}
_ALWAYS: Final = float("-inf")
_REQUESTS: Final = "SELECT * FROM requests WHERE id > :after AND started >= :since ORDER BY id LIMIT :most"
_ATTEMPTS: Final = "SELECT * FROM attempts WHERE request_id BETWEEN :first AND :last ORDER BY request_id, position"
_ASSESSMENTS: Final = """
SELECT request_id, is_repetitive, is_refusal, is_empty, is_truncated FROM assessments
WHERE request_id BETWEEN :first AND :last
"""
_TELL: Final = """
UPDATE requests SET unit = :unit, source = :source, served = :served, moved = :moved, minute = :minute, hour = :hour,
    day = :day WHERE id = :id
"""


@dataclass(frozen=True, slots=True)
class Difference:
    """Two figures of the same that are not equal.

    Attributes:
        where: the table, and the key of the row.
        column: the figure's.
        raw: as rows add up; None where there are none.
        kept: as the ledger has it; None where it has no such row.
    """

    where: str
    column: str
    raw: object
    kept: object

    def __str__(self) -> str:
        return f"{self.where}: {self.column} is {self.kept}, and rows add up to {self.raw}"


@dataclass(frozen=True, slots=True)
class _Told:
    """One request with what was said of it.

    Attributes:
        cost: of its attempts together; None where one of them is unknown.
        ended: None while it is open.
    """

    row: dict[str, Any]
    facts: Facts
    cost: int | None
    ended: Ended | None
    after: Afterwards
    signs: Signs | None

    def add_to(self, deltas: Deltas) -> None:
        """Add it to sums."""
        if self.ended is not None:
            deltas.settle(self.facts, self.ended)
            deltas.learn(self.facts, self.ended, self.after)
            if self.signs is not None:
                deltas.assess(self.facts, self.ended, self.signs)

    @property
    def derived(self) -> dict[str, object]:
        """Return the columns of its row that follow from others."""
        facts, ended = self.facts, self.ended
        return {
            "unit": facts.unit,
            "source": facts.tier if ended is None else ended.source,
            "served": "" if ended is None else ended.served,
            "moved": 0 if ended is None else ended.moved,
            "minute": facts.minute,
            "hour": facts.minute // 60,
            "day": facts.minute // 1_440,
        }


def verify(ledger: LedgerPlace | Path) -> list[Difference]:
    """Return where a ledger's sums are not those of its rows; empty where all are equal to the nano-USD.

    Raises:
        LedgerUnreadable: it cannot be read.
    """
    deltas, differences = Deltas(), list[Difference]()
    with reading(ledger) as opened:
        marks = {row["name"]: row["value"] for row in opened.rows("SELECT name, value FROM marks")}
        for told in _tell_all(opened.rows, since=float(marks.get(RAW, _ALWAYS))):
            told.add_to(deltas)
            differences += _faults_of(told)
        for shape, raw in deltas.rows():
            columns = ", ".join(shape.columns)
            kept = [tuple(row.values()) for row in opened.rows(f"SELECT {columns} FROM {shape.table}")]  # noqa: S608 - names of ours
            whole = [[row for row in rows if _is_whole(shape, row, marks)] for rows in (raw, kept)]
            differences += _compared(shape, *whole)
    return differences


def fill(engine: Engine, rows: Rows) -> None:
    """Tell each request of a ledger without cubes what follows from its columns, and add all up; in a transaction."""
    deltas = Deltas()
    for told in _tell_all(rows, since=_ALWAYS):
        told.add_to(deltas)
        engine.run(_TELL, {**told.derived, "id": told.row["id"]})
    deltas.write(engine)


def _tell_all(rows: Rows, *, since: float) -> Iterator[_Told]:
    after = ""
    while page := list(rows(_REQUESTS, after=after, since=since, most=PAGE)):
        after = page[-1]["id"]
        span = {"first": page[0]["id"], "last": after}
        attempts: dict[str, list[dict[str, Any]]] = {row["id"]: [] for row in page}
        for attempt in rows(_ATTEMPTS, **span):
            attempts.get(attempt["request_id"], []).append(attempt)
        signs = {row.pop("request_id"): Signs(*row.values()) for row in rows(_ASSESSMENTS, **span)}
        for row in page:
            yield _told(row, attempts[row["id"]], signs.get(row["id"]))


def _told(row: dict[str, Any], attempts: list[dict[str, Any]], signs: Signs | None) -> _Told:
    facts = Facts(
        row["tenant"],
        row["tier"],
        row["experiment"],
        row["arm"],
        int(row["started"] // 60),
        row["unit"] or row["user_hash"] or row["conversation_hash"] or anonymous(row["started"]),
        row["score"],
        bool(row["stream"]),
        row["reserved"],
    )
    own = tuple(_attempt(each) for each in attempts if each["position"] < AFTERWARDS)
    after = afterwards_of((each["cost"], each["usage_source"]) for each in attempts if each["position"] >= AFTERWARDS)
    ended = None
    if row["outcome"] is not None:
        record = Record(
            row["id"],
            Outcome(row["outcome"]),
            row["status"] or 0,
            own,
            row["first_byte"],
            row["duration"] or 0.0,
            row["baseline"],
            cache=row["cache"],
            overhead=row["overhead"],
        )
        ended = ended_of(facts, record, cost=row["cost"])
    return _Told(row, facts, total_cost(own) if own else row["cost"], ended, after, signs)


def _attempt(row: Mapping[str, Any]) -> Attempt:
    usage = None
    if row["fresh_input"] is not None:
        usage = Usage(
            row["fresh_input"],
            row["cached_input"],
            row["output"],
            row["cache_write"],
            row["cache_write_1h"],
            row["audio_input"],
            row["image_input"],
            row["reasoning"],
            row["audio_output"],
            row["image_output"],
        )
    tier = _TIERS.get(row["tier"], row["tier"])
    return Attempt(
        row["kind"],
        tier,
        row["model"],
        row["replica"],
        usage,
        row["cost"],
        "",
        row["error"],
        row["usage_source"],
        row["prefix_saved"],
    )


def _faults_of(told: _Told) -> Iterator[Difference]:
    """Yield what a request's own row has wrong."""
    row, where = told.row, f"requests {told.row['id']}"
    if told.ended is not None and row["cost"] != told.cost:
        yield Difference(where, "cost", told.cost, row["cost"])
    for column, value in told.derived.items():
        if row[column] != value:
            yield Difference(where, column, value, row[column])


def _is_whole(shape: Shape, row: Row, marks: Mapping[str, str]) -> bool:
    """Tell whether nothing of what a sum is of has been erased, nor the sum itself."""
    width, bucket, mark = (DAY, row[0], UNITS_FROM) if shape is UNITS else (row[0], row[1], "")
    begin = max(float(marks.get(each, _ALWAYS)) for each in (RAW, mark or FROM.get(_int(width), RAW)))
    return _int(width) * _int(bucket) >= begin


def _int(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(f"a bucket is no whole number: {value!r}")
    return value


def _compared(shape: Shape, raw: Iterable[Row], kept: Iterable[Row]) -> Iterator[Difference]:
    ours = {row[: shape.keys]: row[shape.keys :] for row in raw}
    theirs = {row[: shape.keys]: row[shape.keys :] for row in kept}
    names = shape.columns[shape.keys :]
    for key in sorted(ours.keys() | theirs.keys()):
        where = f"{shape.table} " + " ".join(f"{name}={value}" for name, value in zip(shape.columns, key, strict=False))
        nothing = (None,) * len(names)
        for column, one, other in zip(names, ours.get(key, nothing), theirs.get(key, nothing), strict=True):
            if one != other and not (isinstance(one, float) and isinstance(other, float) and _are_close(one, other)):
                yield Difference(where, column, one, other)


def _are_close(one: float, other: float) -> bool:
    return isclose(one, other, rel_tol=_RATIO, abs_tol=1e-12)
