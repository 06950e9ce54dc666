"""Tests router/ledger/trying.py, and what `./tandem check` and `doctor` say of a ledger."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from router.bench.private_postgres import PrivatePostgres
from router.commands.doctor import Finding, State, findings_of
from router.commands.program import run
from router.ledger import trying
from router.ledger.layout import prepare
from router.ledger.place import LedgerUnreadable, PostgresPlace, SqlitePlace
from router.ledger.trying import Tried, tried
from router.ledger.versions import REVISION, VERSION

NewDatabase = Callable[[], PostgresPlace]


def changed(place: PostgresPlace, *statements: str) -> PostgresPlace:
    with psycopg.connect(place.url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.format(database=connection.info.dbname).encode())
    return place


def as_guest(place: PostgresPlace) -> PostgresPlace:
    """Return the same database for a user who was granted nothing."""
    return PostgresPlace(place.url.replace("//tandem@", "//guest@"))


def seen_by(doctor: Path) -> Finding:
    (found,) = [each for each in findings_of(doctor) if each.name == "ledger"]
    return found


def laid_out(path: Path, *statements: str) -> SqlitePlace:
    """Make a ledger in a file, and change it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        prepare(connection)
        for statement in statements:
            connection.execute(statement)
    return SqlitePlace(path)


def test_a_file_is_told_with_its_layout_and_stays_as_it_is(tmp_path: Path) -> None:
    place = laid_out(tmp_path / "l.db")
    (tmp_path / "empty.db").touch()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert tried(place) == Tried(f"layout {REVISION}")
    for name in ("none.db", "empty.db"):
        assert tried(SqlitePlace(tmp_path / name)) == Tried("not there: it is made when a gateway starts")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.suffix == ".db"} == before


def test_a_file_that_a_gateway_could_not_use_is_told_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trying, "WAIT", 0.01)
    older, newer = tmp_path / "older.db", tmp_path / "newer.db"
    laid_out(older, "UPDATE alembic_version SET version_num = '0004'", "PRAGMA user_version=4")
    laid_out(newer, "UPDATE alembic_version SET version_num = '9999'")
    laid_out(tmp_path / "number.db", f"PRAGMA user_version={VERSION + 1}")
    laid_out(tmp_path / "marks.db", "UPDATE alembic_version SET version_num = '0004'")
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection:
        connection.execute("CREATE TABLE others (name TEXT)")
    (tmp_path / "damaged.db").write_bytes(b"x" * 4_096)
    found = {path.stem: tried(SqlitePlace(path)) for path in sorted(tmp_path.glob("*.db"))}
    with closing(sqlite3.connect(older, isolation_level=None)) as connection:
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("CREATE TABLE more (name TEXT)")
        found["held"] = tried(SqlitePlace(older))
    assert found["older"] == Tried(f"layout 0004, and this program's is {REVISION}", trying._UPGRADE)
    unknown = f"its layout is of version {{}}, which this program does not know (it knows 0001 to {REVISION})"
    assert found["newer"].found == unknown.format("9999")
    assert found["number"].found == unknown.format(VERSION + 1)
    assert found["newer"].advice.startswith("use the newer program that wrote it, or restore the copy")
    assert found["marks"].found.startswith(f"its layout is marked as {VERSION} and as 0004")
    assert found["other"].found == "it holds tables of another program"
    assert found["damaged"].found == "cannot be read: file is not a database"
    assert found["held"] == Tried(
        "cannot be read: database is locked",
        "end the process that holds it, or set ledger.path to another file",
        is_usable=False,
    )
    assert {name for name, each in found.items() if each.is_usable} == {"older"}
    assert all(each.advice for each in found.values())


def test_check_and_doctor_tell_of_a_file_s_layout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, place = tmp_path / "tandem.yaml", laid_out(tmp_path / "l.db")
    backend = "{use: openai_http, urls: [http://127.0.0.1:9/v1], model: m, price: desk-mini}"
    config.write_text(
        f"server: {{port: 0}}\nbackends: {{large: {backend}, mini: {backend}}}\nclassifier: {{use: rules}}\n"
        f"ledger: {{path: {place.path}}}\n"
    )

    def checked(*more: str) -> str:
        assert run(["check", "--config", str(config), *more]) == 0
        return capsys.readouterr().out

    assert checked().splitlines()[1:] == [f"ledger: {place}: layout {REVISION}"]
    assert seen_by(config) == Finding("ledger", State.OK, f"{place} can be written: layout {REVISION}")
    laid_out(place.path, "UPDATE alembic_version SET version_num = '0004'", "PRAGMA user_version=4")
    older = f"{place}: layout 0004, and this program's is {REVISION}"
    assert checked().splitlines()[1:] == [f"ledger.path: {older}; {trying._UPGRADE}"]
    assert seen_by(config) == Finding("ledger", State.WARNING, older, trying._UPGRADE)
    with closing(sqlite3.connect(place.path, isolation_level=None)) as connection:
        connection.execute("PRAGMA user_version=99")
    assert "which this program does not know" in checked()
    assert json.loads(checked("--json"))["ledger"]["is_usable"] is False
    assert seen_by(config).state is State.FAILED
    assert run(["check", "--config", str(config), "--live"]) == 4
    assert f"the ledger {place} its layout is of version 99" in capsys.readouterr().err


def test_a_ledger_in_order_is_told_with_its_version_and_layout(new_database: NewDatabase) -> None:
    found = tried(new_database())
    assert found.found.startswith("PostgreSQL ")
    assert found.found.endswith(f", layout {REVISION}")
    assert (found.advice, found.is_usable) == ("", True)


def test_an_empty_database_is_told_to_be_one_and_stays_empty(postgres: PrivatePostgres) -> None:
    place = postgres.create()
    for _ in range(2):
        assert tried(place).found.endswith(", empty: its tables are made when a gateway starts")


def test_what_a_gateway_could_not_use_is_told_with_what_to_do(
    new_database: NewDatabase, postgres: PrivatePostgres
) -> None:
    postgres.run("CREATE ROLE guest LOGIN")
    older = changed(new_database(), "UPDATE alembic_version SET version_num = '0004'")
    newer = changed(new_database(), "UPDATE alembic_version SET version_num = '9999'")
    reads = changed(new_database(), "ALTER ROLE tandem IN DATABASE {database} SET default_transaction_read_only = on")
    granted = changed(new_database(), "GRANT SELECT ON alembic_version TO guest")
    found = {
        "older": tried(older),
        "newer": tried(newer),
        "reads": tried(reads),
        "empty": tried(as_guest(postgres.create())),
        "granted": tried(as_guest(granted)),
        "away": tried(PostgresPlace("postgresql://me:secret@127.0.0.1:1/none")),
        "none": tried(PostgresPlace(postgres.url("nowhere"))),
    }
    told = {key: (each.found.partition(", ")[2] or each.found, each.is_usable) for key, each in found.items()}
    assert told["older"] == (f"layout 0004, and this program's is {REVISION}", True)
    assert told["newer"] == (f"layout 9999, and this program reads {REVISION}", False)
    assert found["reads"].found.endswith("takes no records: it only reads")
    assert told["empty"] == ("empty, and guest may not make tables in it", False)
    assert told["granted"] == (f"layout {REVISION}, and guest may not write into it", False)
    assert found["away"].found.startswith("cannot be reached: ")
    assert "nowhere" in found["none"].found
    assert [key for key, each in found.items() if not each.advice] == []
    assert "secret" not in repr(found)


def test_an_old_server_is_a_doubt_and_one_without_its_driver_is_of_no_use(
    new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = new_database()
    monkeypatch.setattr(trying, "TESTED", 99)
    assert tried(place).advice == "nothing is known of versions before 99; take that one or a later one"

    def missing() -> None:
        raise LedgerUnreadable("a ledger in PostgreSQL needs psycopg")

    monkeypatch.setattr(trying, "load_psycopg", missing)
    assert tried(place) == Tried(
        "a ledger in PostgreSQL needs psycopg", "install it, or set ledger.use to sqlite", is_usable=False
    )


def test_check_and_doctor_tell_it_in_one_line(
    new_database: NewDatabase, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, place = tmp_path / "tandem.yaml", new_database()
    config.write_text(f"server: {{port: 0}}\nledger: {{use: postgres, url: {place.url!r}}}\n")
    assert run(["check", "--config", str(config)]) == 0
    (_, line) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"ledger: {place}: PostgreSQL ")
    assert seen_by(config).state is State.OK
    changed(place, "UPDATE alembic_version SET version_num = '9999'")
    assert run(["check", "--config", str(config)]) == 0
    (_, line) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"ledger.url: {place}: PostgreSQL ")
    assert "this program reads" in line
    assert line.endswith("the copy that was made before, or set ledger.url to another database")
    assert run(["check", "--config", str(config), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ledger"]["is_usable"] is False
    assert seen_by(config).state is State.FAILED
    changed(place, "UPDATE alembic_version SET version_num = '0004'")
    assert seen_by(config).state is State.WARNING


def test_check_fails_for_it_only_where_it_is_to_look_at_what_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "tandem.yaml"
    backend = "{use: openai_http, urls: [http://127.0.0.1:9/v1], model: m, price: desk-mini}"
    ledger = "{use: postgres, url: 'postgresql://me:secret@127.0.0.1:1/none'}"
    config.write_text(
        f"backends: {{large: {backend}, mini: {backend}}}\nclassifier: {{use: rules}}\nledger: {ledger}\n"
    )
    assert run(["check", "--config", str(config)]) == 0
    assert run(["check", "--config", str(config), "--live"]) == 4
    said = capsys.readouterr()
    assert "the ledger postgresql://127.0.0.1/none cannot be reached: " in said.err
    assert "secret" not in said.err + said.out
