"""Tests `router/commands/train_encoder.py`; the training itself is tested where it lives."""

import json
import random
from pathlib import Path

import pytest

from router.commands import train_encoder as train_encoder_command
from router.commands.program import run

_EXTRA = "the extra [train] is not installed: torch==2.13.0, see deploy/locks"
TINY = ("--layers", "1", "--width", "16", "--heads", "2", "--vocabulary", "300", "--longest", "32", "--device", "cpu")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Labelled outcomes: what asks for a sum is too much for Mini."""
    chance = random.Random(1)
    rows = []
    for number in range(100):
        hard = number % 2 == 0
        words = "add up and compare the totals" if hard else "where is my order"
        scores = {"strong_score": 1.0, "weak_score": 0.0 if hard else 1.0}
        rows.append({"prompt": f"{words} {chance.randrange(1000)}", "group": f"{number}", **scores})
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_an_encoder_is_trained_written_and_used(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("torch", "transformers", "onnx"):
        pytest.importorskip(name, reason=_EXTRA)
    out = tmp_path / "encoder"
    asked = ["train-encoder", "--data", str(data), "--out", str(out), "--epochs", "3", *TINY]
    assert run([*asked, "--json"]) == 0
    captured = capsys.readouterr()
    said = json.loads(captured.out)
    assert (said["folder"], said["rows"], said["held_out"]) == (str(out), 100, 20)
    assert "epoch 1 of 3" in captured.err
    assert {path.name for path in out.iterdir()} == {"model.onnx", "tokenizer.json", "encoder.json", "CARD.md"}
    (tmp_path / "tandem.yaml").write_text(f"classifier: {{use: encoder, weights: {out}, device: cpu}}\n")
    assert run(["score", "add up and compare the totals", "--config", str(tmp_path / "tandem.yaml"), "--json"]) == 0
    scored = json.loads(capsys.readouterr().out)
    assert scored["scorer"].startswith("encoder@1-")
    assert 0.0 < scored["score"] < 1.0
    assert run([*asked, "--int8"]) == 0
    assert f"{out}: 100 rows of 100 groups, 20 held out; AUROC " in capsys.readouterr().out


def test_without_torch_it_says_how_to_get_it(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = ("torch", "onnx")
    monkeypatch.setattr(train_encoder_command, "find_spec", lambda name: None if name in missing else object())
    assert run(["train-encoder", "--data", str(data), "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert "torch, onnx cannot be imported" in said
    assert "deploy/locks/train.txt" in said
    assert not (tmp_path / "out").exists()


def test_heads_that_do_not_divide_the_width_are_a_slip(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["train-encoder", "--data", str(data), "--out", str(tmp_path / "out"), "--heads", "3"]) == 2
    assert "3 heads do not divide a width of 128 (--heads)" in capsys.readouterr().err


def test_data_that_cannot_be_used_are_named(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(train_encoder_command, "find_spec", lambda _: object())
    data.write_text('{"prompt": "hi"}\n')
    assert run(["train-encoder", "--data", str(data), "--out", str(tmp_path / "out")]) == 1
    assert f"{data}:1" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_named_before_training(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(train_encoder_command, "find_spec", lambda _: object())
    assert run(["train-encoder", "--data", str(data), "--out", "/proc/none/encoder"]) == 1
    captured = capsys.readouterr()
    assert "(/proc/none/encoder)" in captured.err
    assert "epoch" not in captured.err


def test_a_base_that_is_no_folder_is_named(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("torch", "transformers", "onnx"):
        pytest.importorskip(name, reason=_EXTRA)
    base = tmp_path / "absent"
    asked = ["train-encoder", "--data", str(data), "--out", str(tmp_path / "out"), "--device", "cpu"]
    assert run([*asked, "--base", str(base)]) == 1
    assert f"{base}: config.json is missing; a base is a folder with" in capsys.readouterr().err
