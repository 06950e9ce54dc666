"""Intents, records, shadow calls, labels, ratings -> statements and the rows that they take."""

from router.base import Attempt, Intent, Label, Rating, Record

Row = tuple[object, ...]

SHADOW_POSITION = 1_000
"""Of a request's one shadow call: behind all attempts that a request can make, whichever is written first."""

INSERT_INTENT = """
INSERT INTO requests (id, caller_id, tenant, model, stream, started, tier, reason, score, threshold, scorer,
                      policy, arm, propensity, verify, stay_cost, switch_cost, reserved)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
CLOSE = """
UPDATE requests SET outcome = ?, status = ?, first_byte = ?, duration = ?, cost = ?, baseline = ?, error = ?,
                    p_wrong = ?
WHERE id = ? AND outcome IS NULL
"""
INSERT_ATTEMPT = """
INSERT OR IGNORE INTO attempts SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12
WHERE EXISTS (SELECT 1 FROM requests WHERE id = ?1)
"""
PUT_SHADOW = INSERT_ATTEMPT.replace("OR IGNORE", "OR REPLACE")
INSERT_LABEL = "INSERT OR IGNORE INTO labels VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

# The id may be ours or the caller's own; of several requests under one of the caller's, the latest is meant.
RATE = """
INSERT INTO ratings SELECT id, tenant, ?3, ?4, ?5 FROM requests WHERE id = coalesce(
    (SELECT id FROM requests WHERE id = ?1 AND tenant = ?2),
    (SELECT id FROM requests WHERE caller_id = ?1 AND caller_id <> '' AND tenant = ?2 ORDER BY id DESC LIMIT 1))
ON CONFLICT (request_id) DO UPDATE SET given = excluded.given, score = excluded.score, comment = excluded.comment
RETURNING request_id
"""
FORGET = (
    """UPDATE labels SET prompt = NULL
    WHERE request_id IN (SELECT request_id FROM labels WHERE made < ? AND prompt IS NOT NULL LIMIT ?)""",
    """UPDATE ratings SET comment = NULL
    WHERE request_id IN (SELECT request_id FROM ratings WHERE given < ? AND comment IS NOT NULL LIMIT ?)""",
)


def intent_row(intent: Intent) -> Row:
    """Return what `INSERT_INTENT` takes: plain values alone, since sqlite3 asks any other one how to adapt it."""
    decision = intent.decision
    score = decision.score
    return (
        intent.id,
        intent.caller_id,
        intent.tenant,
        intent.model,
        intent.stream,
        intent.started,
        decision.tier.value,
        decision.reason,
        None if score is None else score.value,
        decision.threshold,
        None if score is None else score.source,
        decision.policy,
        decision.arm,
        decision.propensity,
        decision.verify,
        decision.stay_cost,
        decision.switch_cost,
        intent.reserved,
    )


def closing_row(record: Record) -> Row:
    """Return what `CLOSE` takes."""
    return (
        record.outcome.value,
        record.status,
        record.first_byte,
        record.duration,
        record.cost,
        record.baseline,
        record.error,
        record.p_wrong,
        record.id,
    )


def attempt_rows(record: Record) -> list[Row]:
    """Return what `INSERT_ATTEMPT` takes, for each attempt of a record."""
    return [attempt_row(record.id, position, attempt) for position, attempt in enumerate(record.attempts)]


def attempt_row(request_id: str, position: int, attempt: Attempt) -> Row:
    """Return what `INSERT_ATTEMPT` and `PUT_SHADOW` take."""
    return (
        request_id,
        position,
        attempt.kind,
        attempt.tier.value,
        attempt.model,
        attempt.replica,
        None if attempt.usage is None else attempt.usage.fresh_input,
        None if attempt.usage is None else attempt.usage.cached_input,
        None if attempt.usage is None else attempt.usage.output,
        attempt.cost,
        attempt.price_version,
        attempt.error,
    )


def label_row(label: Label) -> Row:
    """Return what `INSERT_LABEL` takes."""
    return (
        label.id,
        label.tenant,
        label.made,
        label.prompt,
        label.answered,
        label.strong_score,
        label.weak_score,
        label.score,
        label.scorer,
        label.threshold,
        label.propensity,
        label.grader,
    )


def rating_row(rating: Rating) -> Row:
    """Return what `RATE` takes."""
    return (rating.request_id, rating.tenant, rating.given, rating.score, rating.comment)
