"""Tests router/insight/overview.py on a ledger written by hand."""

from dataclasses import replace
from pathlib import Path

import pytest

from router.base import Outcome
from router.insight.overview import SPANS, Overview, overview, span_for
from router.ledger.assessed import NOTHING_ASSESSED
from router.ledger.reading import read_window
from router.ledger.views import Reading, Source, Total
from tests.router.dashboard.hand_written import MILLION, NOW, write_an_hour

HOUR = SPANS["1h"].window(NOW)
NOTHING = Reading(None, (), (), (), None, (), costs={}, assessed=NOTHING_ASSESSED)


@pytest.fixture
def reading(tmp_path: Path) -> Reading:
    write_an_hour(tmp_path / "ledger.db")
    return read_window(tmp_path / "ledger.db", HOUR, latest=1)


@pytest.fixture
def seen(reading: Reading) -> Overview:
    return overview(reading, HOUR)


def test_the_saving_rests_on_requests_with_both_cost_and_baseline(seen: Overview) -> None:
    saving = seen.now.saving
    assert (saving.spent, saving.baseline, saving.saved) == (34 * MILLION, 82 * MILLION, 48 * MILLION)
    assert saving.share == pytest.approx(48 / 82)
    assert seen.now.doubts.unpriced == 1


def totalled(**more: int) -> Total:
    """Return a total of one answer that cost 2 of 9."""
    usual = {"requests": 1, "moved": 0, "cost": 2, "unpriced": 0, "priced_cost": 2, "baseline": 9}
    return Total(0, Source.MINI, Outcome.ANSWERED, **usual | more)


def seen_of(*totals: Total) -> Overview:
    """Return what these totals say of the hour."""
    return overview(replace(NOTHING, begun=NOW, totals=totals), HOUR)


def test_the_parts_of_the_saving_add_up(seen: Overview) -> None:
    saving = seen.now.saving
    assert (saving.routing, saving.cache, saving.prefix, saving.overhead) == (38 * MILLION, 10 * MILLION, 0, 0)
    assert saving.routing + saving.cache + saving.prefix - saving.overhead == saving.saved


def test_overhead_and_cached_prompts_are_parts_that_add_up_to_the_nano_usd() -> None:
    saving = seen_of(totalled(cost=5, priced_cost=5, learning=7, overhead=3, prefix_saved=100)).now.saving
    assert (saving.baseline, saving.spent, saving.saved) == (109, 12, 97)
    assert (saving.cache, saving.prefix, saving.overhead) == (0, 100, 10)
    assert saving.routing == 9 - (5 - 3)  # what Large would have taken, less what answered
    assert saving.routing + saving.cache + saving.prefix - saving.overhead == saving.saved


def test_the_other_baseline_keeps_the_same_caches(seen: Overview) -> None:
    saving = seen.now.saving
    assert saving.baseline_with_caches == 72 * MILLION  # without the kept reply
    assert saving.share_with_caches == pytest.approx(38 / 72)
    assert seen_of().now.saving.share_with_caches is None


def test_a_cost_above_the_baseline_is_a_negative_saving() -> None:
    dear = replace(totalled(moved=1, cost=12, priced_cost=12, baseline=10), source=Source.LARGE)
    saving = seen_of(dear).now.saving
    assert (saving.saved, saving.routing, saving.share) == (-2, -2, -0.2)


def test_what_is_not_known_of_money_is_counted(seen: Overview) -> None:
    doubts = seen.now.doubts
    assert doubts.unpriced == 1
    assert doubts.unpriced_share == pytest.approx(1 / 7)  # one of eight is open
    assert (doubts.estimated, doubts.estimated_share, doubts.contradictory) == (0, 0.0, 0)
    assert doubts.too_many_unpriced
    assert not doubts.too_many_estimated


@pytest.mark.parametrize(
    ("requests", "unpriced", "estimated", "marked"),
    [(1_000, 1, 10, (False, False)), (1_000, 2, 10, (True, False)), (1_000, 1, 11, (False, True))],
)
def test_figures_of_money_are_marked_above_a_thousandth_unpriced_and_a_hundredth_estimated(
    requests: int, unpriced: int, estimated: int, marked: tuple[bool, bool]
) -> None:
    doubts = seen_of(totalled(requests=requests, unpriced=unpriced, estimated=estimated)).now.doubts
    assert (doubts.too_many_unpriced, doubts.too_many_estimated) == marked


def test_shares_of_doubt_are_unknown_where_nothing_ended() -> None:
    doubts = seen_of().now.doubts
    assert (doubts.unpriced_share, doubts.estimated_share) == (None, None)
    kept = replace(totalled(), source=Source.CACHE, outcome=Outcome.KEPT)
    assert seen_of(kept).now.doubts.estimated_share is None  # no model was asked


def test_answers_are_counted_for_who_gave_them(seen: Overview) -> None:
    assert seen.now.answers == {Source.LARGE: 1, Source.MINI: 4, Source.CACHE: 1}
    assert seen.now.share_of(Source.MINI, Source.CACHE) == pytest.approx(5 / 6)
    assert (seen.now.requests, seen.now.open) == (8, 1)


def test_a_request_that_moved_and_failed_is_trouble_once(seen: Overview) -> None:
    assert (seen.now.failed, seen.now.moved, seen.now.troubled) == (1, 2, 2)
    assert seen.now.trouble == pytest.approx(2 / 7)


def test_an_open_request_is_no_trouble_yet() -> None:
    assert seen_of(replace(totalled(moved=1), outcome=None)).now.trouble is None


def test_the_mean_cost_is_unknown_where_one_answer_has_no_price(seen: Overview) -> None:
    assert seen.now.mean_cost == {Source.LARGE: 30 * MILLION, Source.MINI: None, Source.CACHE: 0}


def test_the_time_before_is_compared_only_where_the_ledger_reaches_back(reading: Reading, seen: Overview) -> None:
    assert seen.earlier is not None
    assert (seen.earlier.requests, seen.earlier.cost) == (1, 5 * MILLION)
    assert overview(replace(reading, begun=NOW - 5_000), HOUR).earlier is None


def test_series_have_one_value_for_each_bucket_and_add_up_to_the_totals(seen: Overview) -> None:
    series = seen.series
    assert {len(series.requests), len(series.baseline), len(series.cheap)} == {60}
    assert sum(series.requests) == 8
    assert sum(series.baseline) == 82 * MILLION
    assert sum(map(sum, series.cost.values())) == 34 * MILLION
    assert sum(series.answers[Source.MINI]) == 4
    assert series.first_token[Source.CACHE][56] == pytest.approx(0.01, rel=0.005)
    assert series.first_token[Source.CACHE][55] is None
    assert series.cheap[0] is None


def test_nothing_is_made_up_for_an_empty_ledger() -> None:
    seen = overview(NOTHING, HOUR)
    assert seen.empty
    assert (seen.now.saving.share, seen.now.trouble, seen.now.first_token) == (None, None, None)
    assert seen.now.share_of(Source.MINI) is None
    assert seen.earlier is None


@pytest.mark.parametrize("name", list(SPANS))
def test_a_window_begins_on_a_whole_bucket_and_ends_with_the_one_that_holds_now(name: str) -> None:
    window = SPANS[name].window(NOW)
    assert window.start % window.width == 0
    assert window.start + window.length - window.width <= NOW < window.start + window.length


@pytest.mark.parametrize(
    ("age", "name"), [(None, "1h"), (60, "1h"), (4_000, "24h"), (90_000, "7d"), (86_400 * 300, "7d")]
)
def test_the_span_follows_the_ledgers_age(age: float | None, name: str) -> None:
    assert span_for(begun=None if age is None else NOW - age, now=NOW).name == name


def test_what_learning_costs_stands_beside_the_spend_and_takes_away_from_the_saving() -> None:
    spent = totalled(learning=5)
    now = seen_of(spent, spent).now
    assert (now.cost, now.learning, now.saving.spent, now.saving.saved) == (4, 10, 14, 4)
