"""Tests router/ledger/trying.py, and what `./tandem check` and `doctor` say of a ledger in PostgreSQL."""

import json
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from router.bench.private_postgres import PrivatePostgres
from router.commands.doctor import Finding, State, findings_of
from router.commands.program import run
from router.ledger import trying
from router.ledger.place import LedgerUnreadable, PostgresPlace
from router.ledger.trying import Tried, tried
from router.ledger.versions import REVISION

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
