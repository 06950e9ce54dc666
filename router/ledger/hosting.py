"""GPUs that are paid by the hour -> what a token costs, and what stands idle.

A token's price spreads the hour over what the GPUs do in it at the load that is held to; what they do not do is paid
for as well. So there are two ledgers: what the tokens cost (allocated), and what the hours cost (loaded). The
difference is idle, and is shown rather than hidden in a price.

Units: H USD an hour, P and D tokens a second of prefill and decode, U the share of time in which they are reached.
A computed prompt token costs H / (3600 P U), an answer's H / (3600 D U), and a cached one a share of the first.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

_SECONDS: Final = 3_600
_PICO_PER_USD: Final = 10**12
_NANO_PER_USD: Final = 10**9


@dataclass(frozen=True, slots=True)
class Hosting:
    """What serves one model, and what it costs.

    Attributes:
        usd_per_gpu_hour: with all that belongs to it: power, room, people.
        gpus: that serve the model, and are paid for whether it is asked or not.
        prefill_tokens_per_second, decode_tokens_per_second: of all of them together, at the load that is held to.
        utilisation: share of the time in which they are, above 0.0 and up to 1.0.
        cached_share: of a computed token's price, that a cached one costs, 0.0 to 1.0.
    """

    usd_per_gpu_hour: Fraction
    gpus: int
    prefill_tokens_per_second: Fraction
    decode_tokens_per_second: Fraction
    utilisation: Fraction
    cached_share: Fraction

    @property
    def usd_per_hour(self) -> Fraction:
        """Return what all of it costs an hour."""
        return self.usd_per_gpu_hour * self.gpus

    def rates(self) -> dict[str, int]:
        """Return pico-USD of a token of each of these buckets, rounded once, half to even."""
        fresh = self._rate(self.prefill_tokens_per_second)
        exact = {
            "fresh_input": fresh,
            "cached_input": fresh * self.cached_share,
            "output": self._rate(self.decode_tokens_per_second),
        }
        return {name: round(pico) for name, pico in exact.items()}

    def loaded(self, seconds: Fraction) -> Fraction:
        """Return nano-USD that it costs for so long."""
        return self.usd_per_hour * seconds * _NANO_PER_USD / _SECONDS

    def _rate(self, tokens_per_second: Fraction) -> Fraction:
        return self.usd_per_hour * _PICO_PER_USD / (_SECONDS * tokens_per_second * self.utilisation)


@dataclass(frozen=True, slots=True)
class Standing:
    """What a model's GPUs cost in a stretch of time, in nano-USD.

    Attributes:
        allocated: what its tokens cost by the price book.
        loaded: what its hours cost.
    """

    model: str
    allocated: int
    loaded: int

    @property
    def idle(self) -> int:
        """Return what no token paid for; below zero where they did more than their price expects of them."""
        return self.loaded - self.allocated

    @property
    def idle_share(self) -> float:
        """Return the idle share of what the hours cost; 0.0 where they cost nothing."""
        return self.idle / self.loaded if self.loaded else 0.0


def together(standings: Iterable[Standing]) -> Standing:
    """Return the sum over models; its model is ""."""
    each = tuple(standings)
    return Standing("", sum(one.allocated for one in each), sum(one.loaded for one in each))
