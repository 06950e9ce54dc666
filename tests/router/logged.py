"""Made-up requests -> a ledger's file that holds them, written by the ledger's own writer."""

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from backends.base import Usage
from classifier.base import Score
from router.base import Attempt, Decision, Intent, Label, Outcome, Rating, Record, Tier
from router.ledger.engines.sqlite import SqliteEngine, connected
from router.ledger.layout import prepare
from router.ledger.posting import Batch, Poster, Shadow

DAY = 86_400
BEGIN = 20_000 * DAY + 60  # seconds since 1970
LARGE_PRICE, MINI_PRICE = (2_000, 8_000), (200, 800)  # nano-USD a token in and out


@dataclass(frozen=True)
class Logged:
    """One request as it went.

    Attributes:
        at: seconds after `BEGIN`.
        tier: who answered; the decided one where `decided` is None.
        tokens: in and out.
        shadow: tokens of a call to the other tier; None for none.
        kept: it was answered from the cache.
    """

    number: int
    at: float
    tier: Tier
    tokens: tuple[int, int]
    score: float | None = 0.5
    user: str = ""
    tenant: str = "acme"
    shadow: tuple[int, int] | None = None
    shadow_error: str = ""
    sampled: float = 0.02
    decided: Tier | None = None
    reason: str = "score"
    threshold: float | None = 0.5
    policy: str = "threshold@0.5/large"
    propensity: float = 1.0
    inputs: str = ""
    config: str = ""
    kept: bool = False
    prefix_cached: int = 0
    escalated: int | None = None
    first_byte: float | None = None
    labels: tuple[float, float] | None = None
    rating: float | None = None
    outcome: Outcome = Outcome.ANSWERED
    priced: bool = True

    @property
    def id(self) -> str:
        """Return an id like ours."""
        return f"req_{int((BEGIN + self.at) * 1000):012x}{'a' * 10}{self.number:010x}"


def price_of(tier: Tier, tokens: tuple[int, int]) -> int:
    """Return nano-USD."""
    price = LARGE_PRICE if tier is Tier.LARGE else MINI_PRICE
    return sum(count * each for count, each in zip(tokens, price, strict=True))


def write_ledger(path: Path, logged: Iterable[Logged], *, at_once: int = 2_000) -> Path:
    """Write requests into a new ledger, many in a transaction."""
    with closing(connected(path)) as connection:
        prepare(connection)
        poster = Poster(SqliteEngine(connection))
        gathered: list[Logged] = []
        for one in logged:
            gathered.append(one)
            if len(gathered) == at_once:
                poster.post(_batch(gathered))
                gathered = []
        poster.post(_batch(gathered))
    return path


def _batch(logged: list[Logged]) -> Batch:
    return Batch(
        intents=[_intent(one) for one in logged],
        records=[_record(one) for one in logged],
        shadows=[
            Shadow(one.id, _attempt("shadow", one.tier.other, one.shadow or (0, 0), error=one.shadow_error))
            for one in logged
            if one.shadow is not None or one.shadow_error
        ],
        labels=[_label(one, one.labels) for one in logged if one.labels is not None],
        ratings=[
            Rating(one.id, one.tenant, BEGIN + one.at + 60, one.rating, None)
            for one in logged
            if one.rating is not None
        ],
    )


def _intent(one: Logged) -> Intent:
    score = None if one.score is None or one.kept else Score(one.score, "linear@1")
    decision = Decision(
        one.decided or one.tier,
        "kept" if one.kept else one.reason,
        score,
        one.threshold if score else None,
        one.policy,
        propensity=one.propensity,
    )
    return Intent(
        id=one.id,
        caller_id="",
        tenant=one.tenant,
        model="auto",
        stream=one.first_byte is not None,
        started=BEGIN + one.at,
        decision=decision,
        user=one.user,
        sampled=0.0 if score is None else one.sampled,
        inputs=one.inputs,
        config=one.config,
    )


def _record(one: Logged) -> Record:
    attempts = [] if one.kept else [_attempt("primary", one.tier, one.tokens, cached=one.prefix_cached)]
    if one.escalated is not None:
        attempts.insert(0, _attempt("escalation", Tier.MINI, (one.tokens[0], one.escalated)))
    if not one.priced:
        attempts = [_unpriced(attempt) for attempt in attempts]
    return Record(
        id=one.id,
        outcome=Outcome.KEPT if one.kept else one.outcome,
        status=200,
        attempts=tuple(attempts),
        first_byte=one.first_byte,
        duration=1.0,
        baseline=price_of(Tier.LARGE, one.tokens) if one.priced else None,
    )


def _attempt(kind: str, tier: Tier, tokens: tuple[int, int], *, cached: int = 0, error: str = "") -> Attempt:
    usage = None if error else Usage(tokens[0] - cached, cached or None, tokens[1])
    cost = None if error else price_of(tier, tokens)
    return Attempt(kind, tier, f"the-{tier}", "one", usage, cost, "1", error)


def _unpriced(attempt: Attempt) -> Attempt:
    return Attempt(attempt.kind, attempt.tier, attempt.model, attempt.replica, attempt.usage, None, "")


def _label(one: Logged, scores: tuple[float, float]) -> Label:
    return Label(
        id=one.id,
        tenant=one.tenant,
        made=BEGIN + one.at + 5,
        prompt=None,
        answered=one.tier,
        strong_score=scores[0],
        weak_score=scores[1],
        score=0.5 if one.score is None else one.score,
        scorer="linear@1",
        threshold=one.threshold,
        propensity=one.sampled,
        grader="agreement@1",
    )
