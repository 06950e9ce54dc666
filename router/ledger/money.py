"""Tokens and a price -> nano-USD, in integers only.

Integers because sums of them do not depend on their order: a roll-up equals the rows below it to the last
unit. Prices are pico-USD a token, which is the same number as micro-USD per million tokens. Each bucket is
rounded once, half to even, and a total is the sum of its buckets, so that a breakdown always adds up.
"""

import re
from fractions import Fraction
from typing import Final

from backends.base import INPUT_BUCKETS, OUTPUT_BUCKETS, Usage
from router.base import Price

PICO_PER_NANO = 1_000
PICO_PER_PRICE_UNIT = 1_000_000  # 1 USD per million tokens is 1e-6 USD, or 1e6 pico-USD, a token
NANO_PER_USD = 1_000_000_000
HIGHEST_PRICE = 1_000_000  # USD per million tokens, or per request; above it is a slip of the decimal point
CENTS = 2  # decimals that are always shown

BUCKETS: Final = (*INPUT_BUCKETS, *OUTPUT_BUCKETS)
_OFTEN: Final = ("fresh_input", "cached_input", "output")
_SELDOM: Final = tuple(name for name in BUCKETS if name not in _OFTEN)

_DECIMAL = re.compile(r"[0-9]{1,10}(?:\.[0-9]{1,30})?", re.ASCII)


def cost(price: Price, usage: Usage) -> int | None:
    """Return what an attempt cost, in nano-USD: the sum of its buckets.

    None where its service tier has no price that is known; it is never charged as the usual one in silence.

    Raises:
        ValueError: a bucket is below zero; it is never clamped, since the sum would then be wrong in silence.
    """
    held = price.held_for(usage.service_tier, usage.total_input)
    return None if held is None else cost_at(held, usage)


def cost_at(held: Price, usage: Usage) -> int:
    """Return the same at the variant that is charged; see `Price.held_for`.

    Raises:
        ValueError: as `cost`.
    """
    fresh, cached, output = usage.fresh_input, usage.cached_input or 0, usage.output
    if fresh < 0 or cached < 0 or output < 0:
        raise _below_zero(usage)
    total = held.per_request + _nano(fresh * held.fresh_input) + _nano(output * held.output)
    if cached:
        total += _nano(cached * held.cached_input)
    if usage.has_more_buckets:
        for name in _SELDOM:
            tokens = getattr(usage, name)
            if tokens < 0:
                raise _below_zero(usage)
            total += _nano(tokens * held.rate(name))
    return total


def breakdown(price: Price, usage: Usage) -> dict[str, int] | None:
    """Return what each of `BUCKETS` cost in nano-USD, and `per_request`; they add up to `cost`, and are None with it.

    Where the backend does not say how much of the prompt it had cached, all of it is priced as fresh.
    """
    held = price.held_for(usage.service_tier, usage.total_input)
    if held is None:
        return None
    if any((getattr(usage, name) or 0) < 0 for name in BUCKETS):
        raise _below_zero(usage)
    parts = {name: _nano((getattr(usage, name) or 0) * held.rate(name)) for name in BUCKETS}
    return {**parts, "per_request": held.per_request}


def prefix_saved(price: Price, usage: Usage) -> int:
    """Return nano-USD that cached input would have cost more, had it been computed anew; 0 where that is not known."""
    if not usage.cached_input:
        return 0
    held = price.held_for(usage.service_tier, usage.total_input)
    if held is None:
        return 0
    return _nano(usage.cached_input * held.fresh_input) - _nano(usage.cached_input * held.cached_input)


def _below_zero(usage: Usage) -> ValueError:
    return ValueError(f"tokens below zero cannot be priced: {usage}")


def pico_per_token(text: str) -> int:
    """Return a price as pico-USD a token, read exactly from USD per million tokens, such as "0.05".

    Raises:
        ValueError: no plain decimal, finer than 0.000001, or implausibly high.
    """
    pico = plain_decimal(text, such_as='USD per million tokens such as "0.05"') * PICO_PER_PRICE_UNIT
    if pico.denominator != 1:
        raise ValueError("is finer than 0.000001 USD per million tokens; round it")
    if pico > HIGHEST_PRICE * PICO_PER_PRICE_UNIT:
        raise ValueError(f"is over {HIGHEST_PRICE} USD per million tokens; check the decimal point")
    return int(pico)


def nano_of(text: str) -> int:
    """Return an amount in nano-USD, read exactly from USD, such as "0.005".

    Raises:
        ValueError: no plain decimal, finer than a nano-USD, or implausibly high.
    """
    nano = plain_decimal(text, such_as='USD such as "0.005"') * NANO_PER_USD
    if nano.denominator != 1:
        raise ValueError("is finer than 0.000000001 USD; round it")
    if nano > HIGHEST_PRICE * NANO_PER_USD:
        raise ValueError(f"is over {HIGHEST_PRICE} USD; check the decimal point")
    return int(nano)


def plain_decimal(text: str, *, such_as: str = 'a number such as "0.05"') -> Fraction:
    """Return exactly what a decimal says; no number on the way is a float.

    Raises:
        ValueError: it is none, or is below zero.
    """
    match = _DECIMAL.fullmatch(text)
    if match is None:
        if text.startswith("-") and _DECIMAL.fullmatch(text[1:]):
            raise ValueError(f"is below zero; write {such_as}")
        raise ValueError(f"is no plain decimal; write {such_as}")
    return Fraction(text)


def usd(nano: int) -> str:
    """Return an amount in USD, exact to the last nano-USD: 1_500_000_000 is "1.50", 123 is "0.000000123"."""
    whole, rest = divmod(abs(nano), NANO_PER_USD)
    fraction = f"{rest:09d}".rstrip("0").ljust(CENTS, "0")
    return f"{'-' if nano < 0 else ''}{whole}.{fraction}"


def _nano(pico: int) -> int:
    """Round half to even."""
    nano, rest = divmod(pico, PICO_PER_NANO)
    half = PICO_PER_NANO // 2
    return nano + (rest > half or (rest == half and nano & 1))
