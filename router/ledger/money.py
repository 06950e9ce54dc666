"""Tokens and a price -> nano-USD, in integers only.

Integers because sums of them do not depend on their order: a roll-up equals the rows below it to the last
unit. Prices are pico-USD a token, which is the same number as micro-USD per million tokens. Each bucket is
rounded once, half to even, and a total is the sum of its buckets, so that a breakdown always adds up.
"""

import re

from backends.base import Usage
from router.base import Price

PICO_PER_NANO = 1_000
PICO_PER_PRICE_UNIT = 1_000_000  # 1 USD per million tokens is 1e-6 USD, or 1e6 pico-USD, a token
NANO_PER_USD = 1_000_000_000
HIGHEST_PRICE = 1_000_000  # USD per million tokens; above it is a slip of the decimal point
CENTS = 2  # decimals that are always shown

_DECIMAL = re.compile(r"([0-9]{1,10})(?:\.([0-9]{1,30}))?", re.ASCII)


def cost(price: Price, usage: Usage) -> int:
    """Return what an attempt cost, in nano-USD: the sum of its buckets."""
    fresh, cached, output = buckets(price, usage)
    return fresh + cached + output


def buckets(price: Price, usage: Usage) -> tuple[int, int, int]:
    """Return what fresh input, cached input and output cost, each in nano-USD.

    Where the backend does not say how much of the prompt it had cached, all of it is priced as fresh.

    Raises:
        ValueError: a bucket is below zero; it is never clamped, since the sum would then be wrong in silence.
    """
    cached = usage.cached_input or 0
    if usage.fresh_input < 0 or cached < 0 or usage.output < 0:
        raise ValueError(f"tokens below zero cannot be priced: {usage}")
    return (
        _nano(usage.fresh_input * price.fresh_input),
        _nano(cached * price.cached_input),
        _nano(usage.output * price.output),
    )


def pico_per_token(text: str) -> int:
    """Return a price as pico-USD a token, read exactly from USD per million tokens, such as "0.05".

    Raises:
        ValueError: no plain decimal, finer than 0.000001, or implausibly high.
    """
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise ValueError('is no plain decimal; write USD per million tokens such as "0.05"')
    whole, fraction = match[1], (match[2] or "").rstrip("0")
    if len(fraction) > len("000001"):
        raise ValueError("is finer than 0.000001 USD per million tokens; round it")
    pico = int(whole) * PICO_PER_PRICE_UNIT + int(fraction.ljust(6, "0"))
    if pico > HIGHEST_PRICE * PICO_PER_PRICE_UNIT:
        raise ValueError(f"is over {HIGHEST_PRICE} USD per million tokens; check the decimal point")
    return pico


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
