"""Tests router/bench/endurance.py and router/bench/goals.py."""

from router.bench.endurance import measure_endurance
from router.bench.goals import at_least, at_most, stated


def test_each_part_gives_its_figures() -> None:
    said: list[str] = []
    report = measure_endurance(streams=10, minutes=0.05, requests=200, seconds=0.5, say=said.append)
    assert {goal.name for goal in report.goals} == {
        "added_p50_ms_at_500_rps",
        "goodput_share_at_3x",
        "health_p99_s_at_3x",
        "neither_answered_nor_refused_at_3x",
        "chunks_lost",
        "kb_per_open_stream",
        "mb_per_minute_with_open_streams",
        "mb_grown_after_warm_up",
        "failed_requests",
    }
    values = {goal.name: goal.value for goal in report.goals}
    assert values["chunks_lost"] == values["failed_requests"] == 0
    assert len(said) == 4


def test_a_goal_says_what_it_wants() -> None:
    assert (at_most("a", 1.0, 1.0).met, at_most("a", 1.1, 1.0).met, at_most("a", 1.1, 1.0).wanted) == (
        True,
        False,
        "at most 1",
    )
    assert (at_least("a", 1.0, 1.0).met, at_least("a", 0.9, 1.0).met) == (True, False)
    assert (stated("a", 5.0).met, stated("a", 5.0).wanted) == (True, "-")
