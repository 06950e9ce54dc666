"""Tests `router/commands/check.py`."""

import json
import os
from pathlib import Path

import pytest

from classifier.calibrating.calibrated import Level, Overlay, digest_of, dump
from classifier.calibrating.maps import Calibration, Platt
from classifier.options import SHIPPED_PRIOR
from router.commands.program import run
from router.learning.registry import ABOUT, STANDING, Registry
from tests.router.learning.by_hand import write_weights


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in a folder of the test's own: the built-in ledger of the one we are in is none of its business."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration whose backends nobody serves."""
    path = tmp_path / "tandem.yaml"
    path.write_text(
        "backends:\n"
        "  large: {use: openai_http, urls: [http://127.0.0.1:9/v1], model: l, price: desk-large}\n"
        "  mini: {use: openai_http, urls: [http://127.0.0.1:9/v1], model: m, price: desk-mini}\n"
        "classifier: {use: rules}\n"
    )
    return path


def test_a_file_in_order_is_said_to_be_so(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "--config", str(config)]) == 0
    assert capsys.readouterr().out == f"{config}: in order\n"


def test_a_price_that_is_in_no_book_is_remarked_upon(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(config.read_text().replace("desk-large", "desk-larg"))
    assert run(["check", "--config", str(config)]) == 0
    assert "backends.large.price: the price book has no 'desk-larg'" in capsys.readouterr().out


def test_the_built_in_configuration_is_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == {"config": None, "faults": [], "remarks": [], "ready": None, "ledger": None}


def test_every_fault_is_told_with_file_line_and_column(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(config.read_text() + "server:\n  prot: 1\npolicy: {use: threshold, threshold: high}\n")
    assert run(["check", "--config", str(config), "--json"]) == 3
    said = capsys.readouterr()
    assert f"\n{config}:6:3: server.prot: " in said.err
    assert f"\n{config}:7:" in said.err
    assert [fault["line"] for fault in json.loads(said.out)["error"]["faults"]] == [6, 7]


def test_a_file_that_is_not_there_is_a_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "--config", str(tmp_path / "no.yaml")]) == 3
    assert "no.yaml" in capsys.readouterr().err


def test_files_that_the_configuration_names_are_read_too(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "weights.json").write_text("{}")
    (tmp_path / "prices.yaml").write_text("- [")
    config.write_text(f"classifier: {{weights: {tmp_path}/weights.json}}\nprices: {tmp_path}/prices.yaml\n")
    assert run(["check", "--config", str(config), "--json"]) == 3
    paths = [fault["path"] for fault in json.loads(capsys.readouterr().out)["error"]["faults"]]
    assert paths == ["classifier.weights", "prices"]


def faults_of(config: Path, added: str, capsys: pytest.CaptureFixture[str]) -> list[tuple[str, int, int, str]]:
    """Return path, line, column and message of each fault of the file with something added to it."""
    config.write_text(config.read_text() + added)
    assert run(["check", "--config", str(config), "--json"]) == 3
    faults = json.loads(capsys.readouterr().out)["error"]["faults"]
    assert {fault["file"] for fault in faults} == {str(config)}
    return [(fault["path"], fault["line"], fault["column"], fault["message"]) for fault in faults]


def calibration(path: Path, *, source: str = "rules@1", weights: str = "") -> Path:
    """Write a calibration with the promise of a loss of 0.02."""
    level = Level(
        loss=0.02, confidence=0.9, logit=0.0, share_mini=0.5, risk=0.01, bound=0.02, activity=0.1, pairs=1_000
    )
    made = Overlay(
        source=source,
        weights=weights,
        calibration=Calibration(Platt(1.0, 0.0), {}),
        count="lost",
        levels=(level,),
        fitted_on={},
    )
    path.write_text(dump(made))
    return path


def test_files_that_cannot_be_used_are_told_where_they_are_named(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "v.json").write_text("{}")
    config.write_text(config.read_text().replace("{use: rules}", f"{{weights: {tmp_path}/none.json}}"))
    added = f"policy:\n  use: cascade\n  verifier: {tmp_path}/v.json\nprices: {tmp_path}/none.yaml\n"
    weights, verifier, prices = faults_of(config, added, capsys)
    assert weights[:3] == ("classifier.weights", 4, 14)
    assert verifier[:3] == ("policy.verifier", 7, 3)
    assert prices[:3] == ("prices", 8, 1)
    assert "weights are damaged" in verifier[3]


def test_a_promise_that_is_kept_is_in_order(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = calibration(tmp_path / "c.json")
    config.write_text(config.read_text() + f"policy: {{use: certified, file: {file}}}\n")
    assert run(["check", "--config", str(config)]) == 0
    assert "in order" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("loss: 0.01", "a loss of 0.01 is not certified"),
        ("confidence: 0.99", "certified are: none"),
    ],
)
def test_a_promise_that_was_not_certified_is_a_fault(
    more: str, words: str, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = calibration(tmp_path / "c.json")
    (fault,) = faults_of(config, f"policy:\n  use: certified\n  {more}\n  file: {file}\n", capsys)
    assert fault[:3] == ("policy.file", 8, 3)
    assert words in fault[3]


@pytest.mark.parametrize(
    ("source", "words"), [("rules@0", "belongs to the scores of rules@0"), (None, "cannot be read")]
)
def test_a_certified_file_that_is_not_the_weights_own_is_a_fault(
    source: str | None, words: str, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "c.json" if source is None else calibration(tmp_path / "c.json", source=source)
    (fault,) = faults_of(config, f"policy:\n  file: {file}\n  use: certified\n", capsys)
    assert fault[:3] == ("policy.file", 6, 3)
    assert words in fault[3]


def test_a_calibration_that_is_named_beside_the_promise_has_its_own_place(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = calibration(tmp_path / "c.json", source="general", weights=digest_of(SHIPPED_PRIOR))
    config.write_text(config.read_text().replace("{use: rules}", f"{{use: rules, calibration: {file}}}"))
    (fault,) = faults_of(config, f"policy: {{use: certified, file: {file}x}}\n", capsys)
    assert fault[:3] == ("classifier.calibration", 4, 26)


def test_a_certified_file_without_its_calibration_is_a_fault(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(config.read_text().replace("{use: rules}", "{use: rules, calibration: null}"))
    (fault,) = faults_of(config, f"policy: {{use: certified, file: {calibration(tmp_path / 'c.json')}}}\n", capsys)
    assert fault[:3] == ("policy.file", 5, 26)
    assert "rules@1 gives them here" in fault[3]


def test_an_encoder_s_folder_is_read(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "encoder").mkdir()
    config.write_text(config.read_text().replace("{use: rules}", f"{{use: encoder, weights: {tmp_path}/encoder}}"))
    (fault,) = faults_of(config, "", capsys)
    assert fault[:3] == ("classifier.weights", 4, 28)
    assert "encoder.json: cannot be read" in fault[3]
    config.write_text(config.read_text().replace(f", weights: {tmp_path}/encoder", ""))
    (fault,) = faults_of(config, "", capsys)
    assert fault[:3] == ("classifier.weights", 4, 13)


@pytest.fixture
def learning(config: Path, tmp_path: Path) -> Path:
    """A configuration with weights of its own and a registry that is not there yet."""
    weights = write_weights(tmp_path, "1")
    config.write_text(config.read_text().replace("{use: rules}", f"{{weights: {weights}}}"))
    config.write_text(config.read_text() + f"learning:\n  registry: {tmp_path}/versions-of-mine/registry\n")
    return config


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder, and every folder."""
    return {str(path): path.read_bytes() if path.is_file() else b"" for path in folder.rglob("*")}


def test_a_registry_is_looked_at_and_not_begun(
    learning: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(tmp_path)
    assert run(["check", "--config", str(learning)]) == 0
    assert contents(tmp_path) == before
    registry = Registry(tmp_path / "versions-of-mine" / "registry")
    registry.begin(write_weights(tmp_path, "2"), "linear", now=1.0)
    before = contents(tmp_path)
    assert run(["check", "--config", str(learning)]) == 0
    learning.write_text(learning.read_text().replace("weights-1-", "weights-none-"))  # the champion needs them no more
    assert run(["check", "--config", str(learning)]) == 0
    assert contents(tmp_path).keys() == before.keys()


@pytest.mark.parametrize("damaged", [STANDING, ABOUT, "weights"])
def test_a_registry_that_cannot_be_used_is_a_fault(
    damaged: str, learning: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    registry = Registry(tmp_path / "versions-of-mine" / "registry")
    registry.begin(write_weights(tmp_path, "1"), "linear", now=1.0)
    (file,) = (path for path in registry.folder.rglob(f"{damaged}*") if path.is_file() and path.suffix == ".json")
    file.write_bytes(b"{\xff")
    before = contents(tmp_path)
    (fault,) = faults_of(learning, "", capsys)
    assert fault[:3] == ("learning.registry", 6, 3)
    assert file.name in fault[3]
    assert contents(tmp_path) == before


def test_a_registry_below_a_file_is_a_fault(learning: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "versions-of-mine").write_text("")
    (fault,) = faults_of(learning, "", capsys)
    assert fault[:3] == ("learning.registry", 6, 3)
    assert "cannot be written" in fault[3]


def test_backends_that_do_not_answer_are_named(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "--config", str(config), "--live"]) == 4
    assert f"no answer from large and mini ({config})" in capsys.readouterr().err


def test_live_with_json_prints_one_object(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "--config", str(config), "--live", "--json"]) == 4
    said = json.loads(capsys.readouterr().out)
    assert said["error"]["exit_code"] == 4
    assert said["error"]["ready"] == {"large": False, "mini": False}


def test_a_model_of_our_own_that_does_not_start_is_named(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    local = "{use: local, name: own, weights: /nonexistent/own.gguf}"
    config.write_text(f"backends:\n  large: {local}\n  mini: {{use: local, name: desk-mini}}\n")
    assert run(["check", "--config", str(config), "--live"]) == 4
    assert "no answer from large (" in capsys.readouterr().err


NAMED = {
    "classifier.weights": "classifier: {weights: PATH}",
    "classifier.calibration": "classifier: {calibration: PATH}",
    "policy.verifier": "policy: {use: cascade, verifier: PATH}",
    "policy.file": "policy: {use: certified, file: PATH}",
    "certificate": "certificate: PATH",
    "prices": "prices: PATH",
}


@pytest.mark.parametrize("key", NAMED)
def test_a_pipe_or_a_device_where_a_file_belongs_is_told_by_its_key_and_not_waited_for(
    key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], in_time: None
) -> None:
    os.mkfifo(tmp_path / "pipe")
    config = tmp_path / "tandem.yaml"
    for path, what in ((tmp_path / "pipe", "pipe"), (Path("/dev/zero"), "device")):
        config.write_text(NAMED[key].replace("PATH", str(path)))
        assert run(["check", "--config", str(config)]) == 3
        told = capsys.readouterr().err
        assert f" {key}: {path}: " in told
        assert f"cannot be read: it is a {what}, and no file" in told


def test_a_configuration_that_is_a_pipe_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], in_time: None
) -> None:
    os.mkfifo(tmp_path / "tandem.yaml")
    assert run(["check", "--config", str(tmp_path / "tandem.yaml")]) == 3
    assert "tandem.yaml:1:1: cannot be read: it is a pipe, and no file" in capsys.readouterr().err


def test_a_ledger_that_is_no_file_is_remarked_upon(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], in_time: None
) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "tandem.yaml").write_text(f"ledger: {{path: {tmp_path}/pipe}}\n")
    assert run(["check", "--config", str(tmp_path / "tandem.yaml")]) == 0
    assert f"{tmp_path}/pipe: it is a folder, a pipe or a device, and no file; set" in capsys.readouterr().out
