"""Tests router/dashboard/trust.py and router/dashboard/base.py: how far answers and figures can be trusted."""

from dataclasses import replace

from router.alerts.base import Alert
from router.base import Price, Tier
from router.dashboard.base import BackendHealth, nothing_of_our_own
from router.dashboard.trust import alarm_lines, allocated, money_measures, quality_measures, quality_words
from router.insight.overview import Doubts
from router.insight.quality import Quality, Share, quality
from router.ledger.assessed import LOOKED_AT, NOTHING_ASSESSED
from router.ledger.hosting import Standing
from tests.router.dashboard.hand_written import MILLION, NOW

SURE = Doubts(unpriced=0, unpriced_share=0.0, estimated=0, estimated_share=0.0, contradictory=0)
SEEN = Quality(
    replies=4_812,
    latest=4_812,
    repetitive=Share(0.021, 4_800, (0.0173, 0.0255)),
    empty=None,
    truncated=None,
    refused=None,
    failed_checks=Share(0.5, 2, (0.0945, 0.9055)),
    agreement=Share(0.91, 20, None),
    rating=Share(0.8, 500, (0.76, 0.84)),
    rated=0.1,
)


def test_every_share_stands_with_how_many_it_is_of_and_its_interval() -> None:
    said = {each.title: (each.value, each.interval, each.note) for each in quality_measures(SEEN)}
    assert said["Repetitive"] == ("2.1%", "1.7% to 2.5%", "of 4,800 answers with text")
    assert said["Failed a check"] == ("50%", "9.4% to 91%", "of 2 answers that can be checked")
    assert said["Mini agrees with Large, raw"] == ("91%", "too few for an interval", "of 20 sampled requests")
    assert said["Empty"] == ("–", "", "no answer was looked at")


def test_ratings_are_told_with_their_coverage_and_that_it_is_not_chance() -> None:
    (rated,) = [each for each in quality_measures(SEEN) if each.title == "Rated by people"]
    assert rated.note == "mean of 500 ratings, 10% of all answers: who rates is not chance"


def test_it_is_said_of_which_answers_the_measures_are() -> None:
    assert quality_words(SEEN) == "the 4,812 answers looked at, 95% intervals"
    nothing = quality(NOTHING_ASSESSED, answered=0)
    assert quality_words(nothing) == "no answer of this span was looked at"
    assert {each.value for each in quality_measures(nothing)} == {"–"}


def test_what_only_the_latest_rows_tell_is_said_to_be_of_them() -> None:
    many = replace(SEEN, replies=812_345, latest=LOOKED_AT)
    assert quality_words(many) == "the 812,345 answers looked at, 95% intervals"
    said = {each.title: each.note for each in quality_measures(many)}
    assert said["Repetitive"] == "of 4,800 answers with text"
    assert said["Failed a check"] == "of 2 answers that can be checked among the latest 5,000"
    assert said["Mini agrees with Large, raw"] == "of 20 sampled requests among the latest 5,000"


def test_what_is_unpriced_or_estimated_is_counted_and_amber_when_it_is_too_much() -> None:
    doubtful = Doubts(unpriced=3, unpriced_share=0.003, estimated=20, estimated_share=0.02, contradictory=1)
    assert [each.mood for each in money_measures(SURE, ())] == ["", "", ""]
    lines = money_measures(doubtful, ())
    assert [(each.value, each.mood) for each in lines] == [("0.30%", "warn"), ("2.0%", "warn"), ("1", "warn")]
    assert lines[0].note == "3 of the requests that ended, in no figure of money; at most 0.10% should be"
    unknown = money_measures(Doubts(0, None, 0, None, 0), ())
    assert [each.value for each in unknown] == ["–", "–", "0"]


def test_gpus_of_our_own_show_allocated_loaded_and_idle() -> None:
    standings = (Standing("large", 60 * MILLION, 100 * MILLION), Standing("mini", 10 * MILLION, 100 * MILLION))
    lines = money_measures(SURE, standings)[-3:]
    assert [(each.title, each.value) for each in lines] == [
        ("Own GPUs, allocated", "$0.07"),
        ("Own GPUs, fully loaded", "$0.20"),
        ("Own GPUs, idle", "$0.13"),
    ]
    assert lines[-1].note == "loaded less allocated, 65% of what the hours cost"
    assert nothing_of_our_own({"large": 1}, since=0.0, until=1.0) == ()


def test_costs_stand_under_the_price_books_names_and_a_model_that_nobody_asked_at_nothing() -> None:
    large = BackendHealth(Tier.LARGE, "big", ready=True, price=Price("vendor/big", "p1", 1, 1, 1))
    mini = BackendHealth(Tier.MINI, "small", ready=True, price=None)
    assert allocated({"big": 5, "gone": 1}, [large, mini]) == {"vendor/big": 5, "small": 0, "gone": 1}


def test_what_fires_is_told_with_what_was_seen_and_what_to_do() -> None:
    alert = Alert("error_rate", (("tier", "mini"),), NOW, "5 of 20 failed", "RUNBOOK.md#error-rate")
    (line,) = alarm_lines([alert])
    assert (line.title, line.said, line.runbook) == (
        "error rate tier mini",
        "5 of 20 failed",
        "RUNBOOK.md#error-rate",
    )
    assert (line.since, line.stamp) == ("Fri 20 Nov, 12:34", "2026-11-20T12:34:56Z")
