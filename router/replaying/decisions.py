"""A request of the ledger -> the decision that a configuration makes of it, from the record alone.

The score is the logged one, since no text is kept; all that moved the decision beside it stands in `inputs`. The steps
are those of the pipeline. So a decision of the same configuration comes out equal to the last bit, and one of another
configuration is what it would have decided. Where the record does not tell enough, that is said, and never guessed.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final

from cache.base import Holding
from classifier.base import Classifier, Prompt, Score, Turn
from router.base import Decision, Needs, Policy, Prefix, Price, Request, Tier
from router.config.models import Config
from router.config.policies import CascadeOptions
from router.deciding import chosen_of
from router.eligibility import CAPABILITY, UNCERTIFIED
from router.experiments.scored import Scored
from router.guards.large_share import LargeShare
from router.ledger.prices import PriceBook
from router.ledger.prices import load as load_prices
from router.ledger.replays import LoggedRequest
from router.policies.certified import Certified
from router.policies.inputs import Inputs, read_inputs
from router.policies.paced import Paced
from router.policies.sticky import Sticky, may_save

NOT_DECIDED: Final = {
    "kept": "answered from the cache before anything was decided",
    "limited": "refused by a limit before anything was decided",
    "undecided": "ended before anything was decided",
}
UNKNOWN_INPUTS: Final = "made before the ledger kept what a decision was made from"
UNKNOWN_FLOOR: Final = "moved by a budget before the ledger kept its floor"
NO_TIER: Final = "refused, as no tier could serve it"

_SPECIAL: Final = Needs(frozenset({"tools"}))  # whose replies cannot be verified
_PLAIN: Final = Needs()


@dataclass(frozen=True, slots=True)
class Undecidable:
    """The record does not tell what would be decided; `why`, in words."""

    why: str


class Decider:
    """Decides requests of the ledger as one configuration would.

    Args:
        recalls: what had moved decisions then, such as budgets and alarms, moves them again; else nothing has.
        usual: for an arm of an experiment, what decides for those that take part in none: their classifier and price
            book are the arm's, too, and it alone gives way to budgets; None where this is the usual one.

    Raises:
        ConfigError, WeightsError: the policy cannot be opened.
        PriceBookError: the price book cannot be used.
    """

    def __init__(self, config: Config, *, recalls: bool, usual: "Decider | None" = None) -> None:
        self._config, self._recalls, self._usual = config, recalls, usual
        self.classifier: Classifier | None = config.classifier.build() if usual is None else usual.classifier
        self.book: PriceBook = load_prices(config.prices) if usual is None else usual.book
        self.policy, self.promise = chosen_of(config, self.classifier)
        self._known_prices: dict[tuple[Tier | None, date], Price | None] = {}
        vectors, tiers = config.backends.embeddings, config.backends.by_tier
        self._prices = {None: None if vectors is None else vectors.price} | {tier: tiers[tier].price for tier in tiers}
        self._day = date.min
        self._sticky: dict[date, bool] = {}
        share, wrong = config.large_share, config.policy.wrong if isinstance(config.policy, CascadeOptions) else None
        self._share = LargeShare(
            usual=share.usual,
            margin=share.margin,
            window=share.window,
            caps=True,
            verify=wrong,
        )
        self._is_cascade = wrong is not None

    def decide(self, logged: LoggedRequest) -> Decision | Undecidable:
        """Return the decision."""
        if logged.reason in NOT_DECIDED:
            return Undecidable(NOT_DECIDED[logged.reason])
        if not logged.config:
            return Undecidable(UNKNOWN_INPUTS)
        try:
            inputs = read_inputs(logged.inputs)
        except ValueError as error:
            return Undecidable(str(error))
        if logged.reason in (CAPABILITY, UNCERTIFIED) and not inputs.only and not inputs.wanted:
            return Undecidable(NO_TIER)
        if self._recalls and not inputs.affordable and inputs.pace is None:
            return Undecidable(UNKNOWN_FLOOR)
        return self._decided(logged, inputs)

    def paced(self, logged: LoggedRequest, inputs: Inputs) -> Paced | None:
        """Return the policy that gave way to a budget; None where none did."""
        if not self._recalls or inputs.pace is None:
            return None
        curve = None if self.promise is None else self.promise.curve
        return Paced(self._standing(logged), lambda _asked: inputs.pace, curve)

    def _decided(self, logged: LoggedRequest, inputs: Inputs) -> Decision:
        request = _request(logged, inputs)
        self._day = datetime.fromtimestamp(logged.started, UTC).date()
        if inputs.only:
            return Decision(Tier(inputs.only), inputs.because or CAPABILITY, None, None, self.policy.version)
        policy, paced = self._policy(logged, inputs)
        score = None if logged.score is None else Score(logged.score, logged.scorer or "")
        needs_score = policy.needs_score(request)
        if paced is not None and not inputs.affordable:
            afforded = paced.affordable(request, score if needs_score and not inputs.stalled else None)
            if afforded is not None:
                return afforded
        if not needs_score:
            return policy.decide(request, None)
        if inputs.stalled:
            return Decision(Tier.LARGE, "stalled", None, None, policy.version)
        decision = policy.decide(request, score)
        if not self._recalls or inputs.excess is None:
            return decision
        self._share.recall(logged.tenant, inputs.excess)
        return self._share.weigh(request, decision)

    def _policy(self, logged: LoggedRequest, inputs: Inputs) -> tuple[Policy, Paced | None]:
        """Return the policy as it stood for this request, and what gave way to a budget, if anything did."""
        paced = (self._usual or self).paced(logged, inputs)
        policy = self._standing(logged) if self._usual is not None or paced is None else paced
        if inputs.prefix is not None and self._stays():
            day = self._day
            policy = Sticky(policy, lambda: self.price_on(Tier.LARGE, day), lambda: self.price_on(Tier.MINI, day))
        return policy if self._usual is None else Scored(policy), paced

    def _standing(self, logged: LoggedRequest) -> Policy:
        """Return the policy after as many alarms as had rung."""
        if self._recalls and isinstance(self.policy, Certified):
            self.policy.stand_after(_alarms(logged.policy))
        return self.policy

    def price_on(self, tier: Tier | None, day: date) -> Price | None:
        """Return a tier's price on a day, in UTC; None is what makes vectors."""
        if (tier, day) not in self._known_prices:
            model = self._prices[tier]
            self._known_prices[tier, day] = None if model is None else self.book.price_on(model, day)
        return self._known_prices[tier, day]

    def _stays(self) -> bool:
        if not self._config.policy.affinity:
            return False
        known = self._sticky.get(self._day)
        if known is None:
            large, mini = (self.price_on(tier, self._day) for tier in Tier)
            known = self._sticky[self._day] = self._is_cascade or may_save(large, mini)
        return known


def _alarms(version: str) -> int:
    """Return how often an alarm had rung, by a policy's version."""
    _, mark, count = version.partition("!")
    digits = count.partition("+")[0]
    return int(digits) if mark and digits.isdigit() else 0


def _request(logged: LoggedRequest, inputs: Inputs) -> Request:
    """Return a request that says what the record knows, and nothing else."""
    held, prefix = inputs.prefix, Prefix()
    if held is not None:
        prefix = Prefix(
            large=Holding(tokens=held.large, prompt_tokens=held.prompt),
            mini=Holding(tokens=held.mini, prompt_tokens=held.prompt),
            output=held.output,
        )
    turns = (Turn("assistant", ""),) * (0 if held is None else held.ahead)
    most = None if held is None else held.most
    return Request(
        id=logged.id,
        caller_id="",
        tenant=logged.tenant,
        path="",
        model="",
        wanted=Tier(inputs.wanted) if inputs.wanted else None,
        prompt=Prompt(turns, max_tokens=most, tenant=logged.tenant),
        stream=logged.is_stream,
        wants_usage=False,
        fields={},
        cacheable=False,
        received=0.0,
        deadline=0.0,
        quality=inputs.quality,
        lean=inputs.lean or 0.0,
        needs=_PLAIN if inputs.verifiable else _SPECIAL,
        stalled=inputs.stalled,
        prefix=prefix,
    )
