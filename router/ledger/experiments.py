"""Ledger -> what the units of an experiment brought, read-only, on either engine.

Costs and flags come out of the cube of units; conversations, comparisons, checks and thumbs are added up from the rows
of the experiment's requests. Knows the tables; what the figures mean is for `router.experiments` to say.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from router.ledger.conversations import Conversation, iter_conversations
from router.ledger.place import LedgerPlace, Reading, reading
from router.ledger.retention import RAW

Reals = NDArray[np.float64]
Whole = NDArray[np.intp]

DAY: Final = 86_400.0  # seconds
EARLIER_DAYS: Final = 14
OVERHEADS: Final = 200_000
"""Latest requests whose overhead is read."""

_SUMS: Final = "requests answered failed cost large_n assessed repetitive refused empty truncated".split()
_UNITS: Final = f"""
SELECT arm, tenant, unit, {", ".join(f"sum({name}) AS {name}" for name in _SUMS)},
    sum(overhead_sum) AS overhead, sum(overhead_n) AS timed
FROM units WHERE experiment = :experiment AND day >= :day GROUP BY arm, tenant, unit
"""  # noqa: S608 - of constants
_EARLIER: Final = """
SELECT tenant, {unit} AS unit, sum(requests) AS requests, sum(cost) AS cost
FROM units WHERE experiment = '' AND day >= :first AND day < :day GROUP BY tenant{group}
"""
_UNPRICED: Final = """
SELECT arm, sum(unpriced) AS unpriced FROM totals
WHERE width = 86400 AND experiment = :experiment AND bucket >= :day GROUP BY arm
"""
_OF_IT: Final = "r.experiment = :experiment AND r.started >= :since"
_UNIT_OF: Final = f"""
SELECT DISTINCT r.arm, r.tenant, r.unit, r.conversation_hash AS conversation
FROM requests r WHERE {_OF_IT} AND r.conversation_hash <> ''
"""  # noqa: S608 - of constants
_ASSESSED: Final = f"""
SELECT r.arm, r.tenant, r.unit, coalesce(sum(a.agreement), 0) AS agreement, count(a.agreement) AS compared,
    sum(a.checks) AS checks, sum(a.checks - a.failed_checks) AS passed
FROM assessments a JOIN requests r ON r.id = a.request_id WHERE {_OF_IT} GROUP BY r.arm, r.tenant, r.unit
"""  # noqa: S608 - likewise
_THUMBS: Final = f"""
SELECT r.arm, r.tenant, r.unit, sum(s.value) AS thumbs, count(*) AS rated
FROM signals s JOIN requests r ON r.id = s.request_id
WHERE {_OF_IT} AND s.kind = 'thumb' GROUP BY r.arm, r.tenant, r.unit
"""  # noqa: S608 - likewise
_OVERHEADS: Final = f"""
SELECT r.arm, r.tenant, r.unit, r.overhead FROM requests r
WHERE {_OF_IT} AND r.overhead IS NOT NULL ORDER BY r.id DESC LIMIT :most
"""  # noqa: S608 - likewise

_Key = tuple[str, str, str]  # arm, tenant, unit


class Fate(Protocol):
    """What became of a conversation; as `router.quality.resolution` says it."""

    @property
    def is_complex(self) -> bool | None:
        """Tell whether it counts."""
        ...

    @property
    def is_closed(self) -> bool:
        """Tell whether anything can become of it yet."""
        ...

    @property
    def is_resolved(self) -> bool:
        """Tell whether it ended well."""
        ...


FateOf = Callable[[Conversation], Fate]


@dataclass(frozen=True, slots=True)
class Exposed:
    """What units brought, a row for each unit in each arm.

    Attributes:
        arms: names, in the experiment's order.
        arm: shape (n,), the number of each row's arm.
        sums: by name, shape (n,): requests, answered, failed, cost (nano-USD), large_n, assessed, repetitive, refused,
            empty, truncated, overhead (seconds), timed; conversations that are closed and complex, and of them,
            resolved; agreement and compared; passed and checks; thumbs and rated.
        earlier: likewise requests and cost of the days before; 0 for units that were not there.
        overheads: shape (m,), seconds of single requests.
        overhead_rows: shape (m,), the row that each is of.
        unpriced: requests without a known cost, by arm.
        crossed: units that were seen in more than one arm.
        open: complex conversations that are not closed yet.
        erased: seconds since 1970, before which the rows of single requests are gone; 0.0 where they are all there.
    """

    arms: tuple[str, ...]
    arm: Whole
    sums: Mapping[str, Reals]
    earlier: Mapping[str, Reals] = field(default_factory=dict)
    overheads: Reals = field(default_factory=lambda: np.zeros(0))
    overhead_rows: Whole = field(default_factory=lambda: np.zeros(0, np.intp))
    unpriced: Mapping[str, int] = field(default_factory=dict)
    crossed: int = 0
    open: int = 0
    erased: float = 0.0


def exposed(
    ledger: LedgerPlace | Path,
    experiment: str,
    arms: tuple[str, ...],
    *,
    unit: Literal["tenant", "user", "conversation"],
    started: float,
    fate_of: FateOf | None,
) -> Exposed:
    """Return what an experiment's units brought until now.

    Args:
        arms: names; rows of others are left out.
        started: seconds since 1970.
        fate_of: says what became of a conversation; None leaves conversations out.

    Raises:
        LedgerUnreadable: it cannot be reached, is no ledger, or cannot be read.
    """
    day = int(started // DAY)
    of_it = {"experiment": experiment, "since": started}
    with reading(ledger) as opened:
        rows = _Rows(arms, opened.rows(_UNITS, experiment=experiment, day=day))
        if fate_of is not None:
            units = {
                (row["tenant"], row["conversation"], row["arm"]): row
                for row in opened.rows(_UNIT_OF, **of_it)
                if row["arm"] in arms
            }
            rows.add(rows.closed(iter_conversations(opened, since=started, until=math.inf), units, fate_of), _CLOSED)
        rows.add(opened.rows(_ASSESSED, **of_it), "agreement compared checks passed")
        rows.add(opened.rows(_THUMBS, **of_it), "thumbs rated")
        overheads = list(opened.rows(_OVERHEADS, **of_it, most=OVERHEADS))
        of_rows = [rows.number(each) for each in overheads]
        mark = opened.one("SELECT value FROM marks WHERE name = :name", name=RAW)
        erased = 0.0 if mark is None else float(mark["value"])
        return Exposed(
            arms=arms,
            arm=rows.arm,
            sums=rows.sums,
            earlier=rows.earlier(opened, unit=unit, day=day),
            overheads=np.array([each["overhead"] for each, row in zip(overheads, of_rows, strict=True) if row >= 0]),
            overhead_rows=np.array([row for row in of_rows if row >= 0], np.intp),
            unpriced={row["arm"]: row["unpriced"] for row in opened.rows(_UNPRICED, experiment=experiment, day=day)},
            crossed=rows.crossed,
            open=rows.open,
            erased=erased if erased > started else 0.0,
        )


class _Rows:
    """Rows of units, to which sums are added."""

    def __init__(self, arms: tuple[str, ...], found: Iterable[dict[str, Any]]) -> None:
        numbers = {name: number for number, name in enumerate(arms)}
        units = [row for row in found if row["arm"] in numbers]
        self._at = {_key(row): number for number, row in enumerate(units)}
        self.arm = np.array([numbers[row["arm"]] for row in units], np.intp)
        self.sums = {name: _column(units, name) for name in (*_SUMS, "overhead", "timed")}
        self.crossed = len(units) - len({(row["tenant"], row["unit"]) for row in units})
        self.open = 0

    def number(self, row: dict[str, Any]) -> int:
        """Return the number of a row's unit; -1 where it is unknown."""
        return self._at.get(_key(row), -1)

    def add(self, found: Iterable[dict[str, Any]], names: str) -> None:
        columns = {name: np.zeros(len(self._at)) for name in names.split()}
        for row in found:
            number = self.number(row)
            if number >= 0:
                for name, column in columns.items():
                    column[number] += row[name]
        self.sums.update(columns)

    def closed(
        self,
        conversations: Iterable[Conversation],
        units: Mapping[tuple[str, str, str], dict[str, Any]],
        fate_of: FateOf,
    ) -> Iterator[dict[str, Any]]:
        """Yield the complex conversations that are closed, and count those that are not."""
        for each in conversations:
            unit = units.get((each.tenant, each.key, each.arm))
            if unit is None:
                continue
            fate = fate_of(each)
            if fate.is_complex and fate.is_closed:
                yield {**unit, "conversations": 1, "resolved": int(fate.is_resolved)}
            elif fate.is_complex:
                self.open += 1

    def earlier(self, opened: Reading, *, unit: str, day: int) -> dict[str, Reals]:
        """Return sums of the days before; a conversation has none."""
        requests, cost = np.zeros(len(self._at)), np.zeros(len(self._at))
        if unit == "conversation":
            return {"requests": requests, "cost": cost}
        statement = _EARLIER.format(
            unit="tenant" if unit == "tenant" else "unit", group="" if unit == "tenant" else ", unit"
        )
        before = {
            (row["tenant"], row["unit"]): row for row in opened.rows(statement, first=day - EARLIER_DAYS, day=day)
        }
        for (_, tenant, name), number in self._at.items():
            row = before.get((tenant, name))
            if row is not None:
                requests[number], cost[number] = row["requests"], row["cost"]
        return {"requests": requests, "cost": cost}


_CLOSED: Final = "conversations resolved"


def _key(row: dict[str, Any]) -> _Key:
    return row["arm"], row["tenant"], row["unit"]


def _column(rows: list[dict[str, Any]], name: str) -> Reals:
    return np.array([row[name] or 0 for row in rows], float)
