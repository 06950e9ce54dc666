"""Ledger -> requests as they were decided, with what came of them, oldest first, on either engine.

Read in one go and given one by one, so that a ledger of any size takes the same memory. Knows the tables; what is made
of a request is for `router.replaying` to say.
"""

from collections.abc import Iterator, Mapping
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, NamedTuple

from backends.base import Usage
from router.base import Tier
from router.ledger.place import LedgerPlace, LedgerUnreadable, reading
from router.ledger.rows import AFTERWARDS
from router.ledger.versions import MARK, REVISION
from router.model_names import EMBEDDINGS

_REQUESTS: Final = """
SELECT r.id, r.tenant, r.unit, r.started, r.hour, r.stream, r.tier, r.reason, r.score, r.scorer, r.threshold, r.policy,
    r.propensity, r.verify, r.stay_cost, r.switch_cost, r.experiment, r.arm, r.sampled, r.inputs, r.config, r.outcome,
    r.source, r.first_byte, r.cost AS spent, r.baseline, r.duration, r.overhead, r.finish, r.p_wrong, r.cache,
    r.reply_key, l.strong_score, l.weak_score, g.score AS rating,
    s.is_repetitive + s.is_empty + s.is_truncated + s.is_refusal + s.failed_checks AS flaws, s.tier AS assessed,
    a.kind, a.tier AS by, a.error, a.cost, a.fresh_input, a.cached_input, a.output, a.cache_write, a.cache_write_1h,
    a.audio_input, a.image_input, a.reasoning, a.audio_output, a.image_output, a.service_tier, a.usage_source
FROM requests r
    LEFT JOIN attempts a ON a.request_id = r.id AND (a.position < :afterwards OR a.kind = 'shadow')
    LEFT JOIN labels l ON l.request_id = r.id
    LEFT JOIN ratings g ON g.request_id = r.id
    LEFT JOIN assessments s ON s.request_id = r.id
WHERE r.started >= :since AND r.started < :until AND r.outcome IS NOT NULL AND r.tier IN ('large', 'mini')
ORDER BY r.id, a.position
"""
_USAGE: Final = (
    "fresh_input cached_input output cache_write cache_write_1h audio_input image_input reasoning audio_output"
    " image_output service_tier".split()
)
_MOST: Final = float(1 << 63)  # of what a ledger counts
_NEWEST: Final = 253_402_300_800.0  # the year 10,000, in seconds since 1970
_LIMITS: Final[Mapping[str, tuple[float, float]]] = {
    **dict.fromkeys("score propensity sampled p_wrong strong_score weak_score rating".split(), (0.0, 1.0)),
    **dict.fromkeys(("threshold", "verify"), (-_NEWEST, _NEWEST)),
    **dict.fromkeys("started first_byte duration overhead spent baseline flaws".split(), (0.0, _MOST)),
}
_COUNTS: Final = ("cost", *(name for name in _USAGE if name != "service_tier"))
_BY_ID: Final = itemgetter("id")


class LoggedCall(NamedTuple):
    """One attempt; fields as in `router.base.Attempt`.

    Attributes:
        tier: None of a model that makes vectors.
        told: who told the usage.
    """

    kind: str
    tier: Tier | None
    error: str
    cost: int | None
    usage: Usage | None
    told: str


class LoggedRequest(NamedTuple):
    """One request; fields as in `router.ledger.tables`.

    Attributes:
        tier: that was decided on.
        source: who answered: a tier, or "cache".
        spent: nano-USD of all attempts but those for learning; None where it is unknown.
        p_wrong: what verification said of Mini's reply; None where nothing was verified.
        cache: which kind of kept reply it got; "" for none.
        reply_key: "" where it could get none, or nobody said which.
        strong_score, weak_score: of its label; None where there is none.
        rating: what a person said, 0.0 to 1.0; None likewise.
        flaws: how many the reply was found to have; None where nobody looked.
        calls: that it needed, and shadow calls.
    """

    id: str
    tenant: str
    unit: str
    started: float
    hour: int
    is_stream: bool
    tier: Tier
    reason: str
    score: float | None
    scorer: str | None
    threshold: float | None
    policy: str
    propensity: float
    verify: float | None
    stay_cost: int | None
    switch_cost: int | None
    experiment: str
    arm: str
    sampled: float
    inputs: str
    config: str
    outcome: str
    source: str
    first_byte: float | None
    spent: int | None
    baseline: int | None
    duration: float | None
    overhead: float | None
    finish: str
    p_wrong: float | None
    cache: str
    reply_key: str
    strong_score: float | None
    weak_score: float | None
    rating: float | None
    flaws: int | None
    calls: tuple[LoggedCall, ...]


def iter_logged(
    ledger: LedgerPlace | Path, *, since: float = float("-inf"), until: float = float("inf")
) -> Iterator[LoggedRequest]:
    """Yield the requests that have ended, in the order of their ids.

    Args:
        since, until: of their beginning, seconds since 1970.

    Raises:
        LedgerUnreadable: it cannot be reached, is no ledger, is one of another version, or holds what cannot be.
    """
    with reading(ledger) as opened:
        try:
            held = opened.one(MARK)
        except Exception as error:
            if "alembic_version" not in str(error):  # each engine has its own error for a table that is not there
                raise
            held = None
        version = None if held is None else held["version"]
        if version != REVISION:
            known = "an older version" if version is None else f"version {version}"
            raise LedgerUnreadable(
                f"its layout is of {known}, and this program replays {REVISION}; bring it up to date with ./tandem"
                " ledger migrate"
            )
        rows = opened.rows(_REQUESTS, since=since, until=until, afterwards=AFTERWARDS)
        for identifier, attempts in groupby(rows, key=_BY_ID):
            try:
                logged = _request(list(attempts))
            except (TypeError, ValueError) as error:
                raise LedgerUnreadable(f"what it holds of request {identifier} is damaged: {error}") from error
            yield logged


def _request(rows: list[dict[str, Any]]) -> LoggedRequest:
    first = rows[0]
    for name, (least, most) in _LIMITS.items():
        value = first[name]
        if value is None:
            continue
        if not isinstance(value, (float, int)):
            raise TypeError(f"{name} is no number")
        if not least <= value <= most:
            raise ValueError(f"{name} is {value}, which it cannot be")
    if not first["propensity"]:
        raise ValueError("propensity is 0.0, and it came to be")
    if first["started"] >= _NEWEST:
        raise ValueError("started is no time")
    return LoggedRequest(
        first["id"],
        first["tenant"],
        first["unit"],
        first["started"],
        first["hour"],
        bool(first["stream"]),
        Tier(first["tier"]),
        first["reason"],
        first["score"],
        first["scorer"],
        first["threshold"],
        first["policy"],
        first["propensity"],
        first["verify"],
        first["stay_cost"],
        first["switch_cost"],
        first["experiment"],
        first["arm"],
        first["sampled"],
        first["inputs"],
        first["config"],
        first["outcome"],
        first["source"],
        first["first_byte"],
        first["spent"],
        first["baseline"],
        first["duration"],
        first["overhead"],
        first["finish"],
        first["p_wrong"],
        first["cache"],
        first["reply_key"],
        first["strong_score"],
        first["weak_score"],
        first["rating"],
        first["flaws"] if first["assessed"] == first["source"] else None,
        tuple(_call(row) for row in rows if row["kind"] is not None),
    )


def _call(row: dict[str, Any]) -> LoggedCall:
    for name in _COUNTS:
        value = row[name]
        if value is not None and not (isinstance(value, int) and value >= 0):
            raise TypeError(f"{name} of a call is {value!r:.40}, which it cannot be")
    told = row["fresh_input"] is not None and row["output"] is not None
    usage = Usage(**{name: row[name] for name in _USAGE}) if told else None
    tier = None if row["by"] == EMBEDDINGS else Tier(row["by"])
    return LoggedCall(row["kind"], tier, row["error"], row["cost"], usage, row["usage_source"])
