"""Tests classifier/calibrating/alarm.py."""

import random

import pytest

from classifier.calibrating.alarm import FALSE_ALARM_EVERY, MOST_RISK, Alarm, chart


def mean_run(risk: float, mean: float, *, runs: int, every: float, spread: float = 0.0) -> float:
    """Return the average number of losses until an alarm; with a spread, losses are graded around their mean."""
    chance, total = random.Random(1), 0
    for _ in range(runs):
        alarm = Alarm(risk, false_alarm_every=every)
        while alarm.observed < 50 * every:
            loss = mean + spread * (chance.random() - 0.5) if spread else float(chance.random() < mean)
            if alarm.observe(loss):
                break
        total += alarm.observed
    return total / runs


@pytest.mark.parametrize(("risk", "delay"), [(0.005, 1_343), (0.01, 830), (0.02, 495), (0.05, 237), (0.1, 128)])
def test_false_alarms_are_as_rare_as_stated_and_a_doubled_loss_is_found(risk: float, delay: float) -> None:
    found = chart(risk)
    assert FALSE_ALARM_EVERY <= found.run_length(risk) < 1.15 * FALSE_ALARM_EVERY
    assert found.run_length(2 * risk) == pytest.approx(delay, rel=0.01)
    assert found.run_length(3 * risk) < found.run_length(2 * risk) / 2


def test_run_lengths_are_those_of_simulation() -> None:
    found = chart(0.1, false_alarm_every=500)
    for mean, runs in ((0.1, 400), (0.2, 1_000)):
        assert mean_run(0.1, mean, runs=runs, every=500) == pytest.approx(found.run_length(mean), rel=0.1)


def test_graded_losses_of_the_promised_mean_ring_more_seldom() -> None:
    assert mean_run(0.1, 0.1, runs=5, every=200, spread=0.2) > 2_000
    assert mean_run(0.1, 0.2, runs=50, every=200, spread=0.4) < 200


@pytest.mark.parametrize("risk", [0.0005, 0.001, 0.2, 0.3, MOST_RISK])
def test_any_sensible_promise_has_a_chart(risk: float) -> None:
    found = chart(risk)
    assert found.run_length(risk) >= FALSE_ALARM_EVERY
    assert found.run_length((1 + risk) / 2) < found.run_length(1.5 * risk) < FALSE_ALARM_EVERY / 2


def test_where_everything_is_lost_the_delay_is_the_straight_way_up() -> None:
    found = chart(0.02)
    assert found.run_length(0.9) == pytest.approx(mean_run(0.02, 0.9, runs=200, every=FALSE_ALARM_EVERY), rel=0.1)


@pytest.mark.parametrize("risk", [-0.1, 0.0, 0.41, 1.0, float("nan")])
def test_a_promise_that_cannot_be_watched_is_refused(risk: float) -> None:
    with pytest.raises(ValueError, match="cannot be watched"):
        chart(risk)


def test_after_an_alarm_it_begins_anew() -> None:
    alarm = Alarm(0.05)
    first = next(count for count in range(1, 1_000) if alarm.observe(1.0))
    second = next(count for count in range(1, 1_000) if alarm.observe(1.0))
    assert first == second > 1


def test_requests_that_lost_nothing_for_certain_count_as_such() -> None:
    told, spared = Alarm(0.1), Alarm(0.1)
    for _ in range(20):
        rang = told.observe(0.0) or told.observe(0.0) or told.observe(0.0) or told.observe(1.0)
        assert spared.observe(1.0, spared=3.0) is rang
    assert told.observed == 4 * spared.observed


@pytest.mark.parametrize("loss", [-0.1, 1.1, float("nan"), float("inf")])
def test_what_is_no_loss_is_refused(loss: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        Alarm(0.1).observe(loss)
