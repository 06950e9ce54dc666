"""Tests router/commands/experiment.py: as people call it, against a ledger that a gateway wrote."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from router.commands.program import run
from router.ledger.writer import LedgerWriter
from tests.router.experiments.files import USUAL

Told = Callable[..., tuple[int, str, str]]

GATEWAY = """\
backends:
  large: {use: openai_http, urls: ["http://127.0.0.1:9/v1"], model: big, price: desk-large}
  mini: {use: openai_http, urls: ["http://127.0.0.1:9/v1"], model: small, price: desk-mini}
classifier: {use: rules}
ledger: {use: sqlite, path: FOLDER/ledger.db}
"""


@pytest.fixture
def told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Told:
    """Return what calls a command of experiments, and gives its exit code and what it said."""
    config, file = tmp_path / "gateway.yaml", tmp_path / "half.yaml"
    config.write_text(GATEWAY.replace("FOLDER", str(tmp_path)))
    file.write_text(USUAL)

    def call(*arguments: str) -> tuple[int, str, str]:
        placed = [argument.replace("FILE", str(file)) for argument in arguments]
        code = run(["experiment", *placed, "--config", str(config)])
        said = capsys.readouterr()
        return code, said.out.strip(), said.err.strip()

    return call


def test_an_experiment_begins_widens_and_ends(told: Told, tmp_path: Path) -> None:
    code, said, _ = told("start", "FILE", "--ramp", "0.1")
    assert code == 0
    assert said.startswith("half ")
    assert said.endswith("runs, ramp 0.1  (usual 0.5, lower 0.5)")
    assert (tmp_path / "ledger-experiments" / "half.json").exists()
    assert told("ramp", "half", "0.5")[1].endswith("ramp 0.5  (usual 0.5, lower 0.5)")
    listed = json.loads(told("list", "--json")[1])["experiments"]
    assert [(each["id"], each["state"], len(each["ramps"])) for each in listed] == [("half", "runs", 2)]
    assert "salt" not in listed[0]
    assert "stopped: dear" in told("stop", "half", "--why", "dear")[1]
    assert told("start", "FILE") == (
        1,
        "",
        "error: half was stopped (dear), for good; give the new one another id",
    )


@pytest.mark.parametrize(("shadow", "warnings"), [("0", 1), ("0.05", 0)])
def test_who_waits_for_what_nobody_measures_is_warned(told: Told, tmp_path: Path, shadow: str, warnings: int) -> None:
    config, file = tmp_path / "gateway.yaml", tmp_path / "half.yaml"
    config.write_text(config.read_text() + f"learning: {{shadow: {shadow}}}\n")
    file.write_text(USUAL.replace("complex_from: 0.6", "quality: agreement"))
    code, _, said = told("start", "FILE")
    assert code == 0
    assert said.count("nothing measures agreement") == warnings


def test_a_file_that_is_wrong_is_refused_with_all_its_faults(told: Told, tmp_path: Path) -> None:
    file = tmp_path / "half.yaml"
    file.write_text(USUAL.replace("threshold: 0.3", "threshold: 3").replace("unit: user", "unit: users"))
    code, out, said = told("start", "FILE", "--json")
    assert code == 3
    assert said.startswith("error: the experiment has 2 faults\n")
    assert f"{file}:2:7: unit: must be one of tenant, user, conversation" in said
    assert json.loads(out)["error"]["faults"][1]["path"] == "arms.lower.threshold"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("ramp", "half", "0.05"), 1, "the ramp of half is 0.1 and cannot narrow to 0.05"),
        (("ramp", "half", "two"), 2, "'two' is no share (ramp): write a number above 0, and 1 at most"),
        (("ramp", "half", "0"), 2, "'0' is no share"),
        (("report", "other"), 1, "there is no experiment 'other' in"),
        (("report", "half"), 1, "there is no ledger ("),
    ],
)
def test_what_cannot_be_done_is_said(told: Told, arguments: tuple[str, ...], code: int, said: str) -> None:
    told("start", "FILE", "--ramp", "0.1")
    found = told(*arguments)
    assert found[0] == code
    assert said in found[2]


def test_changing_it_in_flight_is_refused_and_changes_nothing(told: Told, tmp_path: Path) -> None:
    told("start", "FILE")
    before = (tmp_path / "ledger-experiments" / "half.json").read_bytes()
    (tmp_path / "half.yaml").write_text(USUAL.replace("margin: 0.02", "margin: 0.2"))
    code, _, said = told("start", "FILE")
    assert code == 1
    assert "half runs, and the file changes margin: what was measured so far would be of another experiment" in said
    assert (tmp_path / "ledger-experiments" / "half.json").read_bytes() == before


def test_a_report_ends_with_what_is_to_be_done(told: Told, tmp_path: Path) -> None:
    told("start", "FILE")
    asyncio.run(_empty_ledger(tmp_path / "ledger.db"))
    code, said, _ = told("report", "half")
    assert code == 0
    assert said.splitlines()[-1] == "Keep running: nobody is in an arm yet; 400 units are needed."
    report = json.loads(told("report", "half", "--json")[1])
    assert report["verdict"]["kind"] == "keep"
    assert report["arms"]["lower"]["quality"]["difference"] is None


async def _empty_ledger(path: Path) -> None:
    await LedgerWriter(path, loop=asyncio.get_running_loop()).aclose()
