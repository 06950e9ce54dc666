"""Tests router/ledger/charged_prices.py on both engines, and what `savings` and `ledger verify` tell of it."""

import json
from datetime import date
from pathlib import Path

import pytest

from router.base import Tier
from router.commands.program import run
from router.ledger.charged_prices import Charged, charged_prices, words_of
from router.ledger.engines.base import Shape
from router.ledger.engines.opening import engine_of
from router.ledger.holding import hold
from router.ledger.ids import first_id
from router.ledger.place import LedgerPlace, SqlitePlace, reading
from router.ledger.price_rows import Row
from router.ledger.prices import check_book
from router.ledger.retention import RAW
from router.ledger.served_prices import keep_prices, kept_prices
from tests.router.ledger.test_prices import row, written
from tests.router.logged import BEGIN, DAY, Logged, write_ledger

MAY, JULY = date(2026, 5, 1), date(2026, 7, 1)
NOON = 20_600 * DAY + DAY // 2  # seconds since 1970
JUNE = row(valid_from="2026-06-01", fresh_input='"3"', valid_to="2026-09-01")


@pytest.fixture
def ledger(place: LedgerPlace) -> LedgerPlace:
    hold(place).close()
    return place


def kept(ledger: LedgerPlace, folder: Path, *texts: str, today: date = MAY) -> list[str]:
    """Keep a book's rows as a gateway does that starts with them; returns their versions."""
    rows: tuple[Row, ...] = check_book(written(folder, *texts)).rows
    keep_prices(ledger, rows, names=["m"], today=today)
    return [each.price.version for each in rows]


def charge(ledger: LedgerPlace, version: str, *, at: float = NOON, calls: int = 1, cost: int | None = 7) -> None:
    """Write rows that were charged at a version."""
    columns = tuple("request_id position kind tier model replica cost price_version error".split())
    engine = engine_of(ledger)
    key = f"{first_id(at)}{version}{cost}"
    rows = [(key, number, "primary", "mini", "m", "h", cost, version, "") for number in range(calls)]
    with engine.transaction():
        engine.insert(Shape("attempts", columns, 2), rows)
    engine.close()


def told(found: list[Charged]) -> list[tuple[str, str | None, int]]:
    return [(each.version, each.valid_to, each.rows) for each in found]


def test_each_version_is_told_with_its_days_and_the_rows_it_was_the_price_of(
    ledger: LedgerPlace, tmp_path: Path
) -> None:
    flex = row(service_tier="flex", valid_from="2026-01-02")
    usual, june, variant, _ = kept(ledger, tmp_path, row(), JUNE, flex, row(valid_from="2026-10-01"))
    charge(ledger, june, calls=2)
    charge(ledger, variant)
    charge(ledger, usual, calls=3)
    charge(ledger, usual, cost=0)
    charge(ledger, usual, calls=5, cost=None)  # what has no cost was charged at nothing
    charge(ledger, "of none that was charged at it", cost=None)
    charge(ledger, "", cost=0)
    assert told(charged_prices(ledger)) == [(usual, "2026-06-01", 4), (june, "2026-09-01", 2), (variant, None, 1)]


def test_a_version_that_the_book_has_no_more_is_told_beside_the_one_in_its_place(
    ledger: LedgerPlace, tmp_path: Path
) -> None:
    (first,) = kept(ledger, tmp_path, row())
    second, later = kept(ledger, tmp_path, row(output='"2.50"'), JUNE, today=JULY)
    for version in (first, second, later, "of another ledger"):
        charge(ledger, version)
    found = charged_prices(ledger)
    assert told(found) == [
        (first, "2026-06-01", 1),
        (second, "2026-06-01", 1),
        (later, "2026-09-01", 1),
        ("of another ledger", None, 1),
    ]
    assert [line.partition(" (")[0] for line in words_of(found)[1:]] == [
        f"  m from 2026-01-01 until 2026-06-01, replaced after 2026-05-01, version {first}: 1 rows",
        f"  m from 2026-01-01 until 2026-06-01, version {second}: 1 rows",
        f"  m from 2026-06-01 until 2026-09-01, version {later}: 1 rows",
        "  version of another ledger, which this ledger has not kept: 1 rows",
    ]
    assert words_of(found)[1].endswith(": 1 rows (fresh_input 1.00, cached_input 1.00, output 2.00)")
    assert [each.is_replaced for each in found] == [True, False, False, False]
    assert [each.as_json().get("last_served") for each in found] == ["2026-05-01", "2026-07-01", "2026-07-01", None]


def test_a_row_that_was_corrected_before_it_began_ends_no_other(ledger: LedgerPlace, tmp_path: Path) -> None:
    _, moved = kept(ledger, tmp_path, row(), JUNE)
    usual, _ = kept(ledger, tmp_path, row(), row(valid_from="2026-08-01"), today=JULY)
    charge(ledger, usual)
    charge(ledger, moved)
    found = charged_prices(ledger)
    assert told(found) == [(usual, "2026-08-01", 1), (moved, "2026-08-01", 1)]
    assert not any(each.is_replaced for each in found), "nothing took the place of what is gone"


def test_rows_of_the_days_that_are_asked_for_are_counted_and_none_of_days_that_were_erased(
    ledger: LedgerPlace, tmp_path: Path
) -> None:
    (usual,) = kept(ledger, tmp_path, row())
    midnight = NOON // DAY * DAY
    for at, calls in ((midnight - 0.001, 1), (midnight, 10), (midnight + DAY - 0.001, 100), (midnight + DAY, 1_000)):
        charge(ledger, usual, at=at, calls=calls)

    def counted(**span: float) -> int:
        return sum(each.rows for each in charged_prices(ledger, **span))

    assert counted() == 1_111
    assert counted(since=NOON, until=NOON + 1) == 110
    assert counted(since=midnight, until=midnight + DAY) == 110
    assert counted(since=midnight + DAY) == 1_000
    assert counted(until=midnight) == 1
    engine = engine_of(ledger)
    engine.run("INSERT INTO marks (name, value) VALUES (:name, :value)", {"name": RAW, "value": repr(float(midnight))})
    engine.close()
    assert counted() == 1_110


def test_a_mark_of_a_ledger_that_kept_no_end_is_read_and_told_its_end_at_the_next_start(
    ledger: LedgerPlace, tmp_path: Path
) -> None:
    (june,) = kept(ledger, tmp_path, JUNE)
    engine = engine_of(ledger)
    statement = "UPDATE marks SET value = replace(value, ', \"valid_to\": \"2026-09-01\"', '') WHERE name = :name"
    assert engine.run(statement, {"name": f"price {june}"})[1] == 1
    engine.close()
    with reading(ledger) as opened:
        assert [each.valid_to for each in kept_prices(opened)] == [None]
    charge(ledger, june)
    assert told(charged_prices(ledger)) == [(june, None, 1)]
    kept(ledger, tmp_path, JUNE)
    assert told(charged_prices(ledger)) == [(june, "2026-09-01", 1)]


def test_savings_and_verify_name_the_prices_of_the_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_ledger(tmp_path / "l.db", [Logged(number, number * DAY, Tier.MINI, (100, 50)) for number in (0, 1)])
    (usual,) = kept(SqlitePlace(path), tmp_path, row(per_request='"0.002"', cached_input='"0.10"'))
    charge(SqlitePlace(path), usual, at=BEGIN + 60, calls=4)
    line = "m from 2026-01-01 on, version {}: 4 rows (fresh_input 1.00, cached_input 0.10, output 2.00, 0.002 USD a request)"  # noqa: E501  (one line of the output)
    for command, others in ((["savings", "--until", "2024-10-05"], 1), (["ledger", "verify"], 2)):
        assert run([*command, "--ledger", str(path)]) == 0
        *_, head, ours, unknown = [
            each for each in capsys.readouterr().out.splitlines() if "differences between" not in each
        ]
        assert head == "prices that rows were charged at, in USD per million tokens:"
        assert ours == f"  {line.format(usual)}"
        assert unknown == f"  version 1, which this ledger has not kept: {others} rows"
        assert run([*command, "--ledger", str(path), "--json"]) == 0
        first, second = json.loads(capsys.readouterr().out)["prices"]
        assert (first["model"], first["version"], first["rows"]) == ("m", usual, 4)
        assert (first["is_expression"], first["service_tier"], first["above_input_tokens"]) == (False, "", 0)
        assert (first["valid_from"], first["valid_to"], first["last_served"]) == ("2026-01-01", None, "2026-05-01")
        assert first["is_replaced"] is False
        assert (first["usd_per_million_tokens"]["cached_input"], first["usd_per_request"]) == ("0.10", "0.002")
        assert second == {"version": "1", "model": None, "rows": others}
    assert words_of([]) == []
