"""Tests `router/commands/check.py`."""

import json
from pathlib import Path

import pytest

from router.commands.program import run


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
    assert json.loads(capsys.readouterr().out) == {"config": None, "faults": [], "remarks": [], "ready": None}


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
