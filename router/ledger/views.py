"""What a look into the ledger shows: totals, percentiles, lines. No I/O."""

from dataclasses import dataclass
from enum import StrEnum

from router.base import Outcome
from router.ledger.assessed import Assessed


class Source(StrEnum):
    """Where an answer came from."""

    LARGE = "large"
    MINI = "mini"
    CACHE = "cache"


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of wall time cut into equal buckets.

    Attributes:
        start: seconds since 1970, where the first bucket begins; a multiple of the width.
        width: seconds in a bucket, whole minutes.
        buckets: how many.
        now: seconds since 1970, inside the last bucket.
    """

    start: float
    width: float
    buckets: int
    now: float

    @property
    def length(self) -> float:
        """Seconds from the first bucket's start to the last one's end."""
        return self.width * self.buckets


@dataclass(frozen=True, slots=True)
class Total:
    """Requests of one bucket that came from one source and ended in one way.

    Attributes:
        bucket: 0 for the window's first.
        source: who answered; where nobody did, the tier that was decided on.
        outcome: None while they are open.
        requests: how many.
        moved: how many of them tried a second tier.
        cost: nano-USD of those whose cost is known.
        unpriced: how many lack their cost or their baseline.
        priced_cost: nano-USD of those that have both.
        baseline: nano-USD that the same ones would have cost on Large.
        learning: nano-USD of their shadow calls, which are no part of `cost`; those of unknown cost are left out.
        overhead: nano-USD, a part of `cost`, of attempts whose reply was not what the caller got.
        prefix_saved: nano-USD that tokens which a backend had cached would have cost more, had they been computed.
        cache_avoided: nano-USD, a part of `baseline`, of those that were answered from the cache.
        estimated: attempts whose usage was estimated.
        contradictory: attempts whose usage cannot be as it was told.
    """

    bucket: int
    source: Source
    outcome: Outcome | None
    requests: int
    moved: int
    cost: int
    unpriced: int
    priced_cost: int
    baseline: int
    learning: int = 0
    overhead: int = 0
    prefix_saved: int = 0
    cache_avoided: int = 0
    estimated: int = 0
    contradictory: int = 0


@dataclass(frozen=True, slots=True)
class Spread:
    """First-token times of streamed answers, seconds, by nearest rank.

    Each is the middle of a bin that is 1 % wide, and so wrong by half a per cent at most.

    Attributes:
        bucket: None for the whole window.
        source: None for all of them together.
        answers: how many the percentiles rest on.
    """

    bucket: int | None
    source: Source | None
    answers: int
    p50: float
    p95: float


@dataclass(frozen=True, slots=True)
class Line:
    """One request as a list shows it; fields as in `router.base`, `source` as in `Total`."""

    id: str
    tenant: str
    model: str
    stream: bool
    started: float
    source: Source
    decided: str
    reason: str
    score: float | None
    threshold: float | None
    scorer: str | None
    policy: str
    moved: bool
    outcome: Outcome | None
    status: int | None
    first_byte: float | None
    duration: float | None
    cost: int | None
    error: str
    verify: float | None = None
    p_wrong: float | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What one look into the ledger shows, all of it from the same moment.

    Attributes:
        begun: when the oldest request came, seconds since 1970, or the day began on which it came where that is all
            that is still known; None while there is none.
        totals: of the window.
        earlier: the same for as long a time just before it, each in bucket 0; None where sums of it have been erased.
        spreads: by bucket and source, by bucket, by source, and of all.
        earlier_spread: of all, for the time before; None where nothing was streamed.
        latest: newest first.
        costs: nano-USD of the window's requests by the model that answered them.
        assessed: what the window's replies looked like.
    """

    begun: float | None
    totals: tuple[Total, ...]
    earlier: tuple[Total, ...] | None
    spreads: tuple[Spread, ...]
    earlier_spread: Spread | None
    latest: tuple[Line, ...]
    costs: dict[str, int]
    assessed: Assessed
