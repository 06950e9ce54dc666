"""Tests `router/commands/train_mini.py`: from a file, from a gateway's ledger, from the desk."""

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest

from backends.engines.desk.questions import Difficulty, sample, seen
from backends.engines.desk.shop import catalogue
from backends.engines.options import MODELS
from classifier.base import Prompt, Turn
from router.base import Label, Tier
from router.commands import train_mini as train_mini_command
from router.commands.program import run
from router.ledger.writer import LedgerWriter

QUICK = ("--epochs", "1", "--rank", "2", "--device", "cpu")


@pytest.fixture
def torch() -> Any:
    pytest.importorskip("peft", reason="the extra [train] is not installed, see deploy/locks")
    return pytest.importorskip("torch", reason="the extra [train] is not installed, see deploy/locks")


@pytest.fixture
def gateway(tmp_path: Path) -> Path:
    """A configuration with a ledger of 60 kept conversations of one tenant, half of them simple."""
    questions = [*seen("kept", Difficulty.SIMPLE, 30), *seen("kept", Difficulty.COMPLEX, 30)]

    async def fill() -> None:
        ledger = LedgerWriter(tmp_path / "l.db", loop=asyncio.get_running_loop())
        for number, question in enumerate(questions):
            prompt, score = msgspec.json.encode(Prompt((Turn("user", question.text),))), 0.2 + 0.6 * (number // 30)
            ledger.label(
                Label(f"r{number:03}", "acme", 1e9, prompt, Tier.MINI, 1.0, 0.0, score, "s@1", 0.5, 0.02, "agreement@1")
            )
        await ledger.aclose()

    asyncio.run(fill())
    path = tmp_path / "tandem.yaml"
    path.write_text(f"ledger:\n  path: {tmp_path / 'l.db'}\n")
    return path


def file_of(path: Path, rows: list[dict[str, object]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def test_what_large_says_to_kept_conversations_becomes_an_adapter(
    gateway: Path, tmp_path: Path, torch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    code = run(["train-mini", "--from", "ledger", "--config", str(gateway), "--out", str(out), "--json", *QUICK])
    printed = capsys.readouterr()
    card = json.loads(printed.out)
    assert (code, card["verdict"]) == (1, "unproven")  # so few examples prove nothing
    assert card["data"]["origin"] == "a ledger"
    assert 30 < card["data"]["examples"] < 60
    asked = card["parts"]["simple"]["before"]["asked"] + card["parts"]["complex"]["before"]["asked"]
    assert card["data"]["examples"] + asked == 60
    assert "Large answered 60 of 60 conversations" in printed.err
    assert "Large's answers cost" in printed.err
    assert sorted(path.name for path in out.iterdir()) == [
        "CARD.md",
        "adapter",
        "adapter.gguf",
        "card.json",
        "merged.gguf",
    ]


def test_a_file_teaches_and_the_command_says_before_and_after(
    tmp_path: Path, torch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    rng, pair = random.Random(1), catalogue()[:2]
    drawn = [sample(rng, Difficulty.COMPLEX, products=pair) for _ in range(120)]
    asked = {question.text: question.answer for question in drawn}
    rows: list[dict[str, object]] = [{"prompt": text, "answer": answer} for text, answer in asked.items()]
    rows += [
        {"messages": [{"role": "user", "content": one.text}], "answer": one.answer, "difficulty": "simple"}
        for one in seen("file", Difficulty.SIMPLE, 150)
    ]
    given = ["--from", file_of(tmp_path / "answers.jsonl", rows), "--out", str(tmp_path / "out"), "--device", "cpu"]
    assert run(["train-mini", *given, "--epochs", "12", "--margin", "0.5"]) == 0
    said = capsys.readouterr().out
    assert "It may be deployed: complex questions gained" in said
    card = json.loads((tmp_path / "out/card.json").read_text())
    learnt = card["parts"]["complex"]
    assert learnt["after"]["share"] > learnt["before"]["share"] + 0.3
    assert learnt["gain_interval"][0] > 0


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"prompt": "x", "answer": "y"}] * 3 + [{"prompt": "x"}], ":4:answer: is missing"),
        ([{"prompt": "x", "answer": ""}], ":1:answer: is empty"),
        ([{"prompt": "x", "answer": "y"}] * 49, "there are 49 examples, and at least 50 are needed"),
        ([], "is empty"),
    ],
)
def test_a_file_that_teaches_nothing_is_refused(
    rows: list[dict[str, object]], words: str, tmp_path: Path, torch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    given = file_of(tmp_path / "answers.jsonl", rows)
    assert run(["train-mini", "--from", given, "--out", str(tmp_path / "out")]) == 1
    assert words in capsys.readouterr().err


def test_a_base_that_cannot_learn_is_refused_before_large_is_asked(
    gateway: Path, tmp_path: Path, torch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    for base in (MODELS / "desk-large.gguf", tmp_path / "none.gguf", tmp_path):
        given = ["--config", str(gateway), "--base", str(base), "--out", str(tmp_path / "out")]
        assert run(["train-mini", "--from", "ledger", *given]) == 1
        said = capsys.readouterr().err
        assert str(base) in said
        assert "Large answered" not in said


def test_a_ledger_that_is_not_there_or_holds_no_text_is_named(
    gateway: Path, tmp_path: Path, torch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    from_ledger = ["train-mini", "--from", "ledger", "--out", str(tmp_path / "out"), "--config", str(gateway)]
    assert run([*from_ledger, "--ledger", str(tmp_path / "none.db")]) == 1
    assert "there is no ledger" in capsys.readouterr().err
    assert run([*from_ledger, "--tenant", "umbra"]) == 1
    assert "holds no text of the tenant umbra; of acme it does" in capsys.readouterr().err
    assert run([*from_ledger, "--since", "2100-01-01"]) == 1
    assert "no conversation to learn from" in capsys.readouterr().err
    assert run([*from_ledger, "--since", "soon"]) == 2


def test_without_torch_it_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(train_mini_command, "find_spec", lambda name: None if name == "peft" else object())
    assert run(["train-mini", "--from", "desk", "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert "peft cannot be imported" in said
    assert "deploy/locks/train.txt" in said
    assert not (tmp_path / "out").exists()


def test_the_desk_s_customer_teaches_what_its_favourites_are(
    tmp_path: Path, torch: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(train_mini_command, "ASKED", 20)
    given = ["--out", str(tmp_path / "out"), "--customer", "2", "--most", "60", "--json", *QUICK]
    assert run(["train-mini", "--from", "desk", *given]) == 1
    card = json.loads(capsys.readouterr().out)
    assert card["data"]["origin"] == "customer 2 of the desk"
    assert card["parts"]["elsewhere"]["teacher"]["asked"] == 20
