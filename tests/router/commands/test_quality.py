"""Tests router/commands/quality.py, on a ledger that the gateway's own writer filled."""

import asyncio
import json
from pathlib import Path

import pytest

from backends.base import Usage
from classifier.base import Score
from router.base import Assessment, Attempt, Decision, Intent, Outcome, Record, Signal, Tier
from router.commands.program import run
from router.ledger.writer import LedgerWriter

NEW_YEAR = 1_735_689_600.0  # 2025-01-01T00:00Z


async def fill(path: Path) -> None:
    ledger = LedgerWriter(path, loop=asyncio.get_running_loop())
    for number in range(8):
        name, tier = f"req_{number}", (Tier.MINI, Tier.LARGE)[number % 2]
        score = Score(0.9, "linear@1")
        decision = Decision(tier, "score", score, 0.5, "p@1", arm="b" * (number % 2), experiment="e" * (number % 2))
        at = NEW_YEAR + number
        await ledger.open(
            Intent(name, "", "acme", "auto", stream=False, started=at, decision=decision, conversation=f"c{number}")
        )
        attempt = Attempt("primary", tier, "small", "h:1", Usage(9, None, 5), 3, "v")
        ledger.settle(Record(name, Outcome.ANSWERED, 200, (attempt,), 0.1, 0.2, 9))
        if number < 4:
            flags = (number == 0, False, False, False)
            ledger.assess(Assessment(name, at, tier, "stop", 40, 0.1, 1.5, *flags, agreement=1.0, judge="agreement@1"))
    assert await ledger.signal(Signal("req_0", "acme", NEW_YEAR + 60, "escalate", 1.0)) == "req_0"
    await ledger.aclose()


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    asyncio.run(fill(tmp_path / "q.db"))
    return tmp_path / "q.db"


def test_shares_have_intervals_and_say_how_much_was_looked_at(ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["quality", "--ledger", str(ledger), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    mini = found["by_tier"]["mini"]
    assert (mini["answered"], mini["assessed"], mini["coverage"]["value"]) == (4, 2, 0.5)
    assert mini["rates"]["repetitive"]["value"] == 0.5
    assert mini["rates"]["repetitive"]["low"] < 0.5 < mini["rates"]["repetitive"]["high"]
    assert mini["signals"]["escalate by user"]["coverage"] == 0.25
    assert mini["agreement"]["agreement@1"]["of"] == 2
    assert [(each["experiment"], each["arm"], each["answered"]) for each in found["by_arm"]] == [("e", "b", 4)]
    outside, inside = found["resolution"]
    assert (outside["closed"], outside["resolved"], inside["closed"], inside["resolved"]) == (4, 3, 4, 4)
    assert "level" in found["missing"]


def test_people_get_tables(ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["quality", "--ledger", str(ledger)]) == 0
    shown = capsys.readouterr().out
    assert "repetitive" in shown
    assert "50.00%" in shown
    assert "resolution, e/b: 100.0%" in shown
    heads = [line.split() for line in shown.splitlines() if "mini" in line.split() or "e/b" in line.split()]
    assert heads == [["large", "mini"], ["large", "mini"], ["e/b"]]  # rates and users by tier, rates by arm


def test_a_time_of_nothing_says_so(ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["quality", "--ledger", str(ledger), "--since", "2025-02-01"]) == 0
    assert "no reply" in capsys.readouterr().out


def test_where_no_ledger_is_the_command_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["quality", "--ledger", str(tmp_path / "none.db")]) == 1
    assert "no ledger" in capsys.readouterr().err
