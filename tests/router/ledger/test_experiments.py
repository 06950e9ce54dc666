"""Tests router/ledger/experiments.py on each engine, with router/quality/fates.py."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest

from backends.base import Usage
from classifier.base import Score
from router.base import Assessment, Attempt, Decision, Intent, Outcome, Record, Signal, Tier
from router.ledger.experiments import Exposed, FateOf, exposed
from router.ledger.place import LedgerPlace, LedgerUnreadable
from router.ledger.writer import LedgerWriter
from router.quality.fates import fates_of
from tests.router.conftest import config_of

DAY = 86_400.0
NOW = 20_000 * DAY
HOUR = 3_600.0


@dataclass(frozen=True)
class Asked:
    """One request of a user, in a conversation of its own name, so many hours before now."""

    name: str
    user: str
    arm: str
    ago: float
    conversation: str = ""
    score: float = 0.9
    cost: int = 1_000
    outcome: Outcome = Outcome.ANSWERED


ASKED = (
    Asked("00-early-ada", "ada", "", 24 * 9, cost=500),
    Asked("01-early-bob", "bob", "", 24 * 8, cost=700),
    Asked("02-ada", "ada", "usual", 120, "a1"),
    Asked("03-ada", "ada", "usual", 119, "a1", score=0.1),
    Asked("04-ada", "ada", "usual", 118, "a2"),
    Asked("05-bob", "bob", "half", 117, "b1", cost=300),
    Asked("06-bob", "bob", "half", 116, "b2", score=0.1),
    Asked("07-eve", "eve", "half", 110, "e1", outcome=Outcome.FAILED),
    Asked("08-eve", "eve", "half", 1, "e2"),
    Asked("09-eve", "eve", "gone", 1, "e3"),
)


async def write(ledger: LedgerWriter, asked: Asked) -> None:
    experiment = "half" if asked.arm else ""
    score = Score(asked.score, "rules@1")
    intent = Intent(
        asked.name,
        "",
        "acme",
        "auto",
        stream=False,
        started=NOW - asked.ago * HOUR,
        decision=Decision(Tier.MINI, "score", score, 0.5, "p@1", arm=asked.arm, experiment=experiment),
        user=asked.user,
        conversation=asked.conversation,
        unit=asked.user,
    )
    await ledger.open(intent)
    attempt = Attempt("primary", Tier.MINI, "small", "h:1", Usage(1, None, 2), asked.cost, "v")
    ledger.settle(Record(asked.name, asked.outcome, 200, (attempt,), 0.1, 0.2, 50, overhead=0.002))


def assessment(name: str, *, agreement: float | None = None, failed: int = 0, refused: bool = False) -> Assessment:
    return Assessment(
        name, NOW, Tier.MINI, "stop", 9, 0.0, 1.0,
        is_repetitive=False, is_empty=False, is_truncated=False, is_refusal=refused,
        checks=2, failed_checks=failed, agreement=agreement,
    )  # fmt: skip


@pytest.fixture
async def ledger(place: LedgerPlace) -> LedgerPlace:
    """A ledger of an experiment with two arms, and of one that it does not know."""
    writer = LedgerWriter(place, loop=asyncio.get_running_loop())
    for asked in ASKED:
        await write(writer, asked)
    writer.assess(assessment("02-ada", agreement=1.0))
    writer.assess(assessment("03-ada", agreement=0.5, failed=1))
    writer.assess(assessment("05-bob", refused=True))
    assert await writer.signal(Signal("04-ada", "acme", NOW - 100 * HOUR, "escalate", 1.0))
    assert await writer.signal(Signal("05-bob", "acme", NOW - 100 * HOUR, "thumb", 1.0))
    await writer.aclose()
    return place


def fates(folder: Path, **config: object) -> FateOf:
    return fates_of(config_of(folder, **config), 0.5, NOW)


def seen(place: LedgerPlace | Path, fate_of: FateOf | None) -> Exposed:
    started = NOW - 5 * DAY
    return exposed(place, "half", ("usual", "half"), unit="user", started=started, fate_of=fate_of)


def by_arm(found: Exposed, name: str) -> dict[str, list[float]]:
    return {
        arm: sorted(float(value) for value in found.sums[name][found.arm == number])
        for number, arm in enumerate(found.arms)
    }


async def test_each_units_sums_stand_under_its_arm(ledger: LedgerPlace, tmp_path: Path) -> None:
    found = seen(ledger, fates(tmp_path))
    assert by_arm(found, "requests") == {"usual": [3.0], "half": [2.0, 2.0]}
    assert by_arm(found, "cost") == {"usual": [3_000.0], "half": [1_300.0, 2_000.0]}
    assert by_arm(found, "failed") == {"usual": [0.0], "half": [0.0, 1.0]}
    assert by_arm(found, "agreement") == {"usual": [1.5], "half": [0.0, 0.0]}
    assert by_arm(found, "compared") == {"usual": [2.0], "half": [0.0, 0.0]}
    assert by_arm(found, "passed") == {"usual": [3.0], "half": [0.0, 2.0]}
    assert by_arm(found, "refused") == {"usual": [0.0], "half": [0.0, 1.0]}
    assert by_arm(found, "thumbs") == {"usual": [0.0], "half": [0.0, 1.0]}
    assert (found.crossed, len(found.overheads)) == (0, 7)
    assert found.overheads.tolist() == [0.002] * 7


async def test_complex_conversations_count_when_they_are_closed(ledger: LedgerPlace, tmp_path: Path) -> None:
    found = seen(ledger, fates(tmp_path))
    assert by_arm(found, "conversations") == {"usual": [2.0], "half": [1.0, 1.0]}
    assert by_arm(found, "resolved") == {"usual": [1.0], "half": [1.0, 1.0]}
    assert found.open == 1


async def test_a_tenants_own_window_is_heeded(ledger: LedgerPlace, tmp_path: Path) -> None:
    keys = [{"tenant": "acme", "sha256": "0" * 64}]
    found = seen(ledger, fates(tmp_path, keys=keys, tenants={"acme": {"resolution_hours": 0.5}}))
    assert by_arm(found, "conversations") == {"usual": [2.0], "half": [1.0, 2.0]}
    assert found.open == 0


async def test_what_users_brought_before_is_told_beside(ledger: LedgerPlace) -> None:
    found = seen(ledger, None)
    assert "conversations" not in found.sums
    earlier = {tuple(row) for row in zip(found.earlier["requests"], found.earlier["cost"], strict=True)}
    assert earlier == {(1.0, 500.0), (1.0, 700.0), (0.0, 0.0)}


async def test_a_ledger_that_is_none_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnreadable):
        seen(tmp_path / "none.db", None)
