"""A decision for Mini, while Large holds the conversation's KV -> Large after all, where that costs no more.

A change of tier costs a prefill: the whole prompt is computed anew where nothing of it is cached. So both ways are
priced as what they would really take, from this request to the end of the conversation, which is expected to go on for
as long as it has lasted: with Large, its cached tokens at the price of cached ones; with Mini, its own prefill, and,
where Mini's reply is to be verified, Large's reply too, as often as the score says that Mini will not do.

Quality goes first, so it moves requests in one direction alone, to the better model:

* A request that the score sends to Large goes there, whoever holds its KV. Mini's cheap prefix buys no quality; what
  the score promises, and what a calibration has certified, is never sold.
* A request that the score sends to Mini may stay with Large. It loses nothing by that, so a certified loss stays what
  it is at most.
* What was asked for by name, what one tier alone can serve, agents in circles and requests without a score are left
  alone.

It can only save, as far as can be told before: tokens count as cached only as far as the backend's own reports have
borne them out, and a backend that reports none is never stayed with; both prices must be known; and staying must be
cheaper by a margin. With prices at which Large's cached tokens cost as much as Mini's fresh ones, the saving lies in
the zone that a cascade verifies. Answers are as long as they have been on average, or as long as the caller allows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from classifier.base import Score
from router.base import Decision, Prefix, Price, Request, Tier
from router.policies.wrapped import WrappedPolicy

AFFINITY: Final = "affinity"
"""The reason of a decision that stays with Large, who holds the conversation's KV."""

MARGIN: Final = 1.1
"""By which staying must be cheaper: so much may an estimate of tokens be wrong."""

_PICO_PER_NANO: Final = 1_000


@dataclass(frozen=True, slots=True)
class Sticky(WrappedPolicy):
    """Another policy, and what staying is worth.

    Attributes:
        policy: decides; what it does not send to Mini by a score stays as it is.
        large, mini: give today's prices; None means unpriced, and then nothing is weighed.
    """

    large: Callable[[], Price | None]
    mini: Callable[[], Price | None]

    def decide(self, request: Request, score: Score | None) -> Decision:
        """Return the tier; see `router.base.Policy`."""
        decision = self.policy.decide(request, score)
        prefix = request.prefix
        if decision.tier is Tier.LARGE or decision.score is None or not prefix.large.tokens:
            return decision
        large, mini = self.large(), self.mini()
        if large is None or mini is None:
            return decision
        most = request.prompt.max_tokens
        stay, switch = weighed(
            prefix,
            large=large,
            mini=mini,
            escalates=0.0 if decision.verify is None else decision.score.value,
            ahead=sum(turn.role == "assistant" for turn in request.prompt.turns),
            output=prefix.output if most is None else min(prefix.output, most),
        )
        if stay * MARGIN > switch:
            return replace(decision, stay_cost=stay, switch_cost=switch)
        return replace(
            decision,
            tier=Tier.LARGE,
            reason=AFFINITY,
            policy=f"{decision.policy}+{AFFINITY}",
            verify=None,
            stay_cost=stay,
            switch_cost=switch,
        )


def may_save(large: Price | None, mini: Price | None) -> bool:
    """Tell whether staying can be the cheaper at these prices, even where nothing is verified."""
    return large is not None and mini is not None and large.cached_input * MARGIN < mini.fresh_input


def weighed(prefix: Prefix, *, large: Price, mini: Price, escalates: float, ahead: int, output: int) -> tuple[int, int]:
    """Return what it takes to stay with Large, and to switch to Mini, in nano-USD.

    Args:
        prefix: of the conversation, with what each tier holds of it.
        escalates: probability with which Large has to answer beside Mini, 0.0 to 1.0.
        ahead: requests that are expected after this one.
        output: tokens of one answer.
    """
    prompt = prefix.large.prompt_tokens
    now = [
        _taken(price, prompt=prompt, cached=min(held.tokens, prompt), output=output)
        for price, held in ((large, prefix.large), (mini, prefix.mini))
    ]
    later = [_taken(price, prompt=prompt + output, cached=prompt, output=output) for price in (large, mini)]
    stay, alone = (first + ahead * each for first, each in zip(now, later, strict=True))
    return stay // _PICO_PER_NANO, int(alone + escalates * stay) // _PICO_PER_NANO


def _taken(price: Price, *, prompt: int, cached: int, output: int) -> int:
    """Return what one request takes, in pico-USD, in the service tier that nobody asked for."""
    price = price.held_for("", prompt) or price
    return cached * price.cached_input + (prompt - cached) * price.fresh_input + output * price.output
