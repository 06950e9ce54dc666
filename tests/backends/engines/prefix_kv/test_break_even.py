"""Tests backends/engines/prefix_kv/break_even.py."""

import math
import random
from collections.abc import Callable

import pytest

from backends.engines.prefix_kv.break_even import BreakEven, Line

TOKEN_BYTES = 1000
PAGE = 16
BLOCK = PAGE * TOKEN_BYTES


def learnt(*, prefill: float, fetch: float, fixed: float, noise: float = 0.0) -> BreakEven:
    """Return what has seen prompts of many lengths; seconds a token, a token, and in any case."""
    chance = random.Random(1)
    even = BreakEven(TOKEN_BYTES)

    def about(seconds: float) -> float:
        return seconds * chance.uniform(1 - noise, 1 + noise)

    for _ in range(60):
        tokens = chance.randrange(50, 1000)
        even.saw_prefill(tokens, about(0.01 + prefill * tokens))
        even.saw_fetch(tokens * TOKEN_BYTES, about(fixed + fetch * tokens))
    return even


def blocks(even: BreakEven, count: int, *, within: float = 10.0) -> int:
    return even.blocks([BLOCK] * count, page=PAGE, within=within)


def test_both_lines_are_found_under_noise() -> None:
    gauges = learnt(prefill=1e-3, fetch=1e-4, fixed=0.05, noise=0.02).gauges()
    assert gauges["prefix_kv_prefill_seconds_per_token"] == pytest.approx(1e-3, rel=0.05)
    assert gauges["prefix_kv_fetch_seconds_per_token"] == pytest.approx(1e-4, rel=0.15)
    assert gauges["prefix_kv_fetch_seconds_per_byte"] == pytest.approx(1e-7, rel=0.15)
    assert gauges["prefix_kv_fetch_fixed_seconds"] == pytest.approx(0.05, rel=0.1)
    assert gauges["prefix_kv_break_even_tokens"] == pytest.approx(0.05 / 9e-4, rel=0.15)


def test_what_is_longer_than_the_break_even_is_fetched_and_what_is_shorter_computed() -> None:
    even = learnt(prefill=1e-3, fetch=1e-4, fixed=0.05)
    assert even.tokens() == pytest.approx(55.6, rel=0.01)
    assert blocks(even, 4) == 4
    assert blocks(even, 3) == 0
    assert even.keeps(64)
    assert not even.keeps(48)
    gauges = even.gauges()
    assert (gauges["prefix_kv_chose_fetch_total"], gauges["prefix_kv_chose_compute_total"]) == (1, 1)


def test_where_fetching_never_wins_that_is_said() -> None:
    even = learnt(prefill=1e-5, fetch=1e-4, fixed=0.001)
    assert math.isinf(even.tokens())
    assert even.gauges()["prefix_kv_store_loses"] == 1
    assert blocks(even, 1000) == 0


def test_what_does_not_pay_is_tried_now_and_then_so_that_a_change_is_seen() -> None:
    even = learnt(prefill=1e-5, fetch=1e-4, fixed=0.001)
    tried = 0
    for _ in range(3200):
        if blocks(even, 20):
            tried += 1
            even.saw_fetch(20 * BLOCK, 1e-3)  # the line has become fast
    assert tried > 1500


def test_while_nothing_is_known_fetching_is_tried() -> None:
    even = BreakEven(TOKEN_BYTES)
    assert blocks(even, 1) == 1
    assert even.keeps(1)
    even.saw_fetch(BLOCK, 100.0)
    assert blocks(even, 1, within=200.0) == 1
    assert even.tokens() == 0.0


def test_only_as_much_is_fetched_as_comes_in_time() -> None:
    even = learnt(prefill=1e-3, fetch=1e-4, fixed=0.01)
    assert blocks(even, 100, within=0.0501) == 25  # 0.01 s, and 1.6 ms a block
    assert blocks(even, 100, within=0.0) == 0


def test_what_is_in_this_process_is_taken_in_any_case() -> None:
    even = learnt(prefill=1e-5, fetch=1e-4, fixed=0.001)
    assert even.blocks([0, 0, 0], page=PAGE, within=0.05) == 3
    assert even.blocks([0, 0, BLOCK], page=PAGE, within=0.05) == 2
    assert even.blocks([0, 0, BLOCK], page=PAGE, within=-1.0) == 2
    assert even.blocks([], page=PAGE, within=0.05) == 0


@pytest.mark.parametrize(
    ("seconds_of", "each", "fixed"),
    [(lambda _: 0.5, 0.005, 0.0), (lambda _: 0.0, 0.0, 0.0)],
    ids=["one amount", "no time"],
)
def test_amounts_that_are_all_alike_have_no_fixed_part(
    seconds_of: Callable[[int], float], each: float, fixed: float
) -> None:
    line = Line()
    for _ in range(10):
        line.learn(100, seconds_of(100))
    assert [line.each, line.fixed] == pytest.approx([each, fixed])


def test_a_line_never_falls() -> None:
    line = Line()
    for amount in (100, 200, 300):
        line.learn(amount, 1.0 / amount)
    assert line.each == 0.0
    assert line.at(1000) > 0


def test_a_line_forgets() -> None:
    line = Line()
    for factor in (1.0, 5.0):
        for i in range(200):
            line.learn(100 + i, factor * (100 + i))
    assert line.each == pytest.approx(5.0, rel=0.01)


def test_nothing_computed_and_nothing_fetched_teaches_nothing() -> None:
    even = BreakEven(TOKEN_BYTES)
    even.saw_prefill(0, 1.0)
    even.saw_fetch(0, 1.0)
    assert "prefill" in " ".join(even.gauges())
    assert even.gauges()["prefix_kv_prefill_seconds_per_token"] == 0.0
    assert even.gauges()["prefix_kv_fetch_fixed_seconds"] == 0.0
