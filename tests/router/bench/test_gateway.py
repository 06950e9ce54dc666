"""Tests router/bench/gateway.py."""

from dataclasses import replace

from router.bench.gateway import goals_of
from router.bench.lives import Life

GOOD = Life(
    first_200_s=0.7,
    start_cpu_s=0.4,
    idle_rss_mb=60.0,
    loaded_rss_mb=70.0,
    cpu_us=200.0,
    redis_cpu_us=20.0,
    requests_per_s=5000.0,
    p50_s=0.01,
    p99_s=0.02,
    direct_requests_per_s=50000.0,
    direct_p50_s=0.001,
    sse_cpu_us=40.0,
    sent=100,
    settled=100,
    left_open=0,
    errors=0,
    first_error="",
)


def test_one_noisy_round_of_three_does_not_decide() -> None:
    goals = {goal.name: goal for goal in goals_of([GOOD, replace(GOOD, cpu_us=900.0, first_200_s=9.0), GOOD])}
    assert goals["cpu_us_per_request"].value == 200.0
    assert goals["start_to_first_200_s"].value == 0.7
    assert all(goal.met for goal in goals.values())


def test_one_record_that_is_lost_or_doubled_in_one_round_misses_the_goal() -> None:
    goals = {goal.name: goal for goal in goals_of([replace(GOOD, settled=99), replace(GOOD, settled=101), GOOD])}
    assert (goals["lost_records"].value, goals["lost_records"].met) == (2.0, False)
    failed = {goal.name: goal for goal in goals_of([replace(GOOD, errors=1), GOOD, GOOD])}
    assert not failed["failed_requests"].met


def test_a_figure_above_its_goal_is_not_met() -> None:
    missed = {goal.name for goal in goals_of([replace(GOOD, cpu_us=250.1, sse_cpu_us=40.1, idle_rss_mb=90.1)])}
    assert len(missed) == 6
    goals = goals_of([replace(GOOD, cpu_us=250.1, sse_cpu_us=40.1, idle_rss_mb=90.1, first_200_s=2.1)])
    assert [goal.name for goal in goals if goal.met] == ["lost_records", "failed_requests"]
