"""Tests router/commands/export.py and router/commands/row_files.py, on what the gateway's own writer wrote."""

import asyncio
import csv
import io
import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from backends.base import Usage
from classifier.base import Prompt, Score, Turn
from classifier.pairs import read_labelled
from router.base import Assessment, Attempt, Decision, Intent, Label, Outcome, Rating, Record, Signal, Tier
from router.commands.export import What
from router.commands.program import run
from router.commands.row_files import write_csv
from router.ledger.writer import LedgerWriter

ROOT = Path(__file__).resolve().parents[3]
FORMULA = '=HYPERLINK("http://a.example")'
NEW_YEAR = 1_767_225_600.0  # 2026-01-01T00:00Z


async def fill(path: Path, count: int) -> None:
    """Write requests that came a second apart, from new year on."""
    ledger = LedgerWriter(path, loop=asyncio.get_running_loop())
    decision = Decision(Tier.MINI, "score", Score(0.25, "linear@1"), 0.5, "threshold@0.5/large")
    attempt = Attempt("primary", Tier.MINI, "desk-mini", "127.0.0.1:1", Usage(10, None, 5), 1_200, "2026-01")
    for number in range(count):
        key = f"req_{number:08d}"
        await ledger.open(
            Intent(key, FORMULA, "shop", "auto", stream=False, started=NEW_YEAR + number, decision=decision)
        )
        ledger.settle(Record(key, Outcome.ANSWERED, 200, (attempt,), 0.1, 0.2, 12_000))
        if number == 1:
            seen = Assessment(key, NEW_YEAR + 9, Tier.MINI, "stop", 40, 0.1, 1.5, *(False,) * 4, agreement=0.5)
            ledger.assess(seen)
            await ledger.signal(Signal(key, "shop", NEW_YEAR + 30, "edit", 0.25))
            await ledger.signal(Signal(key, "shop", NEW_YEAR + 60, "edit", 0.5))
            await ledger.signal(Signal(key, "shop", NEW_YEAR + 90, "label", 1.0, "human"))
            await ledger.rate(Rating(key, "shop", NEW_YEAR + 70, 0.5, FORMULA))
    await ledger.aclose()


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """A ledger of three requests and two labels."""
    asyncio.run(fill(tmp_path / "a.db", 3))
    asyncio.run(fill_labels(tmp_path / "a.db"))
    return tmp_path / "a.db"


def test_each_request_is_a_line_of_json_with_its_attempts(ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["export", "requests", "--ledger", str(ledger)]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["id"] for row in rows] == ["req_00000000", "req_00000001", "req_00000002"]
    assert rows[0]["cost"] == 1_200
    assert rows[0]["baseline"] == 12_000
    assert rows[0]["attempts"][0]["model"] == "desk-mini"


def test_csv_has_a_head_and_no_text_that_a_spreadsheet_would_compute(
    ledger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["export", "requests", "--format", "csv", "--ledger", str(ledger)]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == 3
    assert rows[0]["caller_id"] == f"'{FORMULA}"
    assert (rows[0]["cost"], rows[0]["tenant"]) == ("1200", "shop")
    assert json.loads(rows[0]["attempts"])[0]["kind"] == "primary"


@pytest.mark.parametrize("start", ["2026-01-01T00:00:02Z", "2026-01-01T01:00:02+01:00"])
def test_since_leaves_out_what_came_before(ledger: Path, start: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["export", "requests", "--ledger", str(ledger), "--since", start]) == 0
    assert [json.loads(line)["id"] for line in capsys.readouterr().out.splitlines()] == ["req_00000002"]


def test_the_configuration_names_the_ledger(ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tandem.yaml").write_text(f"ledger: {{path: {ledger}}}\n")
    assert run(["export", "requests", "--config", str(tmp_path / "tandem.yaml")]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_a_time_that_is_none_is_a_slip_of_the_caller(ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["export", "requests", "--ledger", str(ledger), "--since", "yesterday"]) == 2
    assert "'yesterday' is no time (--since)" in capsys.readouterr().err


def test_a_missing_ledger_and_a_file_that_is_none_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing, other = tmp_path / "missing.db", tmp_path / "other.db"
    other.write_text("no database" * 100)
    for path in (missing, other):
        assert run(["export", "requests", "--ledger", str(path), "--json"]) == 2  # export has no --json
        capsys.readouterr()
        assert run(["export", "requests", "--ledger", str(path)]) == 1
        said = capsys.readouterr()
        assert said.out == ""
        assert str(path) in said.err
        assert "--ledger" in said.err
    assert not missing.exists()


def test_a_reader_that_closes_early_is_no_error(tmp_path: Path) -> None:
    asyncio.run(fill(tmp_path / "a.db", 500))
    command = f"{sys.executable} -m router export requests --ledger {tmp_path}/a.db | head -n 1"
    done = subprocess.run(
        ["/bin/bash", "-o", "pipefail", "-c", command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["id"] == "req_00000000"


async def fill_labels(path: Path) -> None:
    """Write one label of an old request and one of a new one."""
    ledger = LedgerWriter(path, loop=asyncio.get_running_loop())
    for number, text in enumerate(("where is it", FORMULA)):
        prompt = msgspec.json.encode(Prompt((Turn("user", text),)))
        made, key = NEW_YEAR + number, f"req_{number:08d}"
        ledger.label(Label(key, "shop", made, prompt, Tier.MINI, 1.0, 0.0, 0.2, "linear@1", 0.5, 0.02, "agreement@1"))
    await ledger.aclose()


def test_labels_are_rows_that_training_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(fill_labels(tmp_path / "a.db"))
    assert run(["export", "labels", "--ledger", str(tmp_path / "a.db")]) == 0
    out = tmp_path / "labels.jsonl"
    out.write_text(capsys.readouterr().out)
    first, second = read_labelled(out)
    assert (first.prompt.turns[0].text, first.strong_score, first.weak_score) == ("where is it", 1.0, 0.0)
    assert second.prompt.turns[0].text == FORMULA
    assert run(["export", "labels", "--ledger", str(tmp_path / "a.db"), "--since", "2026-01-01T00:00:01Z"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["request_id"] == "req_00000001"
    assert run(["export", "labels", "--format", "csv", "--ledger", str(tmp_path / "a.db")]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert rows[1]["propensity"] == "0.02"
    parquet = pytest.importorskip("pyarrow.parquet")
    out = tmp_path / "labels.parquet"
    assert run(["export", "labels", "--format", "parquet", "--out", str(out), "--ledger", str(tmp_path / "a.db")]) == 0
    row = parquet.read_table(out).to_pylist()[1]
    assert json.loads(row["messages"]) == [{"role": "user", "content": FORMULA}]
    assert (row["made"], row["tools"]) == (NEW_YEAR + 1, "[]")


def exported(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    """Return the objects that an export as JSON lines prints."""
    assert run(["export", *arguments]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_every_table_is_written_with_money_in_whole_nano_usd(ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = ("--ledger", str(ledger))
    attempts = exported(capsys, "--what", "attempts", *place)
    assert [(row["request_id"], row["cost"]) for row in attempts] == [(f"req_{n:08d}", 1_200) for n in range(3)]
    totals = exported(capsys, "--what", "totals", *place)
    assert {(row["width"], row["requests"], row["cost"]) for row in totals} == {
        (width, 3, 3_600) for width in (60, 3_600, 21_600, 86_400)
    }
    units = exported(capsys, "--what", "units", *place)
    assert sum(row["cost"] for row in units) == 3_600
    assert [row["agreement"] for row in exported(capsys, "--what", "assessments", *place)] == [0.5]


def test_what_users_told_is_written_by_when_it_was_given(ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = ("--ledger", str(ledger))
    told = sorted(exported(capsys, "signals", *place), key=lambda row: str(row["kind"]))
    assert [(row["kind"], row["value"], row["source"], row["repeats"]) for row in told] == [
        ("edit", 0.5, "user", 1),
        ("label", 1.0, "human", 0),
    ]
    assert {row["request_id"] for row in told} == {"req_00000001"}
    (early,) = exported(capsys, "signals", *place, "--until", "2026-01-01T00:01:30Z")
    assert early["kind"] == "edit"
    (rating,) = exported(capsys, "ratings", *place)
    assert (rating["request_id"], rating["tenant"], rating["given"], rating["score"]) == (
        "req_00000001",
        "shop",
        NEW_YEAR + 70,
        0.5,
    )
    assert exported(capsys, "ratings", *place, "--since", "2026-01-01T00:02Z") == []
    assert run(["export", "ratings", "--format", "csv", *place]) == 0
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert row["comment"] == f"'{FORMULA}"


def test_what_and_the_word_behind_the_command_are_the_same(ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = ("--ledger", str(ledger))
    assert (
        exported(capsys, "requests", *place)
        == exported(capsys, *place)
        == exported(capsys, "--what", "requests", *place)
    )
    assert run(["export", "requests", "--what", "totals", *place]) == 2
    assert "both requests and totals are asked for (--what)" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["requests", "attempts"])
def test_until_leaves_out_what_came_then_or_later(ledger: Path, what: str, capsys: pytest.CaptureFixture[str]) -> None:
    span = ("--since", "2026-01-01T00:00:01Z", "--until", "2026-01-01T00:00:02Z")
    (row,) = exported(capsys, "--what", what, "--ledger", str(ledger), *span)
    assert row["id" if what == "requests" else "request_id"] == "req_00000001"


def test_an_attempts_text_is_no_formula_either(ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(sqlite3.connect(ledger)) as connection, connection:
        connection.execute("UPDATE attempts SET model = ?, replica = ?", (FORMULA, "\t=1+1"))
    assert run(["export", "--what", "attempts", "--format", "csv", "--ledger", str(ledger)]) == 0
    row = next(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert (row["model"], row["replica"], row["cost"]) == (f"'{FORMULA}", "'\t=1+1", "1200")


@pytest.mark.parametrize("what", [*What])
def test_parquet_has_the_columns_that_are_told_and_the_rows_of_the_json(
    ledger: Path, tmp_path: Path, what: What, capsys: pytest.CaptureFixture[str]
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    out, place = tmp_path / "a.parquet", ("--ledger", str(ledger))
    assert run(["export", "--what", what, "--format", "parquet", "--out", str(out), *place]) == 0
    table = parquet.read_table(out)
    rows = exported(capsys, "--what", what, *place)
    as_json = [field.name for field in table.schema if field.name in ("messages", "tools")]
    assert table.to_pylist() == [row | {name: json.dumps(row[name]) for name in as_json} for row in rows] != []
    assert run(["export", "--what", what, "--columns"]) == 0
    lines = capsys.readouterr().out.splitlines()
    told = [line for line in lines if not line.startswith(" ")]
    assert [line.split()[0] for line in told] == table.column_names
    assert ["cost", "whole", "nano-USD"] in [
        line.split() for line in lines if line.startswith("  ")
    ] or what != "requests"
    moments = {
        line.split()[0]: line.split(maxsplit=2)[2:] for line in told if line.startswith(("started", "made", "given"))
    }
    assert all(unit == ["seconds since 1970"] for unit in moments.values())
    if "cost" in table.column_names:
        field = table.schema.field("cost")
        assert (str(field.type), field.metadata) == ("int64", {b"unit": b"nano-USD"})


def test_a_label_whose_text_is_erased_has_none(
    ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(sqlite3.connect(ledger)) as connection, connection:
        connection.execute("UPDATE labels SET prompt = NULL")
    place, out = ("--ledger", str(ledger)), tmp_path / "labels.parquet"
    assert {(row["messages"], row["group"]) for row in exported(capsys, "labels", *place)} == {(None, None)}
    parquet = pytest.importorskip("pyarrow.parquet")
    assert run(["export", "labels", "--format", "parquet", "--out", str(out), *place]) == 0
    assert parquet.read_table(out)["messages"].to_pylist() == [None, None]


MOMENTS: dict[What, Callable[[dict[str, Any]], float]] = {
    What.REQUESTS: lambda row: row["started"],
    What.ATTEMPTS: lambda row: NEW_YEAR + int(row["request_id"][-8:]),
    What.TOTALS: lambda row: row["bucket"] * row["width"],
    What.UNITS: lambda row: row["day"] * 86_400,
    What.LABELS: lambda row: row["made"],
    What.ASSESSMENTS: lambda row: row["made"],
    What.SIGNALS: lambda row: row["given"],
    What.RATINGS: lambda row: row["given"],
}


@pytest.mark.parametrize("what", [*What])
def test_a_span_has_its_first_moment_and_not_its_last(
    ledger: Path, what: What, capsys: pytest.CaptureFixture[str]
) -> None:
    place, moment_of = ("--ledger", str(ledger)), MOMENTS[what]
    whole = exported(capsys, what, *place)
    moments = sorted(map(moment_of, whole))
    for at in (*moments, moments[-1] + 1):
        text = datetime.fromtimestamp(at, UTC).isoformat()
        assert exported(capsys, what, *place, "--since", text) == [row for row in whole if moment_of(row) >= at]
        assert exported(capsys, what, *place, "--until", text) == [row for row in whole if moment_of(row) < at]


def test_a_carriage_return_begins_no_row() -> None:
    out = io.StringIO()
    write_csv([{"a": "x\r=1+1", "b": 1}], out)
    assert out.getvalue() == 'a,b\n"x\r=1+1",1\n'


def test_csv_has_no_cell_that_begins_like_a_formula_and_lines_as_unix_has_them(tmp_path: Path) -> None:
    starts, out = "=+-@\t\r\n＝＋－＠", io.StringIO()
    write_csv([{"text": f"{start}1+1"} for start in starts] + [{"text": "1+1"}, {"text": -1}], out)
    rows = [row["text"] for row in csv.DictReader(io.StringIO(out.getvalue(), newline=""))]
    assert rows == [*(f"'{start}1+1" for start in starts), "1+1", "-1"]
    assert out.getvalue().startswith("text\n'=1+1\n")


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_a_file_has_lines_as_unix_has_them_and_words_as_they_were_written(
    ledger: Path, tmp_path: Path, form: str
) -> None:
    with closing(sqlite3.connect(ledger)) as connection, connection:
        connection.execute("UPDATE requests SET caller_id = 'où'")
    out = tmp_path / "rows"
    assert run(["export", "--format", form, "--ledger", str(ledger), "--out", str(out)]) == 0
    assert b"\r" not in out.read_bytes()
    assert out.read_text(encoding="utf-8").count("où") == 3


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_of_no_rows_nothing_is_written(ledger: Path, form: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["export", "--format", form, "--ledger", str(ledger), "--until", "2020-01-01"]) == 0
    assert capsys.readouterr().out == ""


def test_parquet_needs_a_file_and_its_library(
    ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ["export", "--format", "parquet", "--ledger", str(ledger)]
    assert run(asked) == 2
    assert "name a file with --out" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert run([*asked, "--out", str(tmp_path / "a.parquet")]) == 1
    assert ".venv/bin/pip install '.[fit]'" in capsys.readouterr().err
    assert list(tmp_path.glob("*parquet*")) == []


def test_a_file_is_written_wholly_or_not_at_all(
    ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "rows.jsonl"
    assert run(["export", "--ledger", str(ledger), "--out", str(out)]) == 0
    assert capsys.readouterr().out == ""
    assert len(out.read_text().splitlines()) == 3
    (tmp_path / "broken.db").write_text("no database" * 100)
    assert run(["export", "--ledger", str(tmp_path / "broken.db"), "--out", str(out)]) == 1
    assert len(out.read_text().splitlines()) == 3
    assert not (tmp_path / ".rows.jsonl.part").exists()
    assert run(["export", "--ledger", str(ledger), "--out", str(tmp_path / "none" / "rows.jsonl")]) == 1
    assert "cannot be written" in capsys.readouterr().err
