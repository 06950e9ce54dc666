"""Tests `router/commands/train.py`."""

import json
import random
from dataclasses import fields
from pathlib import Path

import pytest

from classifier.training import Report
from router.commands import train as train_command
from router.commands.program import run


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Labelled outcomes: what asks for a sum is too much for Mini."""
    chance = random.Random(1)
    rows = []
    for number in range(80):
        hard = number % 2 == 0
        words = "add up and compare the totals" if hard else "where is my order"
        rows.append(
            {
                "prompt": f"{words} {chance.randrange(1000)}",
                "strong_score": 1.0,
                "weak_score": 0.0 if hard else 1.0,
                "group": f"{number}",
            }
        )
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_weights_are_fitted_written_and_used(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "own.json"
    assert run(["train", "--data", str(data), "--out", str(out), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["rows"] == 80
    assert said["auroc"] > 0.9
    assert Path(said["card"]).is_file()
    (tmp_path / "tandem.yaml").write_text(f"classifier: {{weights: {out}}}\n")
    assert run(["score", "add up and compare the totals", "--config", str(tmp_path / "tandem.yaml"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tier"] == "large"


def test_for_people_it_says_threshold_and_saving() -> None:
    numbers = dict.fromkeys((field.name for field in fields(Report)), 0.25)
    said = train_command._sentences(Report(**{**numbers, "rows": 80, "groups": 40, "needing_large": 20, "seed": 0}))  # type: ignore[arg-type]  # of one type by name
    assert "80 rows of 40 groups" in said
    assert "threshold 0.250: 25% to Large, 25% saved" in said


def test_data_that_cannot_be_used_are_named(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data.write_text('{"prompt": "hi"}\n')
    assert run(["train", "--data", str(data), "--out", str(tmp_path / "own.json")]) == 1
    assert f"{data}:1" in capsys.readouterr().err
    assert not (tmp_path / "own.json").exists()


def test_a_place_that_cannot_be_written_is_named(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "--data", str(data), "--out", "/proc/none/own.json"]) == 1
    assert "(/proc/none/own.json)" in capsys.readouterr().err


def test_without_scikit_learn_it_says_how_to_get_it(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(train_command, "find_spec", lambda _: None)
    assert run(["train", "--data", str(data), "--out", str(tmp_path / "own.json")]) == 1
    assert "deploy/locks/fit.txt" in capsys.readouterr().err


def test_what_other_models_scored_may_join_in(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chance = random.Random(2)
    rows = [
        {**json.loads(line), "id": f"{at}", "source": "shop", "strong_score": float(chance.random() < 0.6)}
        for at, line in enumerate(data.read_text().split("\n"))
    ]
    data.write_text("\n".join(map(json.dumps, rows)))
    peers = tmp_path / "peers.jsonl"
    scored = [
        {"id": row["id"], "source": "shop", "model": model, "score": row["weak_score"]}
        for row in rows
        for model in "abcd"
    ]
    peers.write_text("\n".join(map(json.dumps, scored)))
    out = tmp_path / "own.json"
    asked = ["train", "--data", str(data), "--peers", str(peers), "--target", "gain", "--out", str(out)]
    assert run([*asked, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["steadied"] in {0.0, 0.5, 0.75, 1.0}
    peers.write_text(json.dumps({**scored[0], "id": "unknown"}))
    assert run(asked) != 0
