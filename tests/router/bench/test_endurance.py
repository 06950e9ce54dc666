"""Tests router/bench/endurance.py and router/bench/goals.py."""

from pathlib import Path

import pytest

from router.bench.companions import Cores
from router.bench.endurance import _overload, _streams
from router.bench.goals import at_least, at_most, stated


@pytest.fixture
def cores() -> Cores:
    return Cores(gateway=0, others=0)


def test_what_is_too_much_is_refused_and_health_is_told_meanwhile(tmp_path: Path, cores: Cores) -> None:
    goals, told = _overload(tmp_path, cores, 0.5)
    values = {goal.name: goal.value for goal in goals}
    assert set(values) == {"goodput_share_at_3x", "health_p99_s_at_3x", "neither_answered_nor_refused_at_3x"}
    assert values["neither_answered_nor_refused_at_3x"] == 0
    assert told["refused"]


def test_no_chunk_of_a_held_stream_is_lost(tmp_path: Path, cores: Cores) -> None:
    goals, told = _streams(tmp_path, cores, streams=10, minutes=0.03)
    assert {goal.name for goal in goals} >= {"chunks_lost", "kb_per_open_stream"}
    assert (told["errors"], goals[0].value) == (0, 0)


def test_a_goal_says_what_it_wants() -> None:
    assert (at_most("a", 1.0, 1.0).met, at_most("a", 1.1, 1.0).met, at_most("a", 1.1, 1.0).wanted) == (
        True,
        False,
        "at most 1",
    )
    assert (at_least("a", 1.0, 1.0).met, at_least("a", 0.9, 1.0).met) == (True, False)
    assert (stated("a", 5.0).met, stated("a", 5.0).wanted) == (True, "-")
