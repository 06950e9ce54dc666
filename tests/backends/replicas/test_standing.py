"""Tests backends/replicas/standing.py."""

from backends.replicas.peak_ewma import PeakEwma
from backends.replicas.standing import STATES, Standing


def test_a_replica_that_came_back_takes_part_in_few_choices_for_a_while() -> None:
    standing = Standing("a", slow_start=10.0)
    assert standing.share(100.0) == 1.0
    standing.back_at, standing.is_warming = 100.0, True
    assert standing.share(100.0) == 0.1
    assert standing.share(105.0) == 0.5
    assert standing.state(105.0) == "warming"
    assert (standing.share(110.0), standing.state(110.0)) == (1.0, "in")


def test_without_a_slow_start_it_is_back_at_once() -> None:
    standing = Standing("a", is_warming=True, back_at=5.0)
    assert standing.share(5.0) == 1.0


def test_what_it_costs_is_told_by_its_times_where_they_are_known() -> None:
    assert Standing("a", in_flight=3).cost(0.0) == 3
    standing = Standing("a", latency=PeakEwma(0.0), in_flight=1)
    assert standing.latency is not None
    standing.latency.observe(0.5, 0.0)
    assert standing.cost(0.0) == 1.0


def test_its_state_is_one_word() -> None:
    standing = Standing("a", cool_until=10.0)
    assert standing.state(5.0) == "cooling"
    standing.out_until = 20.0
    assert standing.state(5.0) == "out"
    standing.on_trial = True
    assert standing.state(25.0) == "trial"
    standing.is_draining = True
    assert standing.state(5.0) == "draining"
    assert len(set(STATES)) == 6
