"""Tests router/commands/quality.py, on a ledger that the gateway's own writer filled."""

import asyncio
import json
import re
from dataclasses import replace
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
    assert "regenerated is known of requests with reply keys alone" in shown
    heads = [line.split() for line in shown.splitlines() if "mini" in line.split() or "e/b" in line.split()]
    assert heads == [["large", "mini"], ["large", "mini"], ["e/b"]]  # rates and users by tier, rates by arm


def test_a_time_of_nothing_says_so(ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["quality", "--ledger", str(ledger), "--since", "2025-02-01"]) == 0
    assert "no reply" in capsys.readouterr().out


def test_where_no_ledger_is_the_command_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["quality", "--ledger", str(tmp_path / "none.db")]) == 1
    assert "no ledger" in capsys.readouterr().err


async def judge(path: Path, *, labels: int) -> None:
    ledger = LedgerWriter(path, loop=asyncio.get_running_loop())
    for number in range(60):
        name, at = f"req_{number:02d}", NEW_YEAR + number
        decision = Decision(Tier.MINI, "score", Score(0.9, "linear@1"), 0.5, "p@1")
        await ledger.open(Intent(name, "", "a", "auto", stream=False, started=at, decision=decision, unit=f"u{number}"))
        attempt = Attempt("primary", Tier.MINI, "small", "h:1", Usage(9, None, 5), 3, "v")
        ledger.settle(Record(name, Outcome.ANSWERED, 200, (attempt,), 0.1, 0.2, 9))
        seen = Assessment(name, at, Tier.MINI, "stop", 40, 0.1, 1.5, *(False,) * 4, logprob=-0.5 - number % 2 / 2)
        seen = replace(seen, repetition_written=number < 3)
        won = 0.5 if number < 6 else 1.0
        ledger.assess(replace(seen, agreement=won, judge="claude-x@1 inconsistent" if number < 6 else "claude-x@1"))
        if number < labels:
            assert await ledger.signal(Signal(name, "a", at + 60, "label", number % 2 * 1.0, "human")) == name
    await ledger.aclose()


def rows_of(shown: str) -> dict[str, str]:
    found = [line.strip().rpartition("  ") for line in shown.splitlines()]
    return {name.strip(): value.strip() for name, _, value in found}


def test_what_a_judge_says_is_shown_raw_and_debiased_each_with_its_doubt(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(judge(tmp_path / "j.db", labels=40))
    assert run(["quality", "--ledger", str(tmp_path / "j.db")]) == 0
    rows = rows_of(capsys.readouterr().out)
    assert rows["repetition written"] == "5.00% [1.71%, 13.70%] of 60"
    assert rows["raw win rate, claude-x@1"] == "95.00% [86.30%, 98.29%] of 60"
    debiased = re.fullmatch(
        r"([\d.]+)% \[([\d.]+)%, ([\d.]+)%\] of 60, 40 by people", rows["debiased win rate, claude-x@1"]
    )
    assert debiased is not None
    value, low, high = map(float, debiased.groups())
    assert low < 50 < high < 86
    assert value == pytest.approx(50, abs=6)
    assert rows["inconsistent orders, claude-x@1"] == "10.00% [4.66%, 20.15%] of 60"
    assert rows["labelled by people, claude-x@1"] == "66.67% [54.06%, 77.27%] of 60"
    assert rows["raw agreement, claude-x@1"].startswith("95.00% [")
    assert re.fullmatch(r"-0\.750 \[-0\.8\d\d, -0\.6\d\d\] of 60", rows["mean log-probability"])


def test_with_few_labels_the_debiased_rate_says_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(judge(tmp_path / "j.db", labels=2))
    assert run(["quality", "--ledger", str(tmp_path / "j.db")]) == 0
    rows = rows_of(capsys.readouterr().out)
    assert rows["debiased win rate, claude-x@1"] == "not known: people labelled 2 of 60, and 30 are needed"
