"""Answer -> the headers that tell how it came about.

Values are numbers, names from the configuration, or a caller's id that was checked to be plain ASCII;
no text of a body ever reaches a header.
"""

from router.base import UNLIMITED, Tier
from router.endpoints.errors import Header
from router.endpoints.limit_headers import limit_headers
from router.ledger.money import usd
from router.pipeline import Answer

_JSON = [(b"content-type", b"application/json")]
_STREAM = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]


def answer_headers(answer: Answer, *, request_id: str, config: str) -> list[Header]:
    """Return the head of a 200 answer, content length aside."""
    decision = answer.decision
    reason = answer.verdict or ("failover" if answer.tier is not decision.tier else decision.reason)
    head = [
        *(_STREAM if answer.media_type.startswith("text/event-stream") else _JSON),
        (b"x-request-id", request_id.encode()),
        (b"x-tandem-tier", answer.tier.encode()),
        (b"x-tandem-model", answer.model.encode("latin-1", "replace")),
        (b"x-tandem-reason", reason.encode()),
        (b"x-tandem-policy", decision.policy.encode()),
        (b"x-tandem-cache", _cache_word(answer)),
        (b"x-tandem-overhead-ms", b"%.3f" % (answer.overhead * 1e3)),
        (b"x-tandem-config", config.encode()),
    ]
    if answer.tier is not decision.tier:
        head.append(
            (b"x-tandem-degraded" if answer.tier is Tier.MINI else b"x-tandem-stood-in", decision.tier.encode())
        )
    if decision.score is not None:
        head.append((b"x-tandem-score", b"%.4f" % decision.score.value))
    if decision.threshold is not None:
        head.append((b"x-tandem-threshold", b"%.4f" % decision.threshold))
    if answer.p_wrong is not None:
        head.append((b"x-tandem-verify", b"%.4f" % answer.p_wrong))
    if answer.similarity is not None:
        head.append((b"x-tandem-similarity", b"%.4f" % answer.similarity))
    if answer.cost is not None:
        head.append((b"x-tandem-cost-usd", usd(answer.cost).encode()))
    if answer.remaining is not UNLIMITED:
        head += limit_headers(answer.remaining)
    if answer.baseline is not None:
        head.append((b"x-tandem-baseline-usd", usd(answer.baseline).encode()))
    return head


def _cache_word(answer: Answer) -> bytes:
    if not answer.kept:
        return b"miss"
    return b"hit" if answer.similarity is None else b"semantic"
