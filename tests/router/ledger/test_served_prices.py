"""Tests router/ledger/served_prices.py on both engines, and that a gateway keeps and tells: router/gateway.py."""

import json
import logging
from datetime import date
from pathlib import Path

import pytest

from router.base import Unavailable
from router.commands.program import run
from router.ledger.engines.base import Shape
from router.ledger.engines.opening import engine_of
from router.ledger.holding import hold
from router.ledger.place import LedgerPlace, SqlitePlace, reading
from router.ledger.price_rows import Row
from router.ledger.prices import check_book
from router.ledger.served_prices import Change, changes_in, keep_prices, kept_prices
from tests.router.conftest import OpenHouse, chat
from tests.router.ledger.test_prices import row, written

TODAY = date(2026, 11, 21)
JUNE = row(valid_from="2026-06-01", fresh_input='"3"')
REPLACED = row(fresh_input='"1.50"')


@pytest.fixture
def ledger(place: LedgerPlace) -> LedgerPlace:
    hold(place).close()
    return place


def rows(tmp_path: Path, *texts: str) -> tuple[Row, ...]:
    return check_book(written(tmp_path, *texts)).rows


def keep(ledger: LedgerPlace, given: tuple[Row, ...], *, today: date = TODAY) -> list[Change]:
    return keep_prices(ledger, given, names=["m"], today=today)


def charge(ledger: LedgerPlace, version: str) -> None:
    engine = engine_of(ledger)
    columns = tuple("request_id position kind tier model replica price_version error".split())
    with engine.transaction():
        engine.insert(Shape("attempts", columns, 2), [(version, 0, "primary", "mini", "m", "h", version, "")])
    engine.close()


def test_a_row_that_was_served_with_and_is_changed_or_gone_is_told_of(ledger: LedgerPlace, tmp_path: Path) -> None:
    book = rows(tmp_path, row(), JUNE, row(model="other"))
    assert keep(ledger, book) == []
    with reading(ledger) as opened:
        kept = kept_prices(opened)
    assert {each.version for each in kept} == {each.price.version for each in book if each.name == "m"}
    (first,) = (each for each in kept if each.valid_from == "2026-01-01")
    assert (first.line, first.rates["fresh_input"], first.whose) == (3, 1_000_000, "m")
    assert keep(ledger, book, today=date(2026, 11, 22)) == []  # the same again, a day later

    (gone,) = keep(ledger, rows(tmp_path, JUNE))
    assert gone.line == 1
    assert gone.words == (
        f"m from 2026-01-01 on was served with as version {first.version}, then in line 3, and is gone; put it back,"
        " and end it with valid_to or with a later row"
    )
    (changed,) = keep(ledger, rows(tmp_path, JUNE, REPLACED))
    assert changed.line == 9
    assert f"version {first.version}, then in line 3, and says another price now" in changed.words
    assert "fresh_input was 1.00, is 1.50" in changed.words


def test_what_is_appended_and_what_says_the_same_in_other_words_is_no_change(
    ledger: LedgerPlace, tmp_path: Path
) -> None:
    keep(ledger, rows(tmp_path, row()))
    assert keep(ledger, rows(tmp_path, row(), JUNE)) == []
    assert keep(ledger, rows(tmp_path, row(source="the same contract", valid_to="2026-06-01"), JUNE)) == []


def test_a_row_that_never_came_into_force_may_be_corrected_unless_something_was_charged_by_it(
    ledger: LedgerPlace, tmp_path: Path
) -> None:
    book = rows(tmp_path, row())
    keep(ledger, book, today=date(2025, 12, 1))
    replaced = rows(tmp_path, REPLACED)
    with reading(ledger) as opened:
        assert changes_in(replaced, opened) == []
    charge(ledger, book[0].price.version)
    with reading(ledger) as opened:
        assert len(changes_in(replaced, opened)) == 1


def test_a_change_that_stays_is_told_of_for_as_long_as_charges_hang_on_it(ledger: LedgerPlace, tmp_path: Path) -> None:
    book, replaced = rows(tmp_path, row()), rows(tmp_path, REPLACED)
    keep(ledger, book)
    assert len(keep(ledger, replaced)) == 1
    assert keep(ledger, replaced) == []
    charge(ledger, book[0].price.version)
    assert len(keep(ledger, replaced)) == 1


def test_a_ledger_that_cannot_be_written_is_said_to_be_so(tmp_path: Path) -> None:
    place = SqlitePlace(tmp_path / "l.db")
    hold(place).close()
    engine = engine_of(place)
    engine.run("CREATE TRIGGER full BEFORE INSERT ON marks BEGIN SELECT RAISE(ABORT, 'no room'); END", {})
    engine.close()
    with pytest.raises(Unavailable, match="cannot be written: no room"):
        keep(place, rows(tmp_path, row()))


async def test_a_gateway_keeps_what_it_serves_with_and_lint_and_check_tell_of_a_change(
    open_house: OpenHouse, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("desk-large", "desk-mini")
    book = written(tmp_path, *(row(model=name) for name in names))
    async with open_house(prices=str(book)) as house:
        assert (await house.client.post("/v1/chat/completions", json=chat())).status_code == 200
    ledger = house.ledger
    written(tmp_path, row(model="desk-large"), row(model="desk-mini", output='"2.50"'))
    caplog.set_level(logging.WARNING)
    async with open_house(prices=str(book), ledger={"path": str(ledger)}):
        pass
    (said,) = (each for each in caplog.messages if "the price book" in each)
    assert said.startswith("the price book, line 9: desk-mini from 2026-01-01 on was served with as version ")
    assert "output was 2.00, is 2.50" in said

    assert run(["prices", "lint", str(book), "--ledger", str(ledger), "--json"]) == 0
    (warning,) = json.loads(capsys.readouterr().out)["warnings"]
    assert warning.startswith(f"{book}:9:1: desk-mini from 2026-01-01 on was served with")
    config = tmp_path / "t.yaml"
    config.write_text(f"prices: {book}\nledger: {{path: {ledger}}}\nclassifier: {{use: rules}}\n", encoding="utf-8")
    assert run(["check", "--config", str(config)]) == 0
    assert f"prices: {book}:9: desk-mini from 2026-01-01" in capsys.readouterr().out
