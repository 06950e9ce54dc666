"""Tests router/ledger/versions.py: whoever opens a ledger of a layout that is not known refuses it, on both engines."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from router.base import Unavailable
from router.commands.program import run
from router.ledger.engines.opening import engine_of
from router.ledger.holding import hold
from router.ledger.migrations.running import HERE
from router.ledger.place import LedgerPlace, LedgerUnreadable, PostgresPlace, SqlitePlace, reading
from router.ledger.replays import iter_logged
from router.ledger.versions import REVISION, VERSION, WHAT_TO_DO, fault_of

NEWER = f"{VERSION + 1:04d}"
COMMANDS = ("ledger migrate", "ledger retain --raw-days 30 --hour-days 400", "ledger verify", "savings", "quality")


def mark(place: LedgerPlace, revision: str) -> None:
    """Make a ledger, and have it say that it is of this revision."""
    hold(place).close()
    engine = engine_of(place)
    engine.run("UPDATE alembic_version SET version_num = :revision", {"revision": revision})
    if isinstance(place, SqlitePlace):
        engine.run("PRAGMA wal_checkpoint(TRUNCATE)", {})
    engine.close()


def marked(place: LedgerPlace) -> Iterator[str]:
    """Yield what a ledger says, read past all that would refuse it."""
    engine = engine_of(place)
    yield from (str(row[0]) for row in engine.run("SELECT version_num FROM alembic_version", {})[0])
    engine.close()


@pytest.mark.parametrize("revision", [NEWER, "nonsense"])
def test_who_opens_a_ledger_of_another_layout_says_what_it_is_and_what_to_do(
    place: LedgerPlace, revision: str, capsys: pytest.CaptureFixture[str]
) -> None:
    mark(place, revision)
    said = f"its layout is of version {revision}, which this program does not know (it knows 0001 to {REVISION})"
    with pytest.raises(Unavailable) as refused:
        hold(place)
    assert f"{said}; {WHAT_TO_DO}" in str(refused.value)
    with pytest.raises(LedgerUnreadable) as unread, reading(place):
        raise AssertionError
    assert str(unread.value) == f"{said}; {WHAT_TO_DO}"
    address = place.url if isinstance(place, PostgresPlace) else str(place.path)
    for command in (*COMMANDS, "replay --check"):
        assert run([*command.split(), "--ledger", address]) == 1, command
        told = capsys.readouterr().err
        assert f"{said}; {WHAT_TO_DO}" in told, command
        assert "serve on it" not in told
    assert list(marked(place)) == [revision]


def test_doctor_finds_a_file_of_another_layout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mark(place := SqlitePlace(tmp_path / "l.db"), REVISION)
    config = tmp_path / "tandem.yaml"
    config.write_text(f"server: {{port: 0}}\nledger: {{use: sqlite, path: {place.path}}}\n", encoding="utf-8")
    run(["doctor", "--config", str(config)])
    assert f"{place.path} can be written" in capsys.readouterr().out
    with closing(sqlite3.connect(place.path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (NEWER,))
    assert run(["doctor", "--config", str(config)]) == 1
    assert f"{place.path}: its layout is of version {NEWER}" in capsys.readouterr().out


def test_a_file_whose_number_is_not_known_is_not_read_either(tmp_path: Path) -> None:
    place = SqlitePlace(tmp_path / "l.db")
    hold(place).close()
    with closing(sqlite3.connect(place.path)) as connection:
        connection.execute(f"PRAGMA user_version={VERSION + 1}")
    with (
        pytest.raises(LedgerUnreadable, match=f"of version {VERSION + 1}, which this program does not know"),
        reading(place),
    ):
        raise AssertionError
    with pytest.raises(Unavailable, match=f"of version {VERSION + 1}, which this program does not know"):
        hold(place)


def test_two_marks_that_do_not_agree_are_no_layout_of_ours(tmp_path: Path) -> None:
    place = SqlitePlace(tmp_path / "l.db")
    mark(place, "0006")
    with pytest.raises(Unavailable, match=f"marked as {VERSION} and as 0006"):
        hold(place)
    mark(other := SqlitePlace(tmp_path / "m.db"), "")
    with pytest.raises(Unavailable, match="of version '', which"):
        hold(other)


def test_an_older_ledger_is_told_to_be_brought_up_to_date(place: LedgerPlace) -> None:
    mark(place, "0006")
    if isinstance(place, SqlitePlace):
        with closing(sqlite3.connect(place.path)) as connection:
            connection.execute("PRAGMA user_version=6")
    with pytest.raises(LedgerUnreadable, match=f"version 0006, and this program replays {REVISION}; bring it up to"):
        list(iter_logged(place))


def test_all_steps_there_are_and_no_others_are_known() -> None:
    config = Config()
    config.set_main_option("script_location", str(HERE))
    steps = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    known = {f"{number:04d}" for number in range(-1, VERSION + 3) if not fault_of(f"{number:04d}")}
    assert known == steps
    assert max(steps) == REVISION == f"{VERSION:04d}"
    assert fault_of(None) == fault_of(None, 0) == ""
