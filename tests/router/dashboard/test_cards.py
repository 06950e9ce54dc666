"""Tests router/dashboard/cards.py on a ledger written by hand."""

from pathlib import Path

import pytest

from router.base import Price, Tier
from router.dashboard import cards
from router.dashboard.base import BackendHealth
from router.dashboard.figures import Change
from router.insight.overview import SPANS, Overview, overview
from router.ledger.reading import read_window
from tests.router.dashboard.hand_written import NOW, write_an_hour

HOUR = SPANS["1h"]
LARGE = BackendHealth(Tier.LARGE, "big", ready=True, price=Price("big", "p1", 400_000, 40_000, 2_000_000))
MINI = BackendHealth(Tier.MINI, "small", ready=False, price=None)


@pytest.fixture
def seen(tmp_path: Path) -> Overview:
    write_an_hour(tmp_path / "ledger.db")
    return overview(read_window(tmp_path / "ledger.db", HOUR.window(NOW), latest=1), HOUR.window(NOW))


def test_backends_tell_their_price_and_what_they_did(seen: Overview) -> None:
    large, mini, cache = cards.machine_cards(seen, (LARGE, MINI), cache_kind="private Redis")
    assert (large.title, large.state, large.note) == (
        "big",
        "ready",
        "$0.40 in, $2.00 out per million tokens; $0.03 an answer",
    )
    assert (mini.state, mini.note) == ("away", "no price known, so its cost is left out")
    assert mini.figures == (("Answers", "4"), ("TTFT p50", "200 ms"), ("TTFT p95", "301 ms"))
    assert (cache.title, cache.note) == ("private Redis", "gave 17% of all answers, free of cost")


@pytest.mark.parametrize(
    ("backends", "said"),
    [
        ((LARGE,), Change("All backends ready", "better")),
        ((LARGE, MINI), Change("Mini away", "worse")),
        ((), Change("Backends have not answered", "worse")),
    ],
)
def test_health_names_who_is_away(backends: tuple[BackendHealth, ...], said: Change) -> None:
    assert cards.health(backends) == said


def test_each_chart_says_in_words_what_it_draws(seen: Overview) -> None:
    charts = cards.charts(seen, span=HOUR, window=HOUR.window(NOW))
    assert charts["spend"].label == (
        "Spend in the last hour: $0.034, against an estimated $0.082 had Large answered everything without caches"
    )
    assert charts["answers"].label == "Answers in the last hour: 1 from Large, 4 from Mini, 1 from Cache"
    assert "Mini 301 ms over 3 answers" in charts["first_token"].label
