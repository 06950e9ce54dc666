"""Tests `router/commands/train_verifier.py`, with the local Mini and with a user's file."""

import json
import random
from pathlib import Path

import pytest

from classifier.verify import load
from classifier.verifying.priors import general_weights
from router.commands.program import run

RULES = "classifier: {use: rules}\n"


@pytest.fixture
def config(tmp_path: Path) -> str:
    (tmp_path / "tandem.yaml").write_text(RULES)
    return str(tmp_path / "tandem.yaml")


def labelled(path: Path, *, wrong_share: float = 0.4, replies: bool = True) -> Path:
    """Write rows in which replies that disagree are mostly wrong."""
    rng = random.Random(3)
    with path.open("w", encoding="utf-8") as file:
        for number in range(120):
            wrong = rng.random() < wrong_share
            other = "5" if rng.random() < (0.2 if wrong else 0.9) else "6"
            row = {
                "prompt": f"How many, {number}?",
                "strong_score": 1.0,
                "weak_score": 1.0 - wrong,
                "group": str(number),
            }
            said = {"mini_replies": ["5", other], "logprobs": [[-0.1, -0.5], [-0.2]]}
            file.write(json.dumps({**row, **said} if replies else row) + "\n")
    return path


def test_the_local_mini_is_asked_and_both_sets_are_written(
    tmp_path: Path, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "verify.json"
    assert run(["train-verifier", "--out", str(out), "--config", config, "--count", "50", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["cases"], said["groups"]) == (500, 100)
    assert said["auroc"] > 0.8
    assert load(out, name="general").weights == general_weights()
    assert load(out, name="desk").weights.fitted_on["auroc"] == said["auroc"]
    assert "replies are those of the local Mini" in out.with_suffix(".md").read_text(encoding="utf-8")


def test_a_users_own_replies_make_a_set_of_their_own(
    tmp_path: Path, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = labelled(tmp_path / "pairs.jsonl"), tmp_path / "own.json"
    arguments = ["train-verifier", "--data", str(data), "--out", str(out), "--config", config, "--name", "mine"]
    assert run(arguments) == 0
    assert "360 cases of 120 groups" in capsys.readouterr().out
    assert load(out).source == "mine@1"


def test_files_that_cannot_be_fitted_on_are_named(
    tmp_path: Path, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(data: Path, out: Path = tmp_path / "own.json") -> str:
        assert run(["train-verifier", "--data", str(data), "--out", str(out), "--config", config]) == 1
        return capsys.readouterr().err

    assert "none.jsonl" in said(tmp_path / "none.jsonl")
    assert "pairs.jsonl:1:mini_replies: is missing" in said(labelled(tmp_path / "pairs.jsonl", replies=False))
    assert "wrong" in said(labelled(tmp_path / "right.jsonl", wrong_share=0.0))
    bad = labelled(tmp_path / "bad.jsonl")
    bad.write_text(bad.read_text().replace('"mini_replies": ["5"', '"mini_replies": [5', 1))
    assert "bad.jsonl:1:mini_replies[0]: is int" in said(bad)
    assert "cannot be written" in said(labelled(tmp_path / "pairs.jsonl"), tmp_path / "pairs.jsonl" / "own.json")
