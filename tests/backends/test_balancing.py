"""Tests backends/balancing.py; what it does to a fleet is simulated in tests/router/test_prefix_affinity.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.balancing import SPARE, chosen


def test_without_a_holder_the_first_of_the_least_loaded_is_asked() -> None:
    assert chosen([0, 0, 0]) == 0
    assert chosen([2, 1, 1]) == 1


def test_the_holder_is_asked_as_long_as_it_is_not_far_busier() -> None:
    assert chosen([0, 1, 0], holder=1, matched=0.9) == 1
    assert chosen([0, SPARE, 0], holder=1, matched=0.9) == 1
    assert chosen([0, 3 * SPARE, 0], holder=1, matched=0.9) == 0


@pytest.mark.parametrize(("matched", "asked"), [(0.0, 0), (0.1, 0), (0.5, 1), (1.0, 1)])
def test_the_more_it_holds_the_more_load_it_may_have(matched: float, asked: int) -> None:
    assert chosen([10, 15, 10], holder=1, matched=matched) == asked


def test_a_holder_of_nothing_is_asked_only_where_nobody_is_less_busy() -> None:
    assert chosen([1, 1], holder=1, matched=0.0) == 1
    assert chosen([0, 1], holder=1, matched=0.0) == 0


loads = st.lists(st.integers(0, 500), min_size=1, max_size=9)


@given(loads, st.integers(0, 8), st.floats(0, 1))
def test_no_share_makes_a_replica_busier_than_its_margin_over_the_mean(
    loads: list[int], holder: int, matched: float
) -> None:
    at = chosen(loads, holder=holder % len(loads), matched=matched)
    assert loads[at] - min(loads) <= matched * (sum(loads) / len(loads) + SPARE)
