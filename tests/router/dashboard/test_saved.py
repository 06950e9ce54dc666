"""Tests router/dashboard/saved.py: which baseline, how sure, and where it came from."""

from dataclasses import replace

from router.dashboard.figures import Change
from router.dashboard.saved import saved_card
from router.insight.counterfactual import Baseline, Counterfactual, Parts
from router.insight.overview import SPANS, Saving
from router.insight.savings import NoEstimate, SavingEstimate
from router.statistics.estimates import Estimate
from tests.router.dashboard.hand_written import MILLION, NOW

HOUR = SPANS["1h"]
DAY = 86_400.0
SAVING = Saving(spent=34 * MILLION, baseline=82 * MILLION, cache=10 * MILLION, prefix=0, overhead=0)


def estimate(value: float, reach: float) -> Estimate:
    return Estimate(value, value - reach, value + reach, reach / 2, 100.0)


ESTIMATED = SavingEstimate(
    since=NOW // DAY * DAY - 6 * DAY,
    until=NOW // DAY * DAY + DAY,
    requests=127_986,
    unpriced=0,
    shadows=2_140,
    failed=3,
    found=Counterfactual(
        spent=34_000 * MILLION,
        without_caches=Baseline(100_000 * MILLION, estimate(0.66, 0.01), estimate(0.66, 0.02)),
        same_caches=Baseline(60_000 * MILLION, estimate(0.4333, 0.02), estimate(0.4333, 0.03)),
        parts=Parts(cache=36_000 * MILLION, prefix=4_000 * MILLION, routing=27_000 * MILLION, overhead=1_000 * MILLION),
        naive=0.7,
    ),
    doubts=("12 requests without a price are left out",),
)


def test_without_shadow_calls_it_is_called_the_same_tokens_and_why_there_is_no_interval() -> None:
    card = saved_card(SAVING, NoEstimate("150 shadow calls are missing: do this"), span=HOUR)
    assert (card.title, card.figure, card.badge) == ("Saved in the last hour", "$0.048", Change("59% less", "better"))
    assert (card.spent, card.baseline, card.against) == ("$0.034", "$0.082", "all-Large without caches")
    assert card.how.startswith("A point estimate: the same tokens at Large’s price.")
    assert card.interval == "– 150 shadow calls are missing: do this"
    assert card.other == "53% less than all-Large with the same caches"


def test_while_no_estimate_is_known_that_is_said() -> None:
    assert saved_card(SAVING, None, span=HOUR).interval == "– it is being worked out"


def test_an_estimate_stands_with_its_interval_its_days_and_its_doubts() -> None:
    card = saved_card(SAVING, ESTIMATED, span=HOUR)
    assert (card.title, card.figure, card.badge) == (
        "Saved from 14 Nov to 20 Nov",
        "$66.00",
        Change("66% less", "better"),
    )
    assert (card.spent, card.baseline, card.against) == ("$34.00", "$100.00", "all-Large without caches")
    assert card.interval == "65% to 67% less"
    assert card.other == "43% less than all-Large with the same caches, 95% interval 41% to 45% less"
    assert "2,140 requests" in card.how
    assert card.doubts == ESTIMATED.doubts
    assert saved_card(SAVING, replace(ESTIMATED, since=NOW // DAY * DAY), span=HOUR).title == "Saved on 20 Nov"


def test_an_interval_across_nothing_says_which_way_each_end_goes() -> None:
    found = replace(ESTIMATED.found, without_caches=Baseline(MILLION, estimate(0.01, 0.03), estimate(0.01, 0.05)))
    assert saved_card(SAVING, replace(ESTIMATED, found=found), span=HOUR).interval == "2.0% more to 4.0% less"


def test_the_parts_add_up_and_overhead_takes_away() -> None:
    card = saved_card(SAVING, ESTIMATED, span=HOUR)
    assert [(part.kind, part.share, part.amount) for part in card.parts] == [
        ("mini", "41%", "$27.00"),
        ("cache", "55%", "$36.00"),
        ("large", "6.1%", "$4.00"),
        ("bad", "−1.5%", "−$1.00"),
    ]
    assert sum(part.width for part in card.parts) == 100
    assert card.parts[-1].width == 0
    by_tokens = saved_card(SAVING, None, span=HOUR)
    assert [part.amount for part in by_tokens.parts] == ["$0.038", "$0.01", "$0", "$0"]


def test_a_loss_is_called_more_and_worse_and_has_no_shares() -> None:
    lost = Saving(spent=12 * MILLION, baseline=10 * MILLION, cache=0, prefix=0, overhead=0)
    card = saved_card(lost, None, span=HOUR)
    assert (card.figure, card.badge) == ("−$0.002", Change("20% more", "worse"))
    assert next((part.share, part.amount) for part in card.parts) == ("–", "−$0.002")


def test_without_a_baseline_the_saving_is_a_dash() -> None:
    card = saved_card(Saving(spent=0, baseline=0, cache=0, prefix=0, overhead=0), None, span=HOUR)
    assert (card.figure, card.badge, card.parts, card.other) == ("–", None, (), "")
