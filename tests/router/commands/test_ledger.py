"""router/commands/ledger.py and router/commands/places.py: sums are checked, old files upgraded, old rows erased."""

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from router.commands.errors import CommandFailed
from router.commands.places import place_of
from router.commands.program import run
from router.ledger.holding import hold
from router.ledger.place import PostgresPlace, SqlitePlace
from router.ledger.versions import VERSION
from tests.router.ledger.test_layout import FIRST
from tests.router.ledger.test_rollup import write_a_day


@pytest.fixture
def ledger(tmp_path: Path) -> str:
    asyncio.run(write_a_day(SqlitePlace(tmp_path / "l.db")))
    return str(tmp_path / "l.db")


def test_sums_are_compared_with_rows(ledger: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["ledger", "verify", "--ledger", ledger, "--json"]) == 0
    prices = [{"version": "v", "model": None, "rows": 14}]
    assert json.loads(capsys.readouterr().out) == {"ledger": ledger, "differences": [], "prices": prices}
    with closing(sqlite3.connect(ledger)) as connection, connection:
        connection.execute("UPDATE totals SET cost = cost + 1, held = held + 1")
    assert run(["ledger", "verify", "--ledger", ledger]) == 1
    *told, _, priced, last = capsys.readouterr().out.splitlines()
    assert priced == "  version v, which this ledger has not kept: 14 rows"
    assert all("and rows add up to" in line for line in told[:20])
    found = int(last.removeprefix(f"{ledger}: ").split()[0])
    assert (told[20:], found % 2) == ([f"and {found - 20} more"], 0)


def test_an_old_file_is_upgraded_and_what_is_in_use_is_not(
    ledger: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(sqlite3.connect(tmp_path / "old.db")) as connection:
        connection.executescript(FIRST)
    old = str(tmp_path / "old.db")
    assert run(["ledger", "verify", "--ledger", old]) == 1
    assert "run: tandem ledger migrate" in capsys.readouterr().err
    assert run(["ledger", "migrate", "--ledger", old, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"ledger": old, "revision": f"{VERSION:04d}"}
    with hold(Path(ledger)):
        assert run(["ledger", "migrate", "--ledger", ledger]) == 1
        assert run(["ledger", "retain", "--ledger", ledger]) == 1
    assert capsys.readouterr().err.count("in use by another gateway") == 2


def test_what_is_old_is_erased(ledger: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(sqlite3.connect(ledger)) as connection, connection:
        connection.execute("UPDATE requests SET started = 86400, minute = 1440, hour = 24, day = 1")
    config = tmp_path / "tandem.yaml"
    config.write_text(f"ledger: {{path: {ledger}, raw_days: null, hour_days: null}}\n")
    assert run(["ledger", "retain", "--config", str(config), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ledger"] == ledger
    assert run(["ledger", "retain", "--config", str(config), "--raw-days", "1"]) == 0
    assert "11 rows erased" in capsys.readouterr().out
    assert run(["ledger", "retain", "--help"]) == 0
    assert "its sums stay" in " ".join(capsys.readouterr().out.replace("│", " ").split())


def test_a_ledger_is_named_by_path_by_address_or_by_the_configuration(tmp_path: Path) -> None:
    config = tmp_path / "tandem.yaml"
    config.write_text("ledger: {use: postgres, url: 'postgresql://me:secret@db/tandem'}\n")
    assert place_of(None, config) == PostgresPlace("postgresql://me:secret@db/tandem")
    assert place_of("postgresql://db/x", None) == PostgresPlace("postgresql://db/x")
    with pytest.raises(CommandFailed, match="there is no ledger"):
        place_of(str(tmp_path / "none.db"), None)
    assert place_of(str(tmp_path / "none.db"), None, must_be=False) == SqlitePlace(tmp_path / "none.db")
