"""Requests as they end -> sums, gathered for a batch and written in its transaction.

    totals     how many, how much and how the replies looked, by tenant, who answered, outcome, experiment and arm
    spreads    how long things took, in bins that are 1 % wide
    units      sums of a day for each user, conversation or whatever an experiment assigns

What is added is worked out here, in whole numbers wherever it can be, so that the sum of rows and the sum of sums are
equal to the nano-USD. The meaning of each column stands in `tables.py`.
"""

from collections.abc import Iterable, Iterator
from operator import add
from typing import Final, NamedTuple

from msgspec import Struct
from msgspec.structs import astuple

from router.base import Attempt, Outcome, Record, Tier
from router.ledger.bins import bin_of
from router.ledger.engines.base import Engine, Row, Shape

MINUTE: Final = 60
HOUR: Final = 3_600
QUARTER: Final = 21_600  # of a day: what a week is shown by
DAY: Final = 86_400
WIDTHS: Final = (MINUTE, HOUR, QUARTER, DAY)

CACHE: Final = "cache"
FIRST_TOKEN: Final = "first_token"  # noqa: S105 - a time
OVERHEAD: Final = "overhead"
COARSE: Final = 5  # bins of an overhead: it is spread wide, and 2.5 % are exact enough for what takes a millisecond


class Totalled(Struct):
    """The sums of one row of totals."""

    requests: int = 0
    moved: int = 0
    cost: int = 0
    unpriced: int = 0
    priced_cost: int = 0
    baseline: int = 0
    learning: int = 0
    overhead_cost: int = 0
    prefix_saved: int = 0
    cache_avoided: int = 0
    estimated_usage: int = 0
    contradictory: int = 0
    held: int = 0
    assessed: int = 0
    repetitive: int = 0
    refused: int = 0
    empty: int = 0
    truncated: int = 0


class OfUnit(Struct):
    """The sums of one row of units."""

    requests: int = 0
    answered: int = 0
    failed: int = 0
    cost: int = 0
    cost_sq: float = 0.0
    baseline: int = 0
    large_n: int = 0
    large_cost: int = 0
    rest_n: int = 0
    rest_known: int = 0
    rest_input: int = 0
    rest_output: int = 0
    rest_scored: int = 0
    rest_score: float = 0.0
    assessed: int = 0
    repetitive: int = 0
    refused: int = 0
    empty: int = 0
    truncated: int = 0
    overhead_sum: float = 0.0
    overhead_n: int = 0


_TOTAL_KEYS: Final = tuple("width bucket tenant source decided outcome experiment arm cache model".split())
_UNIT_KEYS: Final = tuple("day tenant unit experiment arm".split())

TOTALS: Final = Shape("totals", _TOTAL_KEYS + Totalled.__struct_fields__, len(_TOTAL_KEYS), "add")
SPREADS: Final = Shape("spreads", tuple("width bucket source kind bin n".split()), 5, "add")
UNITS: Final = Shape("units", _UNIT_KEYS + OfUnit.__struct_fields__, len(_UNIT_KEYS), "add")

_ANSWERS: Final = ("primary", "failover")
_EXTRA: Final = frozenset({"escalation", "judge", "retried", "hedge_loser", "classifier", "guardrail"})
_COSTLESS: Final = frozenset({Outcome.FAILED.value, Outcome.REJECTED.value})  # these need not have run up a cost
_LARGE: Final = Tier.LARGE.value
TIERS: Final = frozenset(tier.value for tier in Tier)  # vectors come of none, and say nothing of routing
_ANSWERED: Final = frozenset({Outcome.ANSWERED.value, Outcome.KEPT.value})
_FAILED: Final = frozenset({Outcome.FAILED.value, Outcome.BROKEN.value})

_TotalKey = tuple[int, str, str, str, str, str, str, str, str]
_SpreadKey = tuple[int, str, str, int]
_UnitKey = tuple[int, str, str, str, str]


class Facts(Struct, frozen=True, gc=False):
    """What sums need of a request that is known before it ends.

    Attributes:
        tier: that was decided on.
        minute: since 1970.
        unit: who it counts for.
    """

    tenant: str
    tier: str
    experiment: str
    arm: str
    minute: int
    unit: str
    score: float | None
    stream: bool
    reserved: int


class Ended(Struct, frozen=True, gc=False):
    """What sums need of how a request ended.

    Attributes:
        source: who answered; where nobody did, the tier that was decided on.
        served: the model that answered; "" where none did.
        moved: 1 where a second tier was tried.
        extra: nano-USD of attempts that answered nobody.
        saved: nano-USD by cached input.
        estimated, contradictory: attempts.
        answer_cost, answer_input, answer_output: of the attempt that answered; None where that is not known.
    """

    outcome: str
    cost: int | None
    baseline: int | None
    cache: str
    source: str
    served: str
    moved: int
    first_byte: float | None = None
    overhead: float | None = None
    extra: int = 0
    saved: int = 0
    estimated: int = 0
    contradictory: int = 0
    answer_cost: int | None = None
    answer_input: int | None = None
    answer_output: int | None = None


class Signs(NamedTuple):
    """What sums need of an assessment, 0 or 1 each."""

    repetitive: int
    refused: int
    empty: int
    truncated: int


class Afterwards(NamedTuple):
    """What sums need of attempts that were made after a request, for learning."""

    learning: int = 0
    estimated: int = 0
    contradictory: int = 0


_NO_SIGNS: Final = Signs(0, 0, 0, 0)


def ended_of(facts: Facts, record: Record, *, cost: int | None) -> Ended:
    """Return how a request ended.

    Args:
        cost: of all its attempts; None where it is unknown.
    """
    answer: Attempt | None = None
    moved = extra = saved = estimated = contradictory = 0
    for attempt in record.attempts:
        kind = attempt.kind
        saved += attempt.prefix_saved
        if kind in _ANSWERS:
            if kind == "failover":
                moved = 1
            if not attempt.error:
                answer = attempt
        elif kind in _EXTRA:
            extra += attempt.cost or 0
        if attempt.usage_source:
            estimated += attempt.usage_source == "tokenizer"
            contradictory += attempt.usage_source == "contradictory"
    outcome = str(record.outcome)
    usage = None if answer is None else answer.usage
    if outcome == "kept":
        source, served = CACHE, ""
    elif answer is None:
        source, served = facts.tier, ""
    else:
        source, served = str(answer.tier), answer.model
    return Ended(
        outcome,
        cost,
        record.baseline,
        record.cache,
        source,
        served,
        moved,
        record.first_byte,
        record.overhead,
        extra,
        saved,
        estimated,
        contradictory,
        None if answer is None else answer.cost,
        None if usage is None else usage.total_input,
        None if usage is None else usage.total_output,
    )


def interrupted(facts: Facts) -> Ended:
    """Return how a request ended that nobody will settle any more."""
    return Ended(Outcome.INTERRUPTED.value, None, None, "", facts.tier, "", 0)


class Deltas:
    """What a batch adds to the cubes."""

    def __init__(self) -> None:
        self._totals: dict[_TotalKey, Totalled] = {}
        self._spreads: dict[_SpreadKey, int] = {}
        self._units: dict[_UnitKey, OfUnit] = {}

    def settle(self, facts: Facts, ended: Ended) -> None:
        """Add a request."""
        self._add_to_totals(facts, ended)
        minute, spreads = facts.minute, self._spreads
        if facts.stream and ended.first_byte is not None and ended.outcome in _ANSWERED:
            # The first byte of an answer that is not streamed is its last as well: it says nothing of a first token.
            first = (minute, ended.source, FIRST_TOKEN, bin_of(ended.first_byte))
            spreads[first] = spreads.get(first, 0) + 1
        if ended.overhead is not None:
            own = (minute, ended.source, OVERHEAD, bin_of(ended.overhead, together=COARSE))
            spreads[own] = spreads.get(own, 0) + 1
        if facts.tier in TIERS:
            self._add_to_units(facts, ended)

    def learn(self, facts: Facts, ended: Ended, after: Afterwards) -> None:
        """Add what attempts after a request, which was added before, have cost."""
        total = self._total_of(facts, ended)
        total.learning += after.learning
        total.estimated_usage += after.estimated
        total.contradictory += after.contradictory

    def assess(self, facts: Facts, ended: Ended, signs: Signs, before: Signs | None = None) -> None:
        """Add an assessment of a request that was added before; `before` is the one whose place it takes."""
        earlier = before or _NO_SIGNS
        for sums in (self._total_of(facts, ended), self._unit_of(facts)):
            sums.assessed += before is None
            sums.repetitive += signs.repetitive - earlier.repetitive
            sums.refused += signs.refused - earlier.refused
            sums.empty += signs.empty - earlier.empty
            sums.truncated += signs.truncated - earlier.truncated

    def write(self, engine: Engine) -> None:
        """Write all of it; the transaction is the caller's."""
        for shape, rows in self.rows():
            if rows:
                engine.insert(shape, rows)

    def rows(self) -> Iterator[tuple[Shape, list[Row]]]:
        """Yield the rows of each cube."""
        yield TOTALS, self._wide_totals()
        yield SPREADS, self._wide_spreads()
        yield UNITS, [key + astuple(unit) for key, unit in self._units.items()]

    def _wide_totals(self) -> list[Row]:
        widened: dict[Row, Row] = {}
        for (minute, *rest), total in self._totals.items():
            sums = astuple(total)
            for width, bucket in zip(WIDTHS, _buckets_of(minute), strict=True):
                key = (width, bucket, *rest)
                known = widened.get(key)
                widened[key] = sums if known is None else tuple(map(add, known, sums))
        return [key + sums for key, sums in widened.items()]

    def _wide_spreads(self) -> list[Row]:
        counts: dict[Row, int] = {}
        for (minute, source, kind, bin_), n in self._spreads.items():
            for width, bucket in zip(WIDTHS, _buckets_of(minute), strict=True):
                if kind == OVERHEAD and width != HOUR:  # every request has one: by the hour is often enough
                    continue
                key = (width, bucket, source, kind, bin_)
                counts[key] = counts.get(key, 0) + n
        return [(*key, n) for key, n in counts.items()]

    def _add_to_totals(self, facts: Facts, ended: Ended) -> None:
        cost, baseline = ended.cost, ended.baseline
        total = self._total_of(facts, ended)
        total.requests += 1
        total.moved += ended.moved
        if cost is None:
            total.held += facts.reserved
        else:
            total.cost += cost
            if baseline is not None:
                total.priced_cost += cost
                total.baseline += baseline
        if (cost is None or baseline is None) and ended.outcome not in _COSTLESS:
            total.unpriced += 1
        if ended.source == CACHE:
            total.cache_avoided += baseline or 0
        total.overhead_cost += ended.extra
        total.prefix_saved += ended.saved
        total.estimated_usage += ended.estimated
        total.contradictory += ended.contradictory

    def _add_to_units(self, facts: Facts, ended: Ended) -> None:
        cost, outcome, unit = ended.cost, ended.outcome, self._unit_of(facts)
        unit.requests += 1
        if cost is not None:
            unit.cost += cost
            unit.cost_sq += float(cost) * cost
            unit.baseline += ended.baseline or 0
        if outcome in _ANSWERED:
            unit.answered += 1
            if ended.source == _LARGE:
                if ended.answer_cost is not None:
                    unit.large_n += 1
                    unit.large_cost += ended.answer_cost
            else:
                unit.rest_n += 1
                if ended.answer_input is not None:
                    unit.rest_known += 1
                    unit.rest_input += ended.answer_input
                    unit.rest_output += ended.answer_output or 0
                if facts.score is not None:
                    unit.rest_scored += 1
                    unit.rest_score += facts.score
        elif outcome in _FAILED:
            unit.failed += 1
        if ended.overhead is not None:
            unit.overhead_sum += ended.overhead
            unit.overhead_n += 1

    def _total_of(self, facts: Facts, ended: Ended) -> Totalled:
        key = (
            facts.minute,
            facts.tenant,
            ended.source,
            facts.tier,
            ended.outcome,
            facts.experiment,
            facts.arm,
            ended.cache,
            ended.served,
        )
        total = self._totals.get(key)
        if total is None:
            total = self._totals[key] = Totalled()
        return total

    def _unit_of(self, facts: Facts) -> OfUnit:
        key = (facts.minute // 1_440, facts.tenant, facts.unit, facts.experiment, facts.arm)
        unit = self._units.get(key)
        if unit is None:
            unit = self._units[key] = OfUnit()
        return unit


def afterwards_of(attempts: Iterable[tuple[int | None, str]]) -> Afterwards:
    """Return the sums of attempts, each as its cost and the source of its usage."""
    learning = estimated = contradictory = 0
    for cost, usage_source in attempts:
        learning += cost or 0
        estimated += usage_source == "tokenizer"
        contradictory += usage_source == "contradictory"
    return Afterwards(learning, estimated, contradictory)


def _buckets_of(minute: int) -> tuple[int, int, int, int]:
    """Return the buckets of a minute, in the order of `WIDTHS`."""
    return minute, minute // 60, minute // 360, minute // 1_440
