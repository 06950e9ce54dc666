"""Tokens or text -> how much of it has been said before.

Pure arithmetic, each figure exactly as its source defines it; what is made of the figures stands in `repetition.py`.
"""

import zlib
from collections.abc import Sequence
from itertools import islice
from typing import Final

LONGEST_PERIOD: Final = 64  # tokens
FEWEST_REPEATS: Final = 3
SHORTEST_LOOP: Final = 24  # tokens, all repeats together


def rep_n(tokens: Sequence[str], n: int = 4) -> float:
    """Return the share of n-grams that are not the first of their kind, 0.0 to 1.0; 0.0 where there is none.

    Source: Welleck et al. 2020, "Neural Text Generation with Unlikelihood Training", section 4 (seq-rep-n).
    """
    grams = len(tokens) - n + 1
    return 0.0 if grams < 1 else 1.0 - len(_grams(tokens, n)) / grams


def distinct_n(tokens: Sequence[str], n: int) -> float:
    """Return different n-grams by tokens, 0.0 to 1.0; 0.0 where there is no token.

    Source: Li et al. 2016, "A Diversity-Promoting Objective Function for Neural Conversation Models", section 5.
    """
    return len(_grams(tokens, n)) / len(tokens) if tokens else 0.0


def comp_ratio(text: str) -> float:
    """Return the bytes of a text by those that zlib makes of them; 0.0 for no text.

    Source: Radford et al. 2023, "Robust Speech Recognition via Large-Scale Weak Supervision", section 4.5.
    """
    data = text.encode("utf-8", "surrogatepass")
    return len(data) / len(zlib.compress(data)) if data else 0.0


def tail_loop(tokens: Sequence[str], *, longest: int = LONGEST_PERIOD) -> int:
    """Return the tokens of the longest suffix that is one period again and again; 0 where it is none.

    A period has at most `longest` tokens; it must stand there three times, and 24 tokens must come together. The last
    repeat may be cut short.
    """
    best, n = 0, len(tokens)
    for period in range(1, min(longest, n // FEWEST_REPEATS) + 1):
        at = n - period - 1
        while at >= 0 and tokens[at] == tokens[at + period]:
            at -= 1
        length = n - 1 - at
        if length > best and length >= SHORTEST_LOOP and length >= FEWEST_REPEATS * period:
            best = length
    return best


def _grams(tokens: Sequence[str], n: int) -> set[tuple[str, ...]]:
    return set(zip(*(islice(tokens, start, None) for start in range(n)), strict=False))
