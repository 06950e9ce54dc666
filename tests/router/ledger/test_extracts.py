"""Tests router/ledger/extracts.py on both engines."""

from pathlib import Path

import pytest

from router.ledger import extracts
from router.ledger.extracts import Table, columns_of, iter_rows
from router.ledger.place import LedgerPlace, LedgerUnreadable, SqlitePlace
from tests.router.dashboard.hand_written import NOW, write_an_hour
from tests.router.ledger.copying import copied

DAY = 86_400


@pytest.fixture
def ledger(place: LedgerPlace, tmp_path: Path) -> LedgerPlace:
    write_an_hour(tmp_path / "hour.db")
    return copied(tmp_path / "hour.db", place)


def test_pages_follow_each_other_without_a_gap_and_without_repeats(
    ledger: LedgerPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    for table in (Table.ATTEMPTS, Table.TOTALS, Table.UNITS):
        whole = list(iter_rows(ledger, table))
        for size in (1, 3):
            monkeypatch.setattr(extracts, "PAGE", size)
            assert list(iter_rows(ledger, table)) == whole
        monkeypatch.undo()
    assert sum(row["requests"] for row in iter_rows(ledger, Table.UNITS)) == 9  # all but the open one


def test_the_columns_are_those_of_the_rows_in_their_order(ledger: LedgerPlace) -> None:
    for table in (Table.ATTEMPTS, Table.TOTALS, Table.UNITS):
        names = [column.name for column in columns_of(table)]
        row = next(iter_rows(ledger, table))
        assert list(row) == names
        kinds = {column.name: column.kind for column in columns_of(table)}
        assert all(type(value) is {"whole": int, "number": float, "text": str}[kinds[name]]
                   for name, value in row.items() if value is not None)  # fmt: skip


def test_an_extract_is_of_the_time_that_is_asked_for(ledger: LedgerPlace) -> None:
    tried = [row["request_id"] for row in iter_rows(ledger, Table.ATTEMPTS, since=NOW - 100, until=NOW - 90)]
    assert tried == ["e", "e"]
    days = [row for row in iter_rows(ledger, Table.TOTALS, since=NOW // DAY * DAY) if row["width"] == DAY]
    assert sum(row["requests"] for row in days) == 9
    assert list(iter_rows(ledger, Table.TOTALS, since=NOW + DAY)) == []
    assert list(iter_rows(ledger, Table.UNITS, until=NOW - DAY)) == []
    assert list(iter_rows(ledger, Table.ASSESSMENTS)) == []


def test_what_a_column_is_counted_in_is_told() -> None:
    units = {column.name: column.unit for column in columns_of(Table.REQUESTS)}
    assert (units["cost"], units["started"], units["duration"]) == ("nano-USD", "seconds since 1970", "seconds")
    assert (units["minute"], units["tenant"]) == ("minutes since 1970", "")
    attempts = columns_of(Table.REQUESTS)[-1]
    assert {part.name: part.unit for part in attempts.parts}["fresh_input"] == "tokens"


def test_a_ledger_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnreadable):
        next(iter_rows(SqlitePlace(tmp_path / "none.db"), Table.TOTALS))
