"""Tests of router/ledger/money.py."""

import random
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.base import Usage
from router.base import Price
from router.ledger.money import buckets, cost, pico_per_token, usd

pico = st.integers(0, 10**12)
tokens = st.integers(0, 10**7)
prices = st.builds(Price, st.just("m"), st.just("v"), pico, pico, pico)
usages = st.builds(Usage, tokens, st.none() | tokens, tokens)
LARGE = Price("desk-large", "v", 500_000, 50_000, 1_500_000)


def test_a_known_request_costs_what_a_pocket_calculator_says() -> None:
    # 1,000 * 0.50 + 9,000 * 0.05 + 200 * 1.50, all per million tokens, is 0.00125 USD
    assert cost(LARGE, Usage(fresh_input=1_000, cached_input=9_000, output=200)) == 1_250_000


def test_an_untold_cache_share_means_that_the_whole_prompt_is_fresh() -> None:
    assert cost(LARGE, Usage(1_000, None, 5)) == cost(LARGE, Usage(1_000, 0, 5))


@pytest.mark.parametrize(
    ("pico", "nano"), [(499, 0), (500, 0), (501, 1), (1_499, 1), (1_500, 2), (2_500, 2), (3_500, 4)]
)
def test_a_bucket_is_rounded_half_to_even(pico: int, nano: int) -> None:
    assert cost(Price("m", "v", pico, 0, 0), Usage(1, 0, 0)) == nano


@given(prices, usages)
def test_a_breakdown_adds_up_and_is_the_exact_value_rounded(price: Price, usage: Usage) -> None:
    parts = buckets(price, usage)
    assert sum(parts) == cost(price, usage)
    exact = (
        Fraction(usage.fresh_input * price.fresh_input, 1_000),
        Fraction((usage.cached_input or 0) * price.cached_input, 1_000),
        Fraction(usage.output * price.output, 1_000),
    )
    assert parts == tuple(round(value) for value in exact)


@given(st.lists(usages, max_size=40), prices, st.integers())
def test_a_sum_does_not_depend_on_its_order(attempts: list[Usage], price: Price, seed: int) -> None:
    costs = [cost(price, usage) for usage in attempts]
    shuffled = random.Random(seed).sample(costs, len(costs))
    half = len(costs) // 2
    assert sum(shuffled) == sum(costs) == sum(costs[:half]) + sum(costs[half:])


@given(usages, st.integers(0, 10**6), st.integers(0, 10**6))
def test_ten_times_the_price_of_whole_nano_units_is_ten_times_the_cost(usage: Usage, fresh: int, output: int) -> None:
    mini = Price("mini", "v", fresh * 1_000, fresh * 1_000, output * 1_000)
    large = Price("large", "v", fresh * 10_000, fresh * 10_000, output * 10_000)
    assert cost(large, usage) == 10 * cost(mini, usage)


@given(prices, usages)
def test_more_tokens_never_cost_less(price: Price, usage: Usage) -> None:
    more = Usage(usage.fresh_input + 1, usage.cached_input, usage.output + 1)
    assert cost(price, more) >= cost(price, usage)


@pytest.mark.parametrize("usage", [Usage(-1, 0, 0), Usage(0, -1, 0), Usage(0, 0, -1), Usage(5, -1, 5)])
def test_tokens_below_zero_are_an_error_and_never_a_refund(usage: Usage) -> None:
    with pytest.raises(ValueError, match="below zero"):
        cost(LARGE, usage)


@pytest.mark.parametrize(
    ("text", "pico"),
    [("0.50", 500_000), ("0.005", 5_000), ("0", 0), ("2", 2_000_000), ("0.000001", 1), ("1.50000000", 1_500_000)],
)
def test_a_price_is_read_exactly(text: str, pico: int) -> None:
    assert pico_per_token(text) == pico


@given(st.integers(0, 10**12))
def test_every_unit_of_a_price_survives_being_written_and_read(pico: int) -> None:
    assert pico_per_token(f"{Decimal(pico).scaleb(-6):f}") == pico


@pytest.mark.parametrize(
    "text", ["", "-1", "+1", "1e3", "0.0000001", ".5", "1.", "1,5", "nan", "inf", "$1", " 1", "١", "1000001"]
)
def test_what_is_no_exact_plain_price_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"USD|decimal"):
        pico_per_token(text)


@pytest.mark.parametrize(
    ("nano", "text"),
    [
        (0, "0.00"),
        (1, "0.000000001"),
        (1_500_000_000, "1.50"),
        (1_250_000, "0.00125"),
        (-7, "-0.000000007"),
        (10**19, "10000000000.00"),
    ],
)
def test_an_amount_is_shown_exactly(nano: int, text: str) -> None:
    assert usd(nano) == text


@given(st.integers(-(2**63), 2**63 - 1))
def test_what_is_shown_can_be_read_back_to_the_last_unit(nano: int) -> None:
    assert int(Decimal(usd(nano)).scaleb(9)) == nano
