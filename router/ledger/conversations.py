"""Ledger -> conversations since a moment: when they began and ended, what was scored first, what users did.

Only what has a conversation's digest counts. A conversation is of the arm and of the class that its beginning had,
whatever came later. Knows tables; what makes a conversation resolved is for `router.quality.resolution` to say.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from router.ledger.place import Reading

_REQUESTS: Final = """
SELECT r.tenant AS tenant, r.conversation_hash AS conversation, r.started AS started, r.score AS score,
    r.experiment AS experiment, r.arm AS arm, r.source AS source
FROM requests r JOIN (
    SELECT tenant, conversation_hash FROM requests
    WHERE conversation_hash <> '' AND tenant = coalesce(:tenant, tenant)
    GROUP BY tenant, conversation_hash HAVING min(started) >= :since AND min(started) < :until
) begun ON begun.tenant = r.tenant AND begun.conversation_hash = r.conversation_hash
ORDER BY r.tenant, r.conversation_hash, r.started, r.id
"""
_SIGNALS: Final = """
SELECT r.tenant AS tenant, r.conversation_hash AS conversation, s.kind AS kind, s.given AS given, s.value AS value
FROM signals s JOIN requests r ON r.id = s.request_id
WHERE r.conversation_hash <> '' AND s.kind IN ('escalate', 'reopen', 'resolved', 'abandon')
    AND s.given >= :since AND r.tenant = coalesce(:tenant, r.tenant)
ORDER BY s.given
"""
_WHOSE: Final = itemgetter("tenant", "conversation")


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that a user did; `kind` and `value` as in `router.base.Signal`, `given` in seconds since 1970."""

    kind: str
    given: float
    value: float


@dataclass(frozen=True, slots=True)
class Conversation:
    """One conversation of a tenant.

    Attributes:
        key: its digest.
        experiment, arm: of its first request.
        score: the first that was logged in it, before that request was routed; None where none was.
        began, latest: of its first and its latest request, seconds since 1970.
        requests: how many.
        starts: when each of them began, in order.
        happenings: in order of time.
    """

    tenant: str
    key: str
    experiment: str
    arm: str
    score: float | None
    began: float
    latest: float
    requests: int
    starts: tuple[float, ...] = ()
    happenings: tuple[Happening, ...] = field(default=())


def iter_conversations(
    ledger: Reading, *, since: float, until: float, tenant: str | None = None
) -> Iterator[Conversation]:
    """Yield conversations that began from `since` up to `until`, seconds since 1970, by tenant and digest.

    Args:
        tenant: None takes all of them.
    """
    span: dict[str, object] = {"since": max(since, 0.0), "tenant": tenant}
    happened: dict[tuple[str, str], list[Happening]] = {}
    for row in ledger.rows(_SIGNALS, **span):
        happened.setdefault(_WHOSE(row), []).append(Happening(row["kind"], row["given"], row["value"]))
    for whose, rows in groupby(ledger.rows(_REQUESTS, until=min(until, 1e12), **span), key=_WHOSE):
        yield _conversation(list(rows), tuple(happened.get(whose, ())))


def _conversation(rows: list[dict[str, Any]], happenings: tuple[Happening, ...]) -> Conversation:
    first, starts = rows[0], tuple(row["started"] for row in rows)
    return Conversation(
        tenant=first["tenant"],
        key=first["conversation"],
        experiment=first["experiment"],
        arm=first["arm"],
        score=next((row["score"] for row in rows if row["score"] is not None), None),
        began=starts[0],
        latest=starts[-1],
        requests=len(rows),
        starts=starts,
        happenings=happenings,
    )
