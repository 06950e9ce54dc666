"""Tests router/dashboard/figures.py on a ledger written by hand."""

from dataclasses import replace
from pathlib import Path

import pytest

from router.dashboard.figures import Change, figures
from router.insight.overview import SPANS, Overview, overview
from router.ledger.reading import read_window
from tests.router.dashboard.hand_written import NOW, write_an_hour

HOUR = SPANS["1h"]


@pytest.fixture
def seen(tmp_path: Path) -> Overview:
    write_an_hour(tmp_path / "ledger.db")
    return overview(read_window(tmp_path / "ledger.db", HOUR.window(NOW), latest=1), HOUR.window(NOW))


def test_figures_stand_beside_the_time_before(seen: Overview) -> None:
    assert [(each.title, each.value, each.change, each.note) for each in figures(seen, span=HOUR)] == [
        ("Spend", "$0.034", Change("+580%", ""), "vs previous hour"),
        ("Requests", "8", Change("+700%", ""), "vs previous hour · 1 open"),
        ("Answered by Mini or cache", "83%", Change("−17 pp", "worse"), "of 6 answers"),
        ("Time to first token, p95", "501 ms", Change("+102 ms", "worse"), "p50 200 ms · n 5"),
        ("Errors and fallbacks", "29%", Change("+29 pp", "worse"), "1 failed · 2 moved"),
    ]


def test_without_a_whole_span_before_nothing_is_compared(seen: Overview) -> None:
    alone = figures(replace(seen, earlier=None), span=HOUR)
    assert [each.change for each in alone] == [None] * 5
    assert alone[0].note == "no full hour before to compare with"


def test_what_cannot_be_told_is_a_dash_with_its_reason(seen: Overview) -> None:
    nothing = replace(seen.now, requests=0, open=0, answers=dict.fromkeys(seen.now.answers, 0), first_token=None)
    shown = figures(replace(seen, now=nothing, earlier=None), span=HOUR)
    assert [(each.value, each.note) for each in shown[2:]] == [
        ("–", "no answer in this span"),
        ("–", "no streamed answer in this span"),
        ("–", "no request ended in this span"),
    ]


def test_what_shadow_calls_cost_stands_beside_the_spend(seen: Overview) -> None:
    learnt = replace(seen, now=replace(seen.now, learning=2_000_000))
    spend = figures(learnt, span=HOUR)[0]
    assert (spend.value, spend.note) == ("$0.034", "vs previous hour · $0.002 more on shadow calls")
