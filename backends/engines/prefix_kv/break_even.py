"""Seconds that computing and fetching took -> which of the two is faster for the next prefix.

Pure: it measures nothing itself. Both are lines, a fixed part and a part for each token or byte, fitted to what was
seen, the latest counting most. While one of the two is unknown, fetching is tried.
"""

import math
from dataclasses import dataclass
from typing import Final

TRIAL_EVERY: Final = 32
"""Of what does not pay, one in so many is done all the same, since what is true may change."""

_MEMORY: Final = 0.9  # weight of all that was seen before, at each new observation: the last ten or so count


@dataclass(slots=True)
class Line:
    """Seconds = fixed + each * amount, by least squares whose weights fade.

    Where all amounts seen are alike, the fixed part cannot be told apart and counts as none.
    """

    weight: float = 0.0
    amount: float = 0.0
    square: float = 0.0
    seconds: float = 0.0
    product: float = 0.0

    def learn(self, amount: float, seconds: float) -> None:
        """Take an observation."""
        self.weight = self.weight * _MEMORY + 1.0
        self.amount = self.amount * _MEMORY + amount
        self.square = self.square * _MEMORY + amount * amount
        self.seconds = self.seconds * _MEMORY + seconds
        self.product = self.product * _MEMORY + amount * seconds

    @property
    def is_known(self) -> bool:
        """Tell whether anything was seen."""
        return self.weight > 0 and self.amount > 0

    @property
    def each(self) -> float:
        """Return the seconds of one more."""
        if not self.is_known:
            return 0.0
        mean = self.amount / self.weight
        spread = self.square / self.weight - mean * mean
        alike = spread < (mean * 0.05) ** 2
        slope = 0.0 if alike else (self.product / self.weight - mean * self.seconds / self.weight) / spread
        most = self.seconds / self.amount  # with no fixed part
        return most if alike else min(max(slope, 0.0), most)

    @property
    def fixed(self) -> float:
        """Return the seconds of none."""
        return max(0.0, (self.seconds - self.each * self.amount) / self.weight) if self.is_known else 0.0

    def at(self, amount: float) -> float:
        """Return the seconds that so many will take."""
        return self.fixed + self.each * amount


class BreakEven:
    """Learns when a prefix is worth fetching.

    Args:
        bytes_per_token: of stored KV.

    Attributes:
        fetched, computed: prefixes of which this was decided.
    """

    def __init__(self, bytes_per_token: float) -> None:
        self.fetched = 0
        self.computed = 0
        self._bytes_per_token = bytes_per_token
        self._prefill = Line()
        self._fetch = Line()
        self._losses = 0

    def __repr__(self) -> str:
        return f"<BreakEven at {self.tokens():.0f} tokens>"

    def saw_prefill(self, tokens: int, seconds: float) -> None:
        """Learn from tokens that were computed."""
        if tokens > 0:
            self._prefill.learn(tokens, seconds)

    def saw_fetch(self, size: int, seconds: float) -> None:
        """Learn from bytes that were fetched and made ready."""
        if size > 0:
            self._fetch.learn(size, seconds)

    def blocks(self, sizes: list[int], *, page: int, within: float) -> int:
        """Return how many first blocks to fetch; 0 computes all.

        Args:
            sizes: bytes to be fetched for each block, of a chain that is held; 0 where it is in this process.
            page: tokens of one block.
            within: seconds that fetching may take.
        """
        at_hand = next((i for i, size in enumerate(sizes) if size), len(sizes))
        far = sum(sizes)
        if not far:
            return at_hand
        count = len(sizes)
        while count > at_hand and self._fetch.at(far) > within:
            count -= 1
            far -= sizes[count]
        if count > at_hand and (self._pays((count - at_hand) * page, far) or self._tries()):
            self.fetched += 1
            return count
        self.computed += 1
        return at_hand

    def keeps(self, tokens: int) -> bool:
        """Tell whether a prefix of so many tokens, once kept, would be worth fetching."""
        return self._pays(tokens, tokens * self._bytes_per_token) or self._tries()

    def tokens(self) -> float:
        """Return from how many tokens on fetching wins; infinite where it never does."""
        gain = self._prefill.each - self._fetch.each * self._bytes_per_token
        if not self._is_known:
            return 0.0
        return self._fetch.fixed / gain if gain > 0 else math.inf

    def gauges(self) -> dict[str, float]:
        """Return both lines and where they cross, by metric name."""
        return {
            "prefix_kv_prefill_seconds_per_token": self._prefill.each,
            "prefix_kv_fetch_seconds_per_token": self._fetch.each * self._bytes_per_token,
            "prefix_kv_fetch_seconds_per_byte": self._fetch.each,
            "prefix_kv_fetch_fixed_seconds": self._fetch.fixed,
            "prefix_kv_break_even_tokens": self.tokens(),
            "prefix_kv_store_loses": float(math.isinf(self.tokens())),
            "prefix_kv_chose_fetch_total": self.fetched,
            "prefix_kv_chose_compute_total": self.computed,
        }

    @property
    def _is_known(self) -> bool:
        return self._prefill.is_known and self._fetch.is_known

    def _pays(self, tokens: float, size: float) -> bool:
        return not self._is_known or self._fetch.at(size) < self._prefill.each * tokens

    def _tries(self) -> bool:
        self._losses += 1
        return self._losses % TRIAL_EVERY == 0
