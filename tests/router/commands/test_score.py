"""Tests `router/commands/score.py`, with the shipped weights."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from router.commands.program import run

SIMPLE = "Where is my order?"
RULES = "classifier: {use: rules}\npolicy: {use: threshold, threshold: 0.4}\n"


def scored(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    """Return what `tandem score --json` says, an object for each line."""
    assert run(["score", "--json", *arguments]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_text_gets_score_threshold_tier_and_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    (said,) = scored(capsys, SIMPLE)
    assert 0.0 <= said["score"] <= 1.0
    assert said["tier"] == ("large" if said["score"] >= said["threshold"] else "mini")
    assert said["reason"] == "score"
    weights = [abs(part["weight"]) for part in said["contributions"]]
    assert len(weights) == 5
    assert weights == sorted(weights, reverse=True)


def test_for_people_the_first_word_is_the_tier(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["score", SIMPLE, "--top", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(("mini: ", "large: "))
    assert "threshold" in lines[0]
    assert len(lines) == 3


def test_the_file_decides_on_classifier_and_threshold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "tandem.yaml"
    for text, tier, reason in (
        (RULES, None, "score"),
        ("classifier: {use: rules}\npolicy: {use: threshold, threshold: 0.0}\n", "large", "score"),
        ("classifier: {use: 'off'}\npolicy: {use: threshold, default_tier: mini}\n", "mini", "default"),
        ("policy: {use: explicit, tier: mini}\n", "mini", "fixed"),
    ):
        config.write_text(text)
        (said,) = scored(capsys, SIMPLE, "--config", str(config))
        assert tier in (None, said["tier"])
        assert said["reason"] == reason
        assert run(["score", SIMPLE, "--config", str(config)]) == 0
        assert capsys.readouterr().out.startswith(said["tier"])


def test_each_line_of_a_file_gets_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[dict[str, object]] = [
        {"prompt": SIMPLE, "weak_score": 1.0},
        {"messages": [{"role": "user", "content": SIMPLE}], "max_tokens": None},
        {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "你好"}]},
    ]
    file = tmp_path / "in.jsonl"
    file.write_text("\n\n".join(json.dumps(row) for row in rows) + "\n")
    said = scored(capsys, "--file", str(file))
    assert len(said) == 3
    assert said[0] == said[1]
    assert said[0] == scored(capsys, SIMPLE)[0]


def test_standard_input_is_a_file_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"prompt": "hi"}\n')))
    assert len(scored(capsys, "--file", "-")) == 1


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "no line of JSON"),
        ("[]", "no object"),
        ("{}", "neither prompt nor messages"),
        ('{"prompt": 1}', "content"),
        ('{"messages": []}', "messages"),
        ('{"prompt": "\\ud800"}', ""),
        ("[" * 100_000, "no line of JSON"),
    ],
)
def test_a_line_that_is_no_request_is_named(
    tmp_path: Path, line: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "in.jsonl"
    file.write_text(f'{{"prompt": "hi"}}\n{line}\n')
    assert run(["score", "--file", str(file)]) == 1
    said = capsys.readouterr()
    assert said.out != ""
    assert f"({file}:2)" in said.err
    assert words in said.err


def test_nothing_to_score_and_too_much_are_slips(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["score"]) == 2
    assert run(["score", "text", "--file", "in.jsonl"]) == 2
    assert "either a text" in capsys.readouterr().err


def test_a_file_that_cannot_be_read_and_weights_that_cannot_be_used_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["score", "--file", str(tmp_path / "no.jsonl")]) == 1
    (tmp_path / "weights.json").write_text("{}")
    (tmp_path / "tandem.yaml").write_text(f"classifier: {{weights: {tmp_path}/weights.json}}\n")
    assert run(["score", "hi", "--config", str(tmp_path / "tandem.yaml")]) == 3
    said = capsys.readouterr().err
    assert "no.jsonl" in said
    assert "weights.json" in said
