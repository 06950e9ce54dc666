"""Ledger -> counts of what replies looked like and of what users did, by who answered and by arm of an experiment.

Counts alone; shares and their intervals are for `router.quality.rates` to work out. Only answers that a backend gave
count: one from the cache was looked at when it was first given.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from router.ledger.place import Reading

_ANSWERED: Final = """
SELECT source AS tier, experiment, arm, count(*) AS answered FROM requests
WHERE started >= :since AND cache = '' AND outcome IN ('answered', 'broken') AND source IN ('large', 'mini')
GROUP BY source, experiment, arm
"""
_ASSESSED: Final = """
SELECT r.source AS tier, r.experiment AS experiment, r.arm AS arm, count(*) AS assessed,
    sum(a.is_empty) AS empty, sum(CASE WHEN a.is_empty = 0 THEN a.is_repetitive ELSE 0 END) AS repetitive,
    sum(a.is_truncated) AS truncated, sum(CASE WHEN a.finish = '' THEN 1 ELSE 0 END) AS incomplete,
    sum(a.is_refusal) AS refusal, sum(CASE WHEN a.checks > 0 THEN 1 ELSE 0 END) AS checked,
    sum(CASE WHEN a.failed_checks > 0 THEN 1 ELSE 0 END) AS failed_checks,
    sum(CASE WHEN a.is_empty = 0 AND a.repetition_written IS NOT NULL THEN 1 ELSE 0 END) AS thresholded,
    sum(CASE WHEN a.is_empty = 0 THEN coalesce(a.repetition_written, 0) ELSE 0 END) AS over_thresholds
FROM assessments a JOIN requests r ON r.id = a.request_id
WHERE r.started >= :since AND r.cache = '' AND r.outcome IN ('answered', 'broken')
GROUP BY r.source, r.experiment, r.arm
"""
_LOGPROBS: Final = """
SELECT r.source AS tier, r.experiment AS experiment, r.arm AS arm, r.unit AS unit, count(*) AS replies,
    sum(a.logprob) AS total
FROM assessments a JOIN requests r ON r.id = a.request_id
WHERE r.started >= :since AND r.cache = '' AND r.outcome IN ('answered', 'broken') AND a.logprob IS NOT NULL
GROUP BY r.source, r.experiment, r.arm, r.unit
"""
_TOLD: Final = """
SELECT r.source AS tier, r.experiment AS experiment, r.arm AS arm, s.kind AS kind, s.source AS teller,
    count(*) AS requests, sum(s.value) AS value, sum(s.repeats) AS repeats
FROM signals s JOIN requests r ON r.id = s.request_id WHERE r.started >= :since AND r.cache = ''
GROUP BY r.source, r.experiment, r.arm, s.kind, s.source
UNION ALL
SELECT r.source, r.experiment, r.arm, 'rating', 'user', count(*), sum(t.score), 0
FROM ratings t JOIN requests r ON r.id = t.request_id WHERE r.started >= :since AND r.cache = ''
GROUP BY r.source, r.experiment, r.arm
"""
# Two requests of one conversation ask the same where one and the same kept reply would do for both. Score and tokens do
# not tell: prompts that differ in a word have them in common. So of requests without a reply key nothing is known.
_ASKED_AGAIN: Final = """
WITH asked AS (
    SELECT source AS tier, experiment, arm, outcome, cache, started,
        lead(started) OVER (PARTITION BY tenant, conversation_hash, reply_key ORDER BY started, id) AS again
    FROM requests WHERE started >= :since AND conversation_hash <> '' AND reply_key <> ''
)
SELECT tier, experiment, arm, count(*) AS known, sum(CASE WHEN again - started <= :within THEN 1 ELSE 0 END) AS again
FROM asked WHERE outcome = 'answered' AND cache = '' AND tier IN ('large', 'mini') GROUP BY tier, experiment, arm
"""
_COMPARED: Final = """
SELECT a.request_id AS request, r.source AS tier, r.experiment AS experiment, r.arm AS arm, r.unit AS unit,
    a.agreement AS agreement, a.judge AS judge, s.value AS label
FROM assessments a JOIN requests r ON r.id = a.request_id
LEFT JOIN signals s ON s.request_id = a.request_id AND s.kind = 'label' AND s.source = 'human'
WHERE r.started >= :since AND a.agreement IS NOT NULL ORDER BY a.request_id
"""


@dataclass(frozen=True, slots=True)
class Group:
    """Whose counts they are: who answered, in which arm; ("", "") is outside of all experiments."""

    tier: str
    experiment: str
    arm: str


@dataclass(frozen=True, slots=True)
class Told:
    """Signals of one kind, or ratings, that a kind of teller has given.

    Attributes:
        kind: of the signal, or "rating".
        requests: that it was told of.
        value: sum over them.
        repeats: how often one took the place of an earlier one.
    """

    kind: str
    teller: str
    requests: int
    value: float
    repeats: int


@dataclass(slots=True)
class Counts:
    """Replies of one group.

    Attributes:
        answered: whole or broken, by a backend.
        assessed: of them.
        empty, truncated, refusal, incomplete: of the assessed; those that did not say why they ended count as
            truncated, too.
        repetitive: of the assessed that are not empty.
        thresholded, over_thresholds: likewise, those to which the usual thresholds were applied, and those over them.
        checked, failed_checks: of the assessed, those of which something could be verified, and was broken.
        logprobs: of each unit, how many assessed ones told log-probabilities, and the sum of their means.
        known, again: answers of which asking again could be seen, and those that were asked again soon.
        told: what users and others said.
    """

    answered: int = 0
    assessed: int = 0
    empty: int = 0
    repetitive: int = 0
    truncated: int = 0
    incomplete: int = 0
    refusal: int = 0
    checked: int = 0
    failed_checks: int = 0
    thresholded: int = 0
    over_thresholds: int = 0
    known: int = 0
    again: int = 0
    logprobs: dict[str, tuple[int, float]] = field(default_factory=dict)
    told: list[Told] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Compared:
    """One request of which both tiers' replies were compared.

    Attributes:
        unit: whose it was.
        agreement: 0.0 to 1.0, as the one who compared them says.
        judge: "name@version", and " inconsistent" where a judge's verdict changed with the order.
        label: of a person, in the same meaning; None where nobody gave one.
    """

    request: str
    group: Group
    unit: str
    agreement: float
    judge: str
    label: float | None


def read_counts(ledger: Reading, *, since: float, asked_again_within: float) -> dict[Group, Counts]:
    """Return the counts of requests that came from `since` on, seconds since 1970; `asked_again_within` in seconds."""
    found: dict[Group, Counts] = {}
    for statement, more in ((_ANSWERED, {}), (_ASSESSED, {}), (_ASKED_AGAIN, {"within": asked_again_within})):
        for row in ledger.rows(statement, since=max(since, 0.0), **more):
            counts = found.setdefault(_group(row), Counts())
            for name, value in row.items():
                setattr(counts, name, value)
    for row in ledger.rows(_LOGPROBS, since=max(since, 0.0)):
        found.setdefault(_group(row), Counts()).logprobs[row["unit"]] = row["replies"], row["total"]
    for row in ledger.rows(_TOLD, since=max(since, 0.0)):
        found.setdefault(_group(row), Counts()).told.append(Told(**row))
    return found


def iter_compared(ledger: Reading, *, since: float) -> Iterator[Compared]:
    """Yield the comparisons of requests that came from `since` on."""
    for row in ledger.rows(_COMPARED, since=max(since, 0.0)):
        yield Compared(group=_group(row), **row)


def _group(row: dict[str, Any]) -> Group:
    """Take the group out of a row."""
    return Group(row.pop("tier"), row.pop("experiment"), row.pop("arm"))
