"""Tests `router/commands/score.py`, with the shipped weights."""

import io
import json
import os
import select
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest

from classifier.verify import dump
from classifier.verifying.priors import general_weights
from classifier.verifying.replies import SIGNS
from router.commands.program import run

ROOT = Path(__file__).parents[3]

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
    weights = [abs(part["weight"]) for part in said["top"]]
    assert len(weights) == 5
    assert weights == sorted(weights, reverse=True)


def test_for_people_the_first_word_is_the_tier(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["score", SIMPLE, "--top", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(("mini: ", "large: "))
    assert "threshold" in lines[0]
    assert len(lines) == 4
    assert "all else" in lines[-1]


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
        {"prompt": SIMPLE, "weak_score": 1.0, "tenant": None},
        {"messages": [{"role": "user", "content": SIMPLE}], "max_tokens": None, "prompt": None},
        {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "你好"}]},
    ]
    file = tmp_path / "in.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    said = scored(capsys, "--file", str(file))
    assert len(said) == 3
    assert said[0] == said[1]
    assert said[0] == scored(capsys, SIMPLE, "--weights", "general")[0]
    assert said[0] != scored(capsys, SIMPLE)[0]
    assert list(said[0])[:4] == ["score", "interval", "threshold", "tier"]
    assert set(said[0]["top"][0]) == {"feature", "weight"}
    assert "verify" not in said[0]


def test_replies_of_mini_are_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = {"prompt": "How many eggs are left of 16, when 3 are eaten?"}
    rows: list[dict[str, object]] = [
        {**asked, "mini_replies": ["13 eggs", "The answer is 13."]},
        {**asked, "mini_replies": ["16 - 3 = 12, so 12", "The answer is 13."]},
        {**asked, "mini_replies": ["13 eggs"]},
        {**asked, "mini_replies": ["13 eggs"], "logprobs": [-0.1, -2.5]},
        {**asked, "mini_replies": ["13 eggs", "13"], "logprobs": [[-0.1], [-0.2]]},
        {**asked, "mini_replies": None},
    ]
    file = tmp_path / "in.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in rows))
    agree, differ, alone, unsure, both, none = scored(capsys, "--file", str(file))
    assert agree["verify"] < alone["verify"] < differ["verify"]
    assert alone["verify"] < unsure["verify"] <= 1.0
    assert both["verify"] < 0.5
    assert "verify" not in none
    desk = scored(capsys, "--file", str(file), "--verifier", "desk")
    assert desk[0]["verify"] != agree["verify"]
    assert desk[0]["score"] == agree["score"]
    assert run(["score", "--file", str(file)]) == 0
    assert "Mini's reply is wrong with probability" in capsys.readouterr().out


def test_a_verifier_of_ones_own_is_read_and_a_missing_one_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.jsonl").write_text('{"prompt": "hi", "mini_replies": ["hello"]}\n')
    weights = replace(general_weights(), name="mine", values=(0.0,) * len(SIGNS), apart=False, intercept=0.0)
    (tmp_path / "own.json").write_text(dump((weights,)))
    arguments = ("--file", str(tmp_path / "in.jsonl"), "--verifier")
    assert scored(capsys, *arguments, str(tmp_path / "own.json"))[0]["verify"] == 0.5
    assert run(["score", *arguments, str(tmp_path / "none.json")]) == 1
    assert "none.json" in capsys.readouterr().err


def test_standard_input_is_a_file_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"prompt": "hi"}\n')))
    assert len(scored(capsys, "--file", "-")) == 1


BAD_LINES = [
    ("{", "no line of JSON"),
    ("[]", "no object"),
    ("{}", "neither prompt nor messages"),
    ('{"prompt": 1}', "prompt is int"),
    ('{"prompt": null}', "neither prompt nor messages"),
    ('{"prompt": "hi", "tenant": 1}', "tenant is int"),
    ('{"prompt": "hi", "tools": "x"}', "tools"),
    ('{"prompt": "hi", "max_tokens": "x"}', "max_tokens"),
    ('{"messages": []}', "messages"),
    ('{"messages": [{"content": "no role"}]}', "role"),
    ('{"prompt": "\\ud800"}', "surrogate"),
    ('{"prompt": "hi", "mini_replies": []}', "mini_replies: is empty"),
    ('{"prompt": "hi", "mini_replies": ["a"], "logprobs": ["x"]}', "logprobs[0]: is x"),
    ('{"prompt": "hi", "tools": [{"n": 1e999, "m": 99999999999999999999999}]}', "64 bits"),
    ("[" * 100_000, "no line of JSON"),
    ("", "blank"),
    ("\t ", "blank"),
]


def test_a_line_that_is_no_request_says_so_in_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "in.jsonl"
    file.write_text("".join(f'{line}\n{{"prompt": "hi"}}\n' for line, _ in BAD_LINES))
    assert run(["score", "--json", "--file", str(file)]) == 1
    said = capsys.readouterr()
    rows = [json.loads(line) for line in said.out.splitlines()]
    assert len(rows) == 2 * len(BAD_LINES)
    for place, (_, words) in enumerate(BAD_LINES):
        assert words in rows[2 * place]["error"]
        assert rows[2 * place]["line"] == 2 * place + 1
        assert rows[2 * place + 1]["tier"] in ("large", "mini")
    assert f"could not be scored: {len(BAD_LINES)} ({file})" in said.err
    assert run(["score", "--file", str(file)]) == 1
    assert "line 1: no line of JSON" in capsys.readouterr().out


def test_huge_prompts_are_scored_and_those_without_words_go_by_default(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = {"type": "image_url", "image_url": {"url": "https://norrvik.example/a.png"}}
    rows: list[dict[str, object]] = [
        {"prompt": "订单" * 1_700_000},
        {"prompt": ""},
        {"messages": [{"role": "user", "content": [image]}]},
        {"prompt": "hi", "mini_replies": ["=1+" * 1_000_000, ""]},
    ]
    file = tmp_path / "in.jsonl"
    file.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows))
    long, empty, image_alone, with_replies = scored(capsys, "--file", str(file))
    assert all(0.0 <= row["score"] <= 1.0 for row in (long, with_replies))
    assert all((row["score"], row["reason"], row["top"]) == (None, "default", []) for row in (empty, image_alone))


def test_a_line_beyond_the_limit_is_left_out_and_the_next_one_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.commands.score.MAX_LINE", 100)
    file = tmp_path / "in.jsonl"
    file.write_text(f'{{"prompt": "{"x" * 450}"}}\n{{"prompt": "hi"}}\n')
    assert run(["score", "--json", "--file", str(file)]) == 1
    long, short = map(json.loads, capsys.readouterr().out.splitlines())
    assert long == {"error": "the line is larger than 100 bytes; shorten it", "line": 1}
    assert short["reason"] == "score"


def test_lines_are_answered_as_they_come() -> None:
    """A reader that waits for each answer before it asks the next is not kept waiting."""
    command = [sys.executable, "-m", "router", "score", "--json", "--file", "-"]
    environment = {**os.environ, "PYTHONUNBUFFERED": ""}  # which would hide that lines are held back
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdin=PIPE, stdout=PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for text in ("one", "two"):
            process.stdin.write(json.dumps({"prompt": text}).encode() + b"\n")
            process.stdin.flush()
            assert select.select([process.stdout], [], [], 15)[0]
            assert b'"tier"' in process.stdout.readline()
        process.stdin.close()
        assert process.wait(30) == 0


def test_a_text_that_is_no_request_ends_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["score", "\ud800"]) == 1
    assert "(the text)" in capsys.readouterr().err


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


@pytest.mark.parametrize(("content", "fault"), [(b"", "is empty"), (b"PAR1\0\0", "is parquet")])
def test_a_file_that_holds_no_lines_is_refused_once(
    content: bytes, fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "in"
    file.write_bytes(content)
    assert run(["score", "--file", str(file)]) == 1
    assert fault in capsys.readouterr().err


@pytest.mark.parametrize("option", [(), ("hello", "--verifier"), ("hello", "--weights")])
def test_what_is_no_file_is_told_and_not_read_without_end(
    option: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str], in_time: None
) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, what in ((tmp_path / "pipe", "pipe"), (Path("/dev/zero"), "device")):
        assert run(["score", *(option or ("--file",)), str(path)]) == (3 if "--weights" in option else 1)
        assert f"cannot be read: it is a {what}, and no file" in capsys.readouterr().err
