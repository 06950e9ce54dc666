"""Tests backends/replicas/rules.py; what affinity does to a fleet is simulated in tests/router."""

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.base import Call
from backends.replicas.base import Rule
from backends.replicas.peak_ewma import PeakEwma
from backends.replicas.rules import SPARE, LeastConnections, PowerOfTwo, PrefixAffinity, RoundRobin
from backends.replicas.standing import Standing
from tests.backends.replicas.played import call_of

RULES: list[Rule] = [
    RoundRobin(),
    LeastConnections(),
    PowerOfTwo(Random(1)),
    PrefixAffinity(RoundRobin()),
]


def standings(*loads: int) -> list[Standing]:
    return [Standing(str(at), in_flight=load) for at, load in enumerate(loads)]


def held_by(at: int, matched: float) -> Call:
    return call_of(holder=str(at), matched=matched)


def ask(rule: Rule, among: list[Standing], times: int, *, now: float = 0.0) -> Counter[str]:
    asked: Counter[str] = Counter()
    for turn in range(1, times + 1):
        chosen = rule.choose(among, call_of(), now)
        chosen.turn = turn
        asked[chosen.name] += 1
    return asked


@pytest.mark.parametrize("rule", [RoundRobin(), LeastConnections()])
def test_idle_replicas_take_turns(rule: Rule) -> None:
    assert ask(rule, standings(0, 0, 0), 9) == {"0": 3, "1": 3, "2": 3}


def test_round_robin_heeds_no_load() -> None:
    assert ask(RoundRobin(), standings(50, 0), 10) == {"0": 5, "1": 5}


def test_the_least_busy_is_asked() -> None:
    assert LeastConnections().choose(standings(2, 1, 3), call_of(), 0.0).name == "1"


def test_of_two_the_one_that_answers_sooner_is_asked() -> None:
    among = standings(0, 0, 0)
    for each, took in zip(among, (0.1, 0.1, 2.0), strict=True):
        each.latency = PeakEwma(0.0)
        each.latency.observe(took, 0.0)
    asked = ask(PowerOfTwo(Random(1)), among, 300)
    assert asked["2"] == 0
    assert min(asked["0"], asked["1"]) > 90


def test_of_one_there_is_no_choice() -> None:
    assert all(rule.choose(standings(7), call_of(), 0.0).name == "0" for rule in RULES)


def test_power_of_two_without_any_news_takes_turns() -> None:
    assert min(ask(PowerOfTwo(Random(1)), standings(0, 0, 0), 300).values()) > 80


def test_the_holder_is_asked_as_long_as_it_is_not_far_busier() -> None:
    rule = PrefixAffinity(LeastConnections())
    assert rule.choose(standings(0, 1, 0), held_by(1, 0.9), 0.0).name == "1"
    assert rule.choose(standings(0, SPARE, 0), held_by(1, 0.9), 0.0).name == "1"
    assert rule.choose(standings(0, 3 * SPARE, 0), held_by(1, 0.9), 0.0).name == "0"


@pytest.mark.parametrize(("matched", "asked"), [(0.0, "0"), (0.1, "0"), (0.5, "1"), (1.0, "1")])
def test_the_more_it_holds_the_more_load_it_may_have(matched: float, asked: str) -> None:
    rule = PrefixAffinity(LeastConnections())
    assert rule.choose(standings(10, 15, 10), held_by(1, matched), 0.0).name == asked


def test_a_holder_that_cannot_be_asked_changes_nothing() -> None:
    assert PrefixAffinity(LeastConnections()).choose(standings(1, 0), held_by(7, 1.0), 0.0).name == "1"


loads = st.lists(st.integers(0, 500), min_size=1, max_size=9)


@given(loads, st.integers(0, 8), st.floats(0, 1))
def test_no_share_makes_a_replica_busier_than_its_margin_over_the_mean(
    loads: list[int], holder: int, matched: float
) -> None:
    chosen = PrefixAffinity(LeastConnections()).choose(standings(*loads), held_by(holder % len(loads), matched), 0.0)
    assert chosen.in_flight - min(loads) <= matched * (sum(loads) / len(loads) + SPARE)


@given(loads, st.integers(0, 2**32))
def test_each_rule_chooses_among_those_it_was_given(loads: list[int], seed: int) -> None:
    among = standings(*loads)
    for rule in (RoundRobin(), LeastConnections(), PowerOfTwo(Random(seed))):
        assert rule.choose(among, call_of(), 1.0) in among
