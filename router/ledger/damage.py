"""A ledger -> the first value in it that no gateway writes, in words.

SQLite takes any value in any column, so that whoever changes a ledger by hand may leave a word where a price was. It
is looked for where a reading has come upon something that cannot be, and never before: every row is read.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from router.base import Outcome, Tier
from router.ledger.place import LedgerPlace, PostgresPlace, Reading, reading
from router.ledger.retention import CLOCK, FROM, RAW, UNITS_FROM

_KINDS: Final = {int: "('integer')", float: "('real', 'integer')", str: "('text')", bytes: "('blob')"}
_WORDS: Final = {"outcome": Outcome, "answered": Tier}
_FLAGS: Final = ("stream", "repetition_written")
_TIMES: Final = (RAW, UNITS_FROM, *FROM.values(), *CLOCK)
_LARGEST: Final = "1e300"  # of a number that can be reckoned with; what is none at all is beyond it on either engine


def damage_in(ledger: LedgerPlace | Path) -> str | None:
    """Return where it is; None where all values are such as a gateway writes.

    Raises:
        LedgerUnreadable: it cannot be read.
    """
    from router.ledger import tables  # noqa: PLC0415 - SQLAlchemy, which no reading needs

    with reading(ledger) as opened:
        for table in tables.METADATA.tables.values():
            tests = [
                f"WHEN {test} THEN '{column.name}'"
                for column in table.columns
                if (test := _test(column, is_typed=isinstance(ledger, PostgresPlace)))
            ]
            keys = [column.name for column in table.primary_key]
            found = opened.one(_statement(table.name, keys, tests)) if tests else None
            if found is not None:
                return _told(table.name, [found[key] for key in keys], found["damaged"])
        return next(_wrong_times(opened), None)


def _statement(table: str, keys: list[str], tests: list[str]) -> str:
    case = f"CASE {' '.join(tests)} END AS damaged"
    return f"SELECT * FROM (SELECT {', '.join(keys)}, {case} FROM {table}) AS seen WHERE damaged IS NOT NULL LIMIT 1"  # noqa: S608 - names of ours


def _test(column: Any, *, is_typed: bool) -> str:  # noqa: ANN401 - SQLAlchemy's, which is not loaded here
    """Return an expression that is true of what does not belong in a column; "" where that is not told.

    Args:
        is_typed: the engine lets nothing into a column that is of another type.
    """
    name, kind = column.name, column.type.python_type
    tests = [] if is_typed else [f"typeof({name}) NOT IN {_KINDS[kind]}"]
    if kind is float:
        tests.append(f"{name} NOT BETWEEN -{_LARGEST} AND {_LARGEST}")
    if kind is str and name in _WORDS:
        tests.append(f"{name} NOT IN ({', '.join(repr(word.value) for word in _WORDS[name])})")
    if name in _FLAGS or name.startswith("is_"):
        tests.append(f"{name} NOT IN (0, 1)")
    if not tests:
        return ""
    # A request without an outcome is open; one whose answer is told has told its question, too.
    unless = " OR (output IS NULL) <> (fresh_input IS NULL)" if name == "fresh_input" else ""
    return f"({name} IS NOT NULL AND ({' OR '.join(tests)})){unless}"


def _wrong_times(opened: Reading) -> Iterator[str]:
    for row in opened.rows("SELECT name, value FROM marks"):
        try:
            if row["name"] in _TIMES:
                float(row["value"])
        except ValueError:
            yield _told("marks", [row["name"]], "value")


def _told(table: str, key: list[object], column: str) -> str:
    return f"what it holds of {table} {' '.join(map(str, key))} is damaged: {column} is what no gateway writes"
