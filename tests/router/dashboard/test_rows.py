"""Tests router/dashboard/rows.py."""

from dataclasses import replace
from typing import Any

import pytest

from router.base import Outcome
from router.dashboard.rows import row
from router.ledger.views import Line, Source
from tests.router.dashboard.hand_written import NOW

LINE = Line(
    id="a",
    tenant="acme",
    model="auto",
    stream=True,
    started=NOW,
    source=Source.MINI,
    decided="mini",
    reason="score",
    score=0.2,
    threshold=0.42,
    scorer="linear@1",
    policy="threshold@1",
    moved=False,
    outcome=Outcome.ANSWERED,
    status=200,
    first_byte=0.21,
    duration=2.0,
    cost=110_000,
    error="",
)


def test_a_row_tells_what_happened() -> None:
    shown = row(LINE)
    assert (shown.time, shown.why, shown.kind, shown.cost, shown.first_token, shown.whole) == (
        "12:34:56",
        "Score 0.20 is under 0.42",
        "mini",
        "$0.00011",
        "210 ms",
        False,
    )


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"score": 0.42}, "Score 0.42 reaches 0.42"),
        ({"reason": "asked", "score": None}, "Mini was asked for"),
        ({"reason": "default", "score": None}, "No score could be given: Mini by default"),
        ({"reason": "fixed", "score": None}, "Every request goes to Mini"),
        ({"reason": "moonlight", "score": None}, "moonlight: Mini"),
        ({"outcome": Outcome.KEPT, "source": Source.CACHE}, "A kept reply to the same request"),
        ({"decided": "large", "moved": True}, "Score 0.20 is under 0.42, but Mini stood in"),
    ],
)
def test_why_it_went_there_is_a_sentence(changed: dict[str, Any], why: str) -> None:
    assert row(replace(LINE, **changed)).why == why


@pytest.mark.parametrize(
    ("outcome", "status", "kind", "said"),
    [
        (None, None, "", "open"),
        (Outcome.KEPT, 200, "cache", "cache"),
        (Outcome.FAILED, 502, "bad", "failed 502"),
        (Outcome.REJECTED, 400, "", "rejected 400"),
        (Outcome.BROKEN, 200, "bad", "broken"),
        (Outcome.HUNG_UP, 499, "", "hung up"),
        (Outcome.INTERRUPTED, None, "bad", "interrupted"),
    ],
)
def test_every_ending_has_its_pill(outcome: Outcome | None, status: int | None, kind: str, said: str) -> None:
    source = Source.CACHE if outcome is Outcome.KEPT else Source.MINI
    shown = row(replace(LINE, outcome=outcome, status=status, source=source))
    assert (shown.kind, shown.answered_by) == (kind, said)


def test_an_answer_in_one_piece_shows_its_whole_time_and_says_so() -> None:
    shown = row(replace(LINE, stream=False))
    assert (shown.first_token, shown.whole) == ("2.00 s", True)


def test_without_a_score_there_is_a_dash_with_its_reason() -> None:
    shown = row(replace(LINE, score=None, threshold=None))
    assert (shown.score, shown.score_text, shown.unscored) == (None, "–", "no score was needed or could be given")
