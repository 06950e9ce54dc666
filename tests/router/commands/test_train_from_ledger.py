"""Tests `router/commands/train.py` on what a gateway has learnt, up to the challenger that it makes."""

import asyncio
import json
import time
from pathlib import Path

import msgspec
import pytest

from classifier.base import Prompt, Turn
from classifier.pairs import FEWEST
from router.base import Label, Tier
from router.commands.program import run
from router.learning.registry import Registry
from router.ledger.writer import LedgerWriter
from tests.router.learning.by_hand import EASY, HARD, write_weights


async def fill(path: Path, count: int) -> None:
    """Write labels as shadow calls make them: Mini is wrong where it is hard."""
    ledger = LedgerWriter(path, loop=asyncio.get_running_loop())
    for number in range(count):
        text, weak = ((HARD, 0.0), (EASY, 1.0))[number % 2]
        prompt = msgspec.json.encode(Prompt((Turn("user", f"{text} {number}"),)))
        ledger.label(
            Label(
                f"r{number:03}", "acme", time.time(), prompt, Tier.MINI, 1.0, weak, 0.2, "s@1", 0.5, 0.02, "agreement@1"
            )
        )
    await ledger.aclose()


def test_what_traffic_taught_becomes_a_challenger(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(fill(tmp_path / "l.db", 120))
    out = tmp_path / "learnt.json"
    fitting = ["train", "--from-ledger", str(tmp_path / "l.db"), "--out", str(out), "--version", "learnt"]
    assert run([*fitting, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 120
    registry = Registry(tmp_path / "registry")
    registry.begin(write_weights(tmp_path, "first"), "linear", now=1.0)
    assert run(["models", "challenge", str(out), "--registry", str(registry.folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["contest"]["rival"].startswith("linear@learnt")


def test_too_little_is_refused_with_how_much_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(fill(tmp_path / "l.db", 12))
    out = tmp_path / "learnt.json"
    assert run(["train", "--from-ledger", str(tmp_path / "l.db"), "--out", str(out)]) == 1
    assert f"holds 12 labels with their text and fitting needs at least {FEWEST}" in capsys.readouterr().err
    assert run(["train", "--from-ledger", str(tmp_path / "none.db"), "--out", str(out)]) == 1
    assert "--from-ledger" in capsys.readouterr().err
    assert run(["train", "--out", str(out)]) == 2
    assert "nothing to fit on" in capsys.readouterr().err
    assert not out.exists()
