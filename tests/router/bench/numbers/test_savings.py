"""Tests router/bench/numbers/savings.py and router/bench/numbers/replay.py with a part of their runs."""

from dataclasses import replace

import numpy as np
import pytest

from router.bench.numbers import replay, savings


@pytest.mark.parametrize("world", [savings.WORLDS[0], savings.WORLDS[8]], ids=lambda world: world.name)
def test_savings_are_covered_where_the_naive_figure_misses(world: savings.World) -> None:
    found = {goal.name.rpartition(", ")[2]: goal for goal in savings._goals_of(world, np.random.default_rng(3), 25)}
    assert found["coverage"].value >= 0.84
    assert found["half-width"].met
    assert found["naive interval covers"].value < 0.1
    assert found["suppressed"].value < 0.5


def test_replays_are_covered_where_the_gate_allows() -> None:
    found = list(replay._goals_of(replay.WORLDS[0], np.random.default_rng(4), 40))
    assert all(goal.met for goal in found)
    assert {goal.name.rpartition(", ")[2] for goal in found} >= {"refused", "IPS coverage", "SNIPS coverage"}


def test_a_world_in_which_the_gate_always_refuses_states_that_alone() -> None:
    rare = replace(replay.WORLDS[3], chance=0.002)
    refused, matching = replay._goals_of(rare, np.random.default_rng(5), 5)
    assert refused.value == 1.0
    assert matching.value < 100
