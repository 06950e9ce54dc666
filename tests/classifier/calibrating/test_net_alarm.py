"""Tests classifier/calibrating/net_alarm.py."""

import math
import random

import pytest

from classifier.calibrating.alarm import MOST_RISK
from classifier.calibrating.net_alarm import NetAlarm

EVERY = 1_000.0


def mean_run(alarm_of: tuple[float, float], *, mean: float, activity: float, runs: int, half: bool = False) -> float:
    """Return the average number of signed losses until an alarm; halved ones come as often again."""
    chance, total = random.Random(1), 0
    size = 0.5 if half else 1.0
    up, down = (activity + mean) / 2 / size, (activity - mean) / 2 / size
    for _ in range(runs):
        alarm = NetAlarm(*alarm_of, false_alarm_every=EVERY)
        while True:
            drawn = chance.random()
            if alarm.observe(size if drawn < up else -size if drawn < up + down else 0.0):
                break
        total += alarm.observed
    return total / runs


@pytest.mark.parametrize(("risk", "activity"), [(0.01, 0.05), (0.03, 0.06), (0.03, 0.1), (0.05, 0.05), (0.1, 0.5)])
def test_false_alarms_are_as_rare_as_stated(risk: float, activity: float) -> None:
    runs = 200
    found = mean_run((risk, activity), mean=risk, activity=activity, runs=runs)
    assert EVERY * (1 - 2 / math.sqrt(runs)) <= found < 1.6 * EVERY


def test_fewer_differences_and_graded_ones_ring_more_seldom() -> None:
    usual = mean_run((0.05, 0.2), mean=0.05, activity=0.2, runs=100)
    assert mean_run((0.05, 0.2), mean=0.05, activity=0.1, runs=100) > usual
    assert mean_run((0.05, 0.2), mean=0.05, activity=0.2, runs=100, half=True) > usual


@pytest.mark.parametrize(("risk", "activity", "within"), [(0.03, 0.1, 800), (0.05, 0.1, 320), (0.1, 0.5, 450)])
def test_a_doubled_net_loss_is_found(risk: float, activity: float, within: float) -> None:
    found = mean_run((risk, activity), mean=2 * risk, activity=activity, runs=100)
    assert found < within
    assert mean_run((risk, activity), mean=0.0, activity=activity, runs=3) > 10 * found


def test_gains_take_evidence_away() -> None:
    with_gains, without = NetAlarm(0.05, 0.2), NetAlarm(0.05, 0.2)
    rang = [0, 0]
    for _ in range(1_000):
        rang[0] += with_gains.observe(1.0) or with_gains.observe(-1.0)
        rang[1] += without.observe(1.0) or without.observe(0.0)
    assert rang[0] == 0
    assert rang[1] > 10


def test_after_an_alarm_it_begins_anew() -> None:
    alarm = NetAlarm(0.05, 0.1)
    first = next(count for count in range(1, 1_000) if alarm.observe(1.0))
    second = next(count for count in range(1, 1_000) if alarm.observe(1.0))
    assert first == second > 1


def test_requests_that_lost_nothing_for_certain_count_as_such() -> None:
    told, spared = NetAlarm(0.1, 0.2), NetAlarm(0.1, 0.2)
    for _ in range(60):
        rang = told.observe(0.0) or told.observe(0.0) or told.observe(0.0) or told.observe(1.0)
        assert spared.observe(1.0, spared=3.0) is rang
    assert told.observed == 4 * spared.observed


def test_an_activity_below_the_risk_counts_as_the_risk() -> None:
    alike = [NetAlarm(0.1, activity) for activity in (0.0, 0.1)]
    counts = [next(count for count in range(1, 1_000) if alarm.observe(0.3)) for alarm in alike]
    assert counts[0] == counts[1]


@pytest.mark.parametrize("risk", [-0.1, 0.0, MOST_RISK + 0.01, 1.0, float("nan")])
def test_a_promise_that_cannot_be_watched_is_refused(risk: float) -> None:
    with pytest.raises(ValueError, match="cannot be watched"):
        NetAlarm(risk, 0.5)


@pytest.mark.parametrize("loss", [-1.1, 1.1, float("nan"), float("inf")])
def test_what_is_no_signed_loss_is_refused(loss: float) -> None:
    with pytest.raises(ValueError, match="between -1 and 1"):
        NetAlarm(0.1, 0.2).observe(loss)
