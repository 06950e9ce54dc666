"""Tests of router/guards/limits/worst_case.py: nothing ever costs more than was reserved for it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.base import Usage
from router.base import Needs, Price, Tier
from router.guards.limits.worst_case import PRICED_FOR, SEVERAL, WorstCase, size_of
from router.ledger.money import cost
from tests.router.guards.limits.asking import BOTH, LARGE, MESSAGES, MINI, PRICES, request_of

_PRICE = st.integers(0, 10**9)
_COUNT = st.integers(0, 10**6)
WORST = WorstCase(PRICES.get, answer=1_000)


def paid(price: Price, usage: Usage) -> int:
    found = cost(price, usage)
    assert found is not None
    return found


def money(worst: WorstCase, tiers: tuple[Tier, ...] = (Tier.LARGE, Tier.MINI), **more: object) -> int:
    request = request_of(**more)  # type: ignore[arg-type]
    return worst.money(request, size_of(request), tiers, 0.0)


@given(fresh=_PRICE, cached=_PRICE, output=_PRICE, prompt=_COUNT, answer=st.integers(1, 10**6), share=st.floats(0, 1))
def test_no_split_of_the_tokens_costs_more_than_the_worst_case(
    fresh: int, cached: int, output: int, prompt: int, answer: int, share: float
) -> None:
    price = Price("m", "v", fresh, cached, output)
    worst = WorstCase({Tier.LARGE: price}.get, answer=1)
    most = worst.money(request_of(max_tokens=answer), prompt, (Tier.LARGE,), 0.0)
    read = int(prompt * share)
    assert paid(price, Usage(prompt - read, read, answer)) <= most
    assert most <= paid(price, Usage(prompt, 0, answer)) + paid(price, Usage(0, prompt, 0)) + 7


_OWN = st.none() | _PRICE
_PRICES = st.builds(Price, st.just("m"), st.just("v"), *[_PRICE] * 3, *[_OWN] * 7, _COUNT)


@given(st.data())
def test_no_bucket_no_service_tier_and_no_length_costs_more_than_the_worst_case(data: st.DataObject) -> None:
    price, flex, long = data.draw(_PRICES), data.draw(_PRICES), data.draw(_PRICES)
    variants = replace(flex, service_tier="flex"), replace(long, above_input=data.draw(st.integers(1, 300)))
    price = replace(price, variants=variants)
    some = st.integers(0, 100)
    usage = data.draw(st.builds(Usage, *[some] * 10, st.sampled_from(["", "flex"])))
    worst = WorstCase({Tier.LARGE: price}.get, answer=1)
    size = usage.total_input + data.draw(st.integers(0, 50))
    request = request_of(max_tokens=max(usage.total_output, 1))
    assert paid(price, usage) <= worst.money(request, size, (Tier.LARGE,), 0.0)


def test_a_price_for_long_prompts_counts_for_those_alone() -> None:
    price = replace(LARGE, variants=(replace(LARGE, fresh_input=LARGE.fresh_input * 2, above_input=1_000),))
    worst = WorstCase({Tier.LARGE: price}.get, answer=1)
    usual = WorstCase({Tier.LARGE: LARGE}.get, answer=1)
    short, long = (
        [each.money(request_of(), size, (Tier.LARGE,), 0.0) for each in (worst, usual)] for size in (1_000, 1_001)
    )
    assert short[0] == short[1]
    assert long[0] > long[1] * 1.5


def test_a_prompt_counts_by_its_bytes_since_no_vocabulary_makes_more_tokens_of_it() -> None:
    size = len(MESSAGES)
    assert size_of(request_of()) == size
    assert money(WORST) == size * LARGE.fresh_input // 1000 + 100 * LARGE.output // 1000 + 6
    assert size_of(request_of(tools=b"[1,2,3]")) == size + 7


def test_only_the_tiers_that_may_serve_it_count_and_the_dearest_of_them() -> None:
    assert money(WORST, (Tier.MINI,)) * 10 == pytest.approx(money(WORST), abs=60)
    assert money(WORST, (Tier.MINI, Tier.LARGE)) == money(WORST)


def test_under_a_cascade_all_its_calls_count() -> None:
    worst = WorstCase(PRICES.get, answer=1_000, cascades=True)
    expected = 2 * paid(MINI, Usage(len(MESSAGES), 0, 100)) + paid(LARGE, Usage(len(MESSAGES), 0, 100))
    assert money(worst) == pytest.approx(expected, abs=18)
    assert money(worst, (Tier.LARGE,)) == money(WORST, (Tier.LARGE,))


def test_an_answer_without_a_limit_counts_as_configured_and_several_answers_each() -> None:
    assert money(WORST, max_tokens=None) == money(WORST, max_tokens=1_000)
    several = Needs(frozenset({SEVERAL}))
    three = money(WORST, needs=several, n=b"3")
    assert three == money(WORST, max_tokens=300) + 2 * 0 + (LARGE.fresh_input // 1000) * 1
    assert money(WORST, needs=several, n=b"2", best_of=b"5") > money(WORST, needs=several, n=b"5")
    assert WORST.tokens(request_of(needs=several, n=b"3"), 400, 256.0) == 100 + 300


def test_a_picture_counts_as_one_and_not_by_its_bytes() -> None:
    picture = b'[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:' + b"a" * 1_000_000 + b'"}}]}]'
    assert (
        money(WORST, needs=Needs(frozenset({"vision"}), 1), messages=picture)
        < 2_000 * LARGE.fresh_input // 1000 + 10**6
    )


def test_a_price_that_changes_is_noticed_and_none_is_free() -> None:
    prices: dict[Tier, Price | None] = {Tier.LARGE: MINI}
    worst = WorstCase(prices.get, answer=1)
    request = request_of()
    before = worst.money(request, 100, (Tier.LARGE,), 0.0)
    prices[Tier.LARGE] = LARGE
    assert worst.money(request, 100, (Tier.LARGE,), PRICED_FOR / 2) == before
    assert worst.money(request, 100, (Tier.LARGE,), PRICED_FOR) > before
    prices[Tier.LARGE] = None
    assert worst.money(request, 100, BOTH, 9.0) == 0


def test_tokens_are_estimated_by_the_body_and_by_what_answers_are_like() -> None:
    assert WORST.tokens(request_of(max_tokens=None), 400, 256.0) == 100 + 256
    assert WORST.tokens(request_of(max_tokens=9), 400, 256.0) == 100 + 9
