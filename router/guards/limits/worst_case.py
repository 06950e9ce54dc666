"""Request -> the tokens and the money that it may take at most.

The bound on money is a law where the answer's length has a bound: no vocabulary makes more tokens of a text than it has
bytes, and the whole body is counted as a prompt. Pictures and sound alone are estimated. What limits of tokens are
raised by is a mere estimate, which is corrected when the request has ended.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from backends.base import INPUT_BUCKETS, OUTPUT_BUCKETS
from router.base import Price, Request, Tier
from router.eligibility import token_bounds

PRICED_FOR: Final = 1.0  # seconds that a look at the price book holds
SEVERAL: Final = "several_choices"

_BYTES_A_TOKEN: Final = 4  # of JSON; more than English needs
_PICO_PER_NANO: Final = 1_000
_ROUNDED: Final = 6  # nano-USD that rounding ten buckets can add to their sum, and one that is lost here
_CHOICES: Final = ("n", "best_of")


class WorstCase:
    """What requests may cost in one configuration.

    Args:
        price_of: today's price of a tier's model; None where it has none, which then counts as free.
        answer: tokens of an answer whose request names no limit.
        cascades: Mini may be asked twice and Large after it.
    """

    def __init__(
        self,
        price_of: Callable[[Tier], Price | None],
        *,
        answer: int,
        cascades: bool = False,
    ) -> None:
        self._price_of, self._answer, self._cascades = price_of, answer, cascades
        self._prices: dict[tuple[Tier, ...], tuple[_Dearest, ...]] = {}
        self._until = 0.0

    def tokens(self, request: Request, size: int, typical: float) -> int:
        """Return an estimate.

        Args:
            size: of the body, in bytes.
            typical: tokens of an answer where the request names no limit.
        """
        answer = request.prompt.max_tokens or int(typical)
        if SEVERAL in request.needs.features:
            answer *= _choices(request)
        return size // _BYTES_A_TOKEN + answer

    def money(self, request: Request, size: int, tiers: Sequence[Tier], now: float) -> int:
        """Return nano-USD.

        Args:
            size: of the body, in bytes.
            now: of a clock that never goes back.
        """
        prompt = size
        if request.needs.media and "messages" in request.fields:  # each of its bytes would be far too many
            prompt = token_bounds(request)[1]
        answer = request.prompt.max_tokens or self._answer
        if SEVERAL in request.needs.features:
            answer *= _choices(request)
        if now >= self._until:
            self._prices, self._until = {}, now + PRICED_FOR
        asked = (*tiers,)
        each = self._prices.get(asked) or self._dearest(asked)
        held = each[0]
        for longer in each[1:]:
            held = longer if longer.above_input < prompt else held
        return (prompt * held.prompt + answer * held.answer) // _PICO_PER_NANO + held.fixed

    def _dearest(self, tiers: tuple[Tier, ...]) -> "tuple[_Dearest, ...]":
        """Return the highest prices for prompts of rising length, and keep them for a while."""
        prices = {tier: price for tier in tiers if (price := self._price_of(tier)) is not None}
        lengths = {0, *(each.above_input for price in prices.values() for each in price.variants)}
        cascades = self._cascades and len(tiers) > 1
        found = tuple([_dearest(prices, length, cascades=cascades) for length in sorted(lengths)])
        self._prices[tiers] = found
        return found


class _Dearest(Struct, frozen=True):
    """What prompts beyond a length may cost.

    Attributes:
        prompt, answer: pico-USD of a token.
        fixed: nano-USD of a request, with what rounding may add.
    """

    above_input: int
    prompt: int
    answer: int
    fixed: int


def _dearest(prices: Mapping[Tier, Price], above_input: int, *, cascades: bool) -> _Dearest:
    prompts, answers, fixed = {}, {}, {}
    for tier, price in prices.items():  # in every service tier: which one it will be, the backend says at the end
        held = [each for each in (price, *price.variants) if each.above_input <= above_input]
        prompts[tier] = max(each.rate(name) for each in held for name in INPUT_BUCKETS)
        answers[tier] = max(each.rate(name) for each in held for name in OUTPUT_BUCKETS)
        fixed[tier] = max(each.per_request for each in held) + _ROUNDED
    added = _of_cascade if cascades else _highest
    return _Dearest(above_input, added(prompts), added(answers), added(fixed))


def _of_cascade(prices: Mapping[Tier, int]) -> int:
    return 2 * prices.get(Tier.MINI, 0) + prices.get(Tier.LARGE, 0)


def _highest(prices: Mapping[Tier, int]) -> int:
    return max(prices.values(), default=0)


def size_of(request: Request) -> int:
    """Return the bytes of a body, names of its fields aside."""
    return sum(map(len, request.fields.values()))


def _choices(request: Request) -> int:
    """Return how many answers are asked for; each field was checked to be a whole number, or is left to the backend."""
    asked = [msgspec.json.decode(request.fields[name]) for name in _CHOICES if name in request.fields]
    return max((each for each in asked if isinstance(each, int)), default=1)
