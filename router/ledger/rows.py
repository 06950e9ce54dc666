"""What is handed over -> rows, and the shapes that they are written in.

Plain values alone, since sqlite3 asks any other one how to adapt it. Knows no engine.
"""

from binascii import crc32
from dataclasses import replace
from functools import lru_cache
from hashlib import sha256
from typing import Final

from backends.base import Usage
from router.base import Assessment, Attempt, Intent, Label, Outcome, Rating, Record, Signal
from router.ledger.cubes import Ended, Facts, Signs
from router.ledger.engines.base import Row, Shape

AFTERWARDS: Final = 1_000
"""First position of what is asked after a request, for learning: behind all attempts that a request can make, whichever
is written first."""

TOGETHER: Final = 0.25
"""Seconds, within which requests of nobody knows whom came at the same time."""

REQUEST: Final = Shape(
    "requests",
    tuple(
        "id caller_id tenant model stream started tier reason score threshold scorer policy arm propensity verify"
        " stay_cost switch_cost reserved user_hash conversation_hash unit experiment sampled inputs config minute hour"
        " day reply_key source".split()
    ),
)
MET: Final = replace(REQUEST, clash="keep")
CLOSING: Final = Shape(
    "requests",
    tuple(
        "id outcome status first_byte duration cost baseline error p_wrong cache overhead finish source served"
        " moved".split()
    ),
)
WHOLE: Final = Shape("requests", REQUEST.columns[:-1] + CLOSING.columns[1:], clash="keep")  # both have a source
_ATTEMPT: Final = tuple(
    "request_id position kind tier model replica fresh_input cached_input output cost price_version error cache_write"
    " cache_write_1h audio_input image_input reasoning audio_output image_output service_tier usage_source"
    " prefix_saved".split()
)
ATTEMPT: Final = Shape("attempts", _ATTEMPT, 2)
AFTERTHOUGHT: Final = Shape("attempts", _ATTEMPT, 2, "replace")
LABEL: Final = Shape(
    "labels",
    tuple(
        "request_id tenant made prompt answered strong_score weak_score score scorer threshold propensity"
        " grader".split()
    ),
    clash="keep",
)
RATING: Final = Shape("ratings", tuple("request_id tenant given score comment".split()), clash="replace")
ASSESSMENT: Final = Shape(
    "assessments",
    tuple(
        "request_id made tier finish tokens repetition compression is_repetitive is_empty is_truncated is_refusal"
        " checks failed_checks logprob agreement judge repetition_written".split()
    ),
    clash="replace",
)

# What is given again takes the place of what was given before, and is counted.
SIGNAL: Final = """
INSERT INTO signals (id, request_id, tenant, given, kind, value, source)
VALUES (:id, :request_id, :tenant, :given, :kind, :value, :source)
ON CONFLICT (id) DO UPDATE SET given = excluded.given, value = excluded.value, repeats = signals.repeats + 1
"""

# The id may be ours or the caller's own; of several requests under one of the caller's, the latest is meant.
FIND: Final = """
SELECT coalesce(
    (SELECT id FROM requests WHERE id = :identifier AND tenant = :tenant),
    (SELECT id FROM requests WHERE caller_id = :identifier AND caller_id <> '' AND tenant = :tenant
        ORDER BY id DESC LIMIT 1))
"""

_NONE: Final = Usage(0, None, 0)
_NOT_YET: Final = {"error": "", "cache": "", "finish": "", "served": "", "moved": 0}  # what has a default


def facts_of(intent: Intent) -> Facts:
    """Return what the cubes need of an intent."""
    decision = intent.decision
    return Facts(
        intent.tenant,
        str(decision.tier),
        decision.experiment,
        decision.arm,
        int(intent.started // 60),
        intent.unit or intent.user or intent.conversation or anonymous(intent.started),
        None if decision.score is None else decision.score.value,
        intent.stream,
        intent.reserved,
    )


def names_of(intent: Intent) -> set[tuple[str, str]]:
    """Return how a request may be named, each time by its tenant and an id."""
    return {(intent.tenant, identifier) for identifier in (intent.id, intent.caller_id) if identifier}


def anonymous(started: float) -> str:
    """Return the unit of a request of which nobody knows whose it is: one of 256, so that they stay few.

    Those that came at the same time are one unit, since a batch with few units costs far less than one with many.
    """
    return _unit_of(started // TOGETHER)


@lru_cache(maxsize=16)  # of a busy gateway, thousands of requests share a moment
def _unit_of(moment: float) -> str:
    return f"~{crc32(b'%d' % moment) & 0xFF:02x}"


def intent_row(intent: Intent, facts: Facts) -> Row:
    """Return what `REQUEST` takes."""
    decision, minute = intent.decision, facts.minute
    score = decision.score
    return (
        intent.id,
        intent.caller_id,
        intent.tenant,
        intent.model,
        int(intent.stream),
        intent.started,
        facts.tier,
        decision.reason,
        facts.score,
        decision.threshold,
        None if score is None else score.source,
        decision.policy,
        decision.arm,
        decision.propensity,
        decision.verify,
        decision.stay_cost,
        decision.switch_cost,
        intent.reserved,
        intent.user,
        intent.conversation,
        facts.unit,
        decision.experiment,
        intent.sampled,
        intent.inputs,
        intent.config,
        minute,
        minute // 60,
        minute // 1_440,
        intent.reply_key,
        facts.tier,
    )


def closing_row(record: Record, ended: Ended) -> Row:
    """Return what `CLOSING` takes."""
    return (
        record.id,
        ended.outcome,
        record.status,
        record.first_byte,
        record.duration,
        ended.cost,
        record.baseline,
        record.error,
        record.p_wrong,
        record.cache,
        record.overhead,
        record.finish,
        ended.source,
        ended.served,
        ended.moved,
    )


def whole_row(opened: Row, closing: Row) -> Row:
    """Return what `WHOLE` takes, of what `REQUEST` and `CLOSING` take."""
    return opened[:-1] + closing[1:]


def open_row(intent: Intent) -> dict[str, object]:
    """Return the row that an intent would have, by the names of its columns, as far as it says anything."""
    row = dict(zip(REQUEST.columns, intent_row(intent, facts_of(intent)), strict=True))
    return {**dict.fromkeys(CLOSING.columns), **_NOT_YET, **row}


def interrupted_row(identifier: str, ended: Ended) -> Row:
    """Return what `CLOSING` takes for a request that nobody will settle any more."""
    outcome, none = Outcome.INTERRUPTED.value, None
    return (identifier, outcome, none, none, none, none, none, "", none, "", none, "", ended.source, "", 0)


def attempt_row(request_id: str, position: int, attempt: Attempt) -> Row:
    """Return what `ATTEMPT` and `AFTERTHOUGHT` take."""
    usage = attempt.usage or _NONE
    return (
        request_id,
        position,
        attempt.kind,
        str(attempt.tier),
        attempt.model,
        attempt.replica,
        None if usage is _NONE else usage.fresh_input,
        usage.cached_input,
        None if usage is _NONE else usage.output,
        attempt.cost,
        attempt.price_version,
        attempt.error,
        usage.cache_write,
        usage.cache_write_1h,
        usage.audio_input,
        usage.image_input,
        usage.reasoning,
        usage.audio_output,
        usage.image_output,
        usage.service_tier,
        attempt.usage_source or ("none" if usage is _NONE else "provider"),
        attempt.prefix_saved,
    )


def position_afterwards(kind: str, number: int) -> int:
    """Return where an attempt stands that was made after a request: shadow calls at even places, judges at odd ones.

    Args:
        kind: of the call; there is one of each.
        number: 0 for the call itself, then those that were asked for it in vain.
    """
    return AFTERWARDS + 2 * number + (kind != "shadow")


def label_row(label: Label) -> Row:
    """Return what `LABEL` takes."""
    return (
        label.id,
        label.tenant,
        label.made,
        label.prompt,
        label.answered.value,
        label.strong_score,
        label.weak_score,
        label.score,
        label.scorer,
        label.threshold,
        label.propensity,
        label.grader,
    )


def rating_row(request_id: str, rating: Rating) -> Row:
    """Return what `RATING` takes."""
    return (request_id, rating.tenant, rating.given, rating.score, rating.comment)


def assessment_row(assessment: Assessment) -> Row:
    """Return what `ASSESSMENT` takes."""
    return (
        assessment.request_id,
        assessment.made,
        assessment.tier.value,
        assessment.finish,
        assessment.tokens,
        assessment.repetition,
        assessment.compression,
        int(assessment.is_repetitive),
        int(assessment.is_empty),
        int(assessment.is_truncated),
        int(assessment.is_refusal),
        assessment.checks,
        assessment.failed_checks,
        assessment.logprob,
        assessment.agreement,
        assessment.judge,
        None if assessment.repetition_written is None else int(assessment.repetition_written),
    )


def signs_of(assessment: Assessment) -> Signs:
    """Return what the cubes need of an assessment."""
    return Signs(
        int(assessment.is_repetitive),
        int(assessment.is_refusal),
        int(assessment.is_empty),
        int(assessment.is_truncated),
    )


def signal_parameters(request_id: str, signal: Signal) -> dict[str, object]:
    """Return what `SIGNAL` takes."""
    return {
        "id": sha256(f"{request_id}\0{signal.kind}\0{signal.source}".encode()).hexdigest()[:32],
        "request_id": request_id,
        "tenant": signal.tenant,
        "given": signal.given,
        "kind": signal.kind,
        "value": signal.value,
        "source": signal.source,
    }
