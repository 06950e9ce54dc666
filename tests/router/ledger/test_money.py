"""Tests of router/ledger/money.py."""

import random
import re
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from backends.base import Usage
from router.base import Price
from router.ledger.money import BUCKETS, breakdown, cost, nano_of, pico_per_token, plain_decimal, prefix_saved, usd

pico = st.integers(0, 10**12)
tokens = st.integers(0, 10**7)
own = st.none() | pico
prices = st.builds(Price, st.just("m"), st.just("v"), pico, pico, pico, own, own, own, own, own, own, own, pico)
usages = st.builds(Usage, tokens, st.none() | tokens, tokens, *[tokens] * 7)
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
    parts = breakdown(price, usage)
    assert parts is not None
    assert list(parts) == [*BUCKETS, "per_request"]
    assert sum(parts.values()) == cost(price, usage)
    exact = [Fraction((getattr(usage, name) or 0) * price.rate(name), 1_000) for name in BUCKETS]
    assert list(parts.values()) == [*map(round, exact), price.per_request]


@given(st.lists(usages, max_size=40), prices, st.integers())
def test_a_sum_does_not_depend_on_its_order(attempts: list[Usage], price: Price, seed: int) -> None:
    costs = [cost(price, usage) or 0 for usage in attempts]
    shuffled = random.Random(seed).sample(costs, len(costs))
    half = len(costs) // 2
    assert sum(shuffled) == sum(costs) == sum(costs[:half]) + sum(costs[half:])


@given(usages, st.integers(0, 10**6), st.integers(0, 10**6))
def test_ten_times_the_price_of_whole_nano_units_is_ten_times_the_cost(usage: Usage, fresh: int, output: int) -> None:
    mini = Price("mini", "v", fresh * 1_000, fresh * 1_000, output * 1_000)
    large = Price("large", "v", fresh * 10_000, fresh * 10_000, output * 10_000)
    assert cost(large, usage) == 10 * (cost(mini, usage) or 0)


@given(prices, usages)
def test_more_tokens_never_cost_less(price: Price, usage: Usage) -> None:
    more = structs.replace(usage, fresh_input=usage.fresh_input + 1, reasoning=usage.reasoning + 1)
    assert (cost(price, more) or 0) >= (cost(price, usage) or 0)


@pytest.mark.parametrize(
    "usage",
    [
        Usage(-1, 0, 0),
        Usage(0, -1, 0),
        Usage(0, 0, -1),
        Usage(5, -1, 5),
        *[structs.replace(Usage(1, 1, 1), **{name: -1}) for name in BUCKETS],
    ],
)
def test_tokens_below_zero_are_an_error_and_never_a_refund(usage: Usage) -> None:
    for priced in (cost, breakdown):
        with pytest.raises(ValueError, match="below zero"):
            priced(LARGE, usage)


def test_a_bucket_without_a_price_costs_as_much_as_what_it_stands_beside() -> None:
    assert {name: LARGE.rate(name) for name in BUCKETS} == {
        "fresh_input": 500_000,
        "cached_input": 50_000,
        "cache_write": 500_000,
        "cache_write_1h": 500_000,
        "audio_input": 500_000,
        "image_input": 500_000,
        "output": 1_500_000,
        "reasoning": 1_500_000,
        "audio_output": 1_500_000,
        "image_output": 1_500_000,
    }
    assert replace(LARGE, cache_write=625_000).rate("cache_write_1h") == 625_000
    assert replace(LARGE, reasoning=0).rate("reasoning") == 0, "no price is not the same as nothing to pay"


FLEX = replace(LARGE, version="f", fresh_input=250_000, service_tier="flex")
LONG = replace(LARGE, version="l", fresh_input=1_000_000, output=3_000_000, above_input=200_000)
LONGER = replace(LONG, version="ll", fresh_input=2_000_000, above_input=500_000)
TIERED = replace(LARGE, variants=(LONGER, FLEX, LONG))


@pytest.mark.parametrize(
    ("tier", "prompt", "version"),
    [
        ("", 10, "v"),
        ("default", 10, "v"),
        ("standard", 200_000, "v"),
        ("", 200_001, "l"),
        ("", 500_000, "l"),
        ("", 500_001, "ll"),
        ("flex", 10, "f"),
        ("flex", 900_000, "f"),
        ("priority", 10, None),
        ("auto", 10, None),
        ("?", 10, None),
    ],
)
def test_the_answers_service_tier_and_the_prompts_length_choose_the_price(
    tier: str, prompt: int, version: str | None
) -> None:
    usage = Usage(prompt // 2, prompt - prompt // 2, 3, service_tier=tier)
    held = TIERED.held_for(tier, prompt)
    assert (held and held.version) == version
    assert cost(TIERED, usage) == (None if held is None else cost(replace(held, variants=()), usage))
    assert (breakdown(TIERED, usage) is None) == (version is None)


def test_a_tier_that_no_price_is_known_for_is_never_charged_as_the_usual_one() -> None:
    assert cost(LARGE, Usage(10, 0, 1, service_tier="priority")) is None
    assert cost(LARGE, Usage(10, 0, 1, service_tier="default")) == cost(LARGE, Usage(10, 0, 1))


def test_a_price_of_each_request_is_added_once() -> None:
    assert cost(replace(LARGE, per_request=5), Usage(0, 0, 0)) == 5


@pytest.mark.parametrize(
    ("usage", "nano"),
    [
        (Usage(1_000, 9_000, 200), 4_050_000),  # 9,000 * (0.50 - 0.05) per million tokens, and nothing for the rest
        (Usage(1_000, 0, 200), 0),
        (Usage(1_000, None, 200), 0),
        (Usage(1_000, 9_000, 200, service_tier="priority"), 0),  # of an unknown price nothing is known to be saved
        (Usage(1_000, 9_000, 200, service_tier="flex"), 1_800_000),  # by the price that it is charged at
        (Usage(1_000, 200_000, 0), 190_000_000),  # likewise
    ],
)
def test_what_a_cached_prefix_saves_is_what_its_tokens_would_have_cost_more(usage: Usage, nano: int) -> None:
    assert prefix_saved(TIERED, usage) == nano


def test_what_a_prefix_saves_is_the_difference_of_two_rounded_sums() -> None:
    assert prefix_saved(Price("m", "v", 1_499, 501, 0), Usage(0, 1, 0)) == 0, "1 nano-USD less 1"
    assert prefix_saved(Price("m", "v", 1_501, 499, 0), Usage(0, 1, 0)) == 2
    assert prefix_saved(Price("m", "v", 0, 2_000, 0), Usage(0, 3, 0)) == -6, "a cache that costs more saves less than 0"


@pytest.mark.parametrize(
    ("text", "nano"), [("0.005", 5_000_000), ("0.000000001", 1), ("2", 2 * 10**9), ("1000000", 10**15), ("0", 0)]
)
def test_an_amount_is_read_exactly(text: str, nano: int) -> None:
    assert nano_of(text) == nano


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0.0000000001", "is finer than 0.000000001 USD; round it"),
        ("1000000.000000001", "is over 1000000 USD; check the decimal point"),
        ("-0.1", 'is below zero; write USD such as "0.005"'),
        ("-a", 'is no plain decimal; write USD such as "0.005"'),
    ],
)
def test_an_amount_that_is_none_is_refused_with_what_to_do(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        nano_of(text)


def test_the_highest_price_is_still_one_and_what_is_above_it_is_a_slip() -> None:
    assert pico_per_token("1000000") == 10**12
    with pytest.raises(ValueError, match=r"^is over 1000000 USD per million tokens; check the decimal point$"):
        pico_per_token("1000000.000001")


def test_a_decimal_is_what_it_says_and_no_float() -> None:
    assert plain_decimal("0.1") == Fraction(1, 10)
    assert plain_decimal(f"1.{'0' * 29}1") == 1 + Fraction(1, 10**30)
    for text in (f"1.{'0' * 30}1", "12345678901"):
        with pytest.raises(ValueError, match="is no plain decimal"):
            plain_decimal(text)


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
