"""Ledger -> the sums and the shadow calls that a saving is worked out from, read-only, on either engine.

Everything but the shadow calls comes out of the cubes: a day's sums for each user, the days' totals, and how many
answers each hour had. Users are put together by the first digits of their digest, so that a reading is short however
many there are; such groups are as independent of each other as users are. Knows the tables; what it all means is for
`router.insight.savings` to say.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from router.base import Tier
from router.ledger.place import LedgerPlace, Reading, reading
from router.ledger.retention import RAW

DAY: Final = 86_400
HOURS: Final = 24
DIGITS: Final = 3  # of a user's digest: at most 4,096 groups of a tenant's users

_ROUTED: Final = "decided IN ('large', 'mini')"  # vectors come of no tier
_DAYS: Final = "day >= :first AND day < :after"

_SPAN: Final = f"""
SELECT min(bucket) AS first, max(bucket) + 1 AS after FROM totals WHERE width = {DAY} AND {_ROUTED}
"""  # noqa: S608 - of constants
_GROUPS: Final = f"""
SELECT tenant, substr(unit, 1, {DIGITS}) AS part, sum(cost) AS cost, sum(large_cost) AS large,
    sum(rest_known) AS rest, sum(rest_input) AS input, sum(rest_output) AS output, sum(rest_scored) AS scored,
    sum(rest_score) AS score
FROM units WHERE {_DAYS} GROUP BY tenant, part ORDER BY tenant, part
"""  # noqa: S608 - likewise
_PARTS: Final = f"""
SELECT source, decided, outcome, sum(requests) AS requests, sum(cost) AS cost, sum(baseline) AS baseline,
    sum(unpriced) AS unpriced, sum(learning) AS learning, sum(overhead_cost) AS overhead,
    sum(prefix_saved) AS prefix_saved
FROM totals WHERE width = {DAY} AND bucket >= :first AND bucket < :after AND {_ROUTED}
GROUP BY source, decided, outcome ORDER BY source, decided, outcome
"""  # noqa: S608 - likewise
_ANSWERED: Final = f"""
SELECT bucket, sum(requests) AS requests FROM totals
WHERE width = 3600 AND bucket >= :first * {HOURS} AND bucket < :after * {HOURS} AND {_ROUTED}
    AND source = 'mini' AND outcome = 'answered'
GROUP BY bucket ORDER BY bucket
"""  # noqa: S608 - likewise

# Of ids that begin with a time, and of the few attempts that were made after a request.
_SHADOWS: Final = f"""
SELECT r.tenant, substr(r.unit, 1, {DIGITS}) AS part, r.hour, r.source, r.outcome, r.sampled, r.score, s.kind, s.tier,
    s.cost, s.error, s.usage_source,
    (SELECT a.fresh_input + coalesce(a.cached_input, 0) + a.cache_write + a.cache_write_1h + a.audio_input
        + a.image_input FROM attempts a WHERE a.request_id = r.id AND a.position < 1000
        AND a.kind IN ('primary', 'failover') AND a.error = '' ORDER BY a.position DESC LIMIT 1) AS input,
    (SELECT a.output + a.reasoning + a.audio_output + a.image_output FROM attempts a
        WHERE a.request_id = r.id AND a.position < 1000 AND a.kind IN ('primary', 'failover') AND a.error = ''
        ORDER BY a.position DESC LIMIT 1) AS output
FROM attempts s JOIN requests r ON r.id = s.request_id
WHERE s.position >= 1000 AND r.{_DAYS.replace(" day", " r.day")} AND r.outcome IS NOT NULL
    AND r.tier IN ('large', 'mini')
ORDER BY s.request_id, s.position
"""  # noqa: S608 - likewise

# A reply is known by its tokens' price: two that have the same one are taken for one, which only widens intervals.
_KEPT: Final = f"""
SELECT sum(whole * whole) AS squares, sum(whole) AS whole FROM (
    SELECT CAST(sum(baseline) AS DOUBLE PRECISION) AS whole FROM requests
    WHERE source = 'cache' AND tier = 'mini' AND {_DAYS} AND baseline IS NOT NULL GROUP BY tenant, baseline
) AS kept
"""  # noqa: S608 - likewise


class Group(NamedTuple):
    """Sums over some of a tenant's users; money in nano-USD.

    Attributes:
        part: first digits of their digest.
        cost: of all attempts but those for learning.
        large: what the attempts took that answered from Large.
        rest, input, output: answers of Mini whose tokens are known, and their tokens.
        scored, score: answers of Mini with a score, and the sum of it.
    """

    tenant: str
    part: str
    cost: int
    large: int
    rest: int
    input: int
    output: int
    scored: int
    score: float


class Part(NamedTuple):
    """Requests that came from one source, were decided one way and ended one way; as in `router.ledger.tables`."""

    source: str
    decided: str
    outcome: str
    requests: int
    cost: int
    baseline: int
    unpriced: int
    learning: int
    overhead: int
    prefix_saved: int


class Shadow(NamedTuple):
    """A call after a request, for learning.

    Attributes:
        hour: of the request, since 1970.
        source, outcome: of the request.
        sampled: probability with which it was drawn.
        score: None where it had none.
        kind, tier, cost, error, usage_source: of the call; the cost is in nano-USD, None where it is unknown.
        input, output: tokens of the answer that the caller got; None where nobody told them.
    """

    tenant: str
    part: str
    hour: int
    source: str
    outcome: str
    sampled: float
    score: float | None
    kind: str
    tier: str
    cost: int | None
    error: str
    usage_source: str
    input: int | None
    output: int | None

    @property
    def tells_of_large(self) -> bool:
        """Tell whether it says what Large would have taken for an answer that Mini gave."""
        return self.kind == "shadow" and self.tier == Tier.LARGE.value and self.source == Tier.MINI.value


class Found(NamedTuple):
    """What the ledger holds of some days.

    Attributes:
        first, after: days since 1970, in UTC; the latter is the first that is no part of it.
        hours: answers of Mini by the hour since 1970, in order; hours without any are left out.
        kept_alike: probability that two nano-USD of what Mini's kept replies are worth are of one reply.
    """

    first: int
    after: int
    groups: tuple[Group, ...]
    parts: tuple[Part, ...]
    hours: tuple[tuple[int, int], ...]
    shadows: tuple[Shadow, ...]
    kept_alike: float = 0.0


def read_savings(
    ledger: LedgerPlace | Path, *, since: float, until: float, within: float | None = None
) -> Found | None:
    """Return what a ledger holds of the days that a span touches; None where that is no request.

    Days before the oldest request, and those whose rows have been erased, are left out: sums without their shadow calls
    say nothing of a saving.

    Args:
        since, until: seconds since 1970; infinite ones stand for the ledger's own.
        within: seconds after which the reading is given up.

    Raises:
        LedgerUnreadable: it cannot be reached, is no ledger, or cannot be read in time.
    """
    with reading(ledger, within=within) as opened:
        held = opened.one(_SPAN)
        if held is None or held["first"] is None:
            return None
        first = max(held["first"], _day(since, held["first"]), _first_raw(opened))
        after = min(held["after"], _day(until - 1e-6, held["after"] - 1) + 1)
        if first >= after:
            return None
        days = {"first": first, "after": after}
        return Found(
            first,
            after,
            tuple(Group(**row) for row in opened.rows(_GROUPS, **days)),
            tuple(Part(**row) for row in opened.rows(_PARTS, **days)),
            tuple((row["bucket"], row["requests"]) for row in opened.rows(_ANSWERED, **days)),
            tuple(Shadow(**row) for row in opened.rows(_SHADOWS, **days)),
            _alike(opened.one(_KEPT, **days)),
        )


def _alike(kept: Mapping[str, Any] | None) -> float:
    if kept is None or not kept["whole"]:
        return 0.0
    return float(kept["squares"]) / float(kept["whole"]) ** 2


def _day(seconds: float, otherwise: int) -> int:
    return otherwise if seconds in (float("-inf"), float("inf")) else int(seconds // DAY)


def _first_raw(opened: Reading) -> int:
    """Return the first day whose rows are all there; 0 where none have been erased."""
    row = opened.one("SELECT value FROM marks WHERE name = :name", name=RAW)
    return 0 if row is None else int(-(-float(row["value"]) // DAY))
