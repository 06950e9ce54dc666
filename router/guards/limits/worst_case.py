"""Request -> the tokens and the money that it may take at most.

The bound on money is a law where the answer's length has a bound: no vocabulary makes more tokens of a text than it has
bytes, and the whole body is counted as a prompt. Pictures and sound alone are estimated. What limits of tokens are
raised by is a mere estimate, which is corrected when the request has ended.
"""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from router.base import Price, Request, Tier
from router.eligibility import token_bounds

PRICED_FOR: Final = 1.0  # seconds that a look at the price book holds
SEVERAL: Final = "several_choices"

_BYTES_A_TOKEN: Final = 4  # of JSON; more than English needs
_PICO_PER_NANO: Final = 1_000
_ROUNDED: Final = 2  # nano-USD that rounding three buckets can add to their sum
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
        self._prices: dict[tuple[Tier, ...], tuple[int, int]] = {}
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
        prices = self._prices.get(asked) or self._dearest(asked)
        return (prompt * prices[0] + answer * prices[1]) // _PICO_PER_NANO + _ROUNDED

    def _dearest(self, tiers: tuple[Tier, ...]) -> tuple[int, int]:
        """Return the highest price of a prompt's and of an answer's token, pico-USD, and keep them for a while."""
        known = {tier: self._price_of(tier) for tier in tiers}
        each = {tier: price for tier, price in known.items() if price is not None}
        prompts = {tier: max(price.fresh_input, price.cached_input) for tier, price in each.items()}
        answers = {tier: price.output for tier, price in each.items()}
        if self._cascades and len(tiers) > 1:
            found = _of_cascade(prompts), _of_cascade(answers)
        else:
            found = max(prompts.values(), default=0), max(answers.values(), default=0)
        self._prices[tiers] = found
        return found


def _of_cascade(prices: dict[Tier, int]) -> int:
    return 2 * prices.get(Tier.MINI, 0) + prices.get(Tier.LARGE, 0)


def size_of(request: Request) -> int:
    """Return the bytes of a body, names of its fields aside."""
    return sum(map(len, request.fields.values()))


def _choices(request: Request) -> int:
    """Return how many answers are asked for; each field was checked to be a whole number, or is left to the backend."""
    asked = [msgspec.json.decode(request.fields[name]) for name in _CHOICES if name in request.fields]
    return max((each for each in asked if isinstance(each, int)), default=1)
