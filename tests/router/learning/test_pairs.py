"""Tests router/learning/pairs.py, router/commands/ledger_pairs.py and router/commands/times.py."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from classifier.base import Prompt, Turn
from classifier.pairs import FEWEST, PairsError
from router.base import Decision, Intent, Label, Rating, Tier
from router.commands.errors import BadUsage, CommandFailed
from router.commands.ledger_pairs import ledger_pairs
from router.commands.times import seconds_of
from router.learning.pairs import group_of, iter_pairs, labelled_row, pairs_of, scores_of
from router.ledger.labels import RatedLabel, iter_labels
from router.ledger.writer import LedgerWriter


def label(
    number: int = 0,
    *,
    answered: Tier = Tier.MINI,
    scores: tuple[float, float] | None = (1.0, 0.0),
    prompt: Prompt | None = None,
) -> Label:
    prompt = prompt or Prompt((Turn("user", f"question {number}"),), tools=1, max_tokens=5)
    strong, weak = scores or (None, None)
    text = msgspec.json.encode(prompt)
    return Label(
        f"r{number:03}", "acme", float(number), text, answered, strong, weak, 0.2, "linear@1", 0.5, 0.02, "agreement@1"
    )


@pytest.mark.parametrize(
    ("answered", "scores", "rating", "expected"),
    [
        (Tier.MINI, (1.0, 0.0), None, (1.0, 0.0)),
        (Tier.MINI, None, None, None),
        (Tier.MINI, (1.0, 0.0), 1.0, (1.0, 1.0)),  # a person liked what the grader took for wrong
        (Tier.MINI, (1.0, 0.0), 0.0, (1.0, 0.0)),
        (Tier.MINI, (1.0, 1.0), 0.25, (0.25, 0.25)),  # both said the same
        (Tier.MINI, None, 0.25, (1.0, 0.25)),  # Large is assumed to be right
        (Tier.LARGE, (1.0, 1.0), 0.0, (0.0, 0.0)),
        (Tier.LARGE, (1.0, 0.0), 0.75, (0.75, 0.0)),
        (Tier.LARGE, (1.0, 0.0), 0.25, None),  # Large was wrong, and Mini said something else
        (Tier.LARGE, None, 1.0, None),  # of Mini's nothing is known
    ],
)
def test_what_a_person_said_stands_above_the_grader(
    answered: Tier, scores: tuple[float, float] | None, rating: float | None, expected: tuple[float, float] | None
) -> None:
    assert scores_of(RatedLabel(label(answered=answered, scores=scores), rating)) == expected


async def fill(path: Path, count: int) -> None:
    ledger = LedgerWriter(path, loop=asyncio.get_running_loop())
    for number in range(count):
        ledger.label(label(number, scores=(1.0, float(number % 2))))
    await ledger.aclose()


async def test_labels_with_text_are_pairs_and_ratings_replace_grades(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    await fill(path, 3)
    ledger = LedgerWriter(path, loop=asyncio.get_running_loop())
    decision = Decision(Tier.MINI, "score", None, None, "p@1")
    for name in ("r000", "r001", "unsampled"):
        await ledger.open(Intent(name, "", "acme", "auto", stream=False, started=1.0, decision=decision))
    await ledger.rate(Rating("r000", "acme", 1.0, 1.0, None))
    await ledger.rate(Rating("unsampled", "acme", 1.0, 0.0, None))  # statistics only
    ledger.forget(1.5)  # erases the text of the first two
    await ledger.aclose()
    (pair,) = iter_pairs(path)
    assert (pair.prompt, pair.strong_score, pair.weak_score, pair.source) == (
        Prompt((Turn("user", "question 2"),), tools=1, max_tokens=5),
        1.0,
        0.0,
        "agreement@1",
    )
    rows = [labelled_row(rated) for rated in iter_labels(path)]
    assert [(row["grader"], row["weak_score"], row["messages"] is None) for row in rows] == [
        ("feedback", 1.0, True),
        ("agreement@1", 1.0, True),
        ("agreement@1", 0.0, False),
    ]
    assert {row["propensity"] for row in rows} == {0.02}
    assert [row["tools"] for row in rows] == [[], [], [{}]]


async def test_too_few_labels_are_refused_with_how_many_there_are_and_how_many_are_needed(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    await fill(path, FEWEST + 10)
    assert len(pairs_of(path)) == FEWEST + 10
    with pytest.raises(PairsError, match=rf"holds {FEWEST - 1} labels .* needs at least {FEWEST}"):
        pairs_of(path, since=11.0)


def test_equal_questions_are_one_group() -> None:
    one = Prompt((Turn("user", "Where is it? "),), tools=3)
    assert group_of(one) == group_of(Prompt((Turn("user", " where is IT?"),)))
    assert group_of(one) != group_of(Prompt((Turn("system", "x"), Turn("user", "Where is it?"))))
    group_of(Prompt((Turn("user", "half a pair \ud800"),)))


def test_a_command_names_a_ledger_that_cannot_be_read(tmp_path: Path) -> None:
    assert ledger_pairs(None, None) == []
    with pytest.raises(CommandFailed, match="--from-ledger") as caught:
        ledger_pairs(str(tmp_path / "missing.db"), None)
    assert caught.value.where == str(tmp_path / "missing.db")
    with pytest.raises(BadUsage, match="is no time"):
        ledger_pairs(str(tmp_path / "missing.db"), "yesterday")


def test_a_time_is_read_with_its_zone() -> None:
    assert seconds_of(None) == float("-inf")
    assert seconds_of("2026-01-01T01:00:00+01:00") == seconds_of("2026-01-01T00:00:00Z") == 1_767_225_600.0
