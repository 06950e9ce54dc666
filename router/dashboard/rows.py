"""Ledger line -> row of the list of requests, with why it went where it went."""

from dataclasses import dataclass

from router.base import Outcome
from router.dashboard import wording
from router.ledger.views import Line, Source

_ENDS = {
    Outcome.REJECTED: "rejected",
    Outcome.FAILED: "failed",
    Outcome.BROKEN: "broken",
    Outcome.HUNG_UP: "hung up",
    Outcome.INTERRUPTED: "interrupted",
}
_WHY = {
    "asked": "{} was asked for",
    "default": "No score could be given: {} by default",
    "fixed": "Every request goes to {}",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One request as it is listed.

    Attributes:
        why: why it went where it went.
        detail: the model asked for, how it was sent, what decided, what went wrong.
        score: 0.0 to 1.0 and its text; None where none was needed, as `unscored` says.
        mark: the threshold, 0.0 to 1.0; None where none decided.
        kind: the colour of its pill: a source, "bad" or "" for neither.
        first_token: seconds in words; for an answer in one piece its whole time, and `whole` is set.
    """

    id: str
    stamp: str
    time: str
    tenant: str
    why: str
    detail: str
    score: float | None
    score_text: str
    unscored: str
    mark: float | None
    kind: str
    answered_by: str
    cost: str
    first_token: str
    whole: bool


def row(line: Line) -> Row:
    """Return a request's row."""
    kind, answered_by = _ending(line)
    time = line.first_byte if line.stream else line.duration
    return Row(
        id=line.id,
        stamp=wording.stamp(line.started),
        time=wording.clock(line.started),
        tenant=line.tenant,
        why=_why(line),
        detail=_detail(line),
        score=None if line.score is None else min(max(line.score, 0.0), 1.0),
        score_text=wording.DASH if line.score is None else f"{line.score:.2f}",
        unscored="" if line.score is not None else "no score was needed or could be given",
        mark=line.threshold,
        kind=kind,
        answered_by=answered_by,
        cost=wording.money(line.cost),
        first_token=wording.seconds(time),
        whole=not line.stream and time is not None,
    )


def _ending(line: Line) -> tuple[str, str]:
    if line.outcome is None:
        return "", "open"
    if line.outcome in (Outcome.ANSWERED, Outcome.KEPT):
        return line.source.value, line.source.value
    said = _ENDS[line.outcome]
    return (
        "" if line.outcome in (Outcome.HUNG_UP, Outcome.REJECTED) else "bad",
        f"{said} {line.status}" if line.outcome in (Outcome.FAILED, Outcome.REJECTED) else said,
    )


def _why(line: Line) -> str:
    if line.outcome is Outcome.KEPT:
        return "A kept reply to the same request"
    if line.reason == "score" and line.score is not None and line.threshold is not None:
        above = line.score >= line.threshold
        why = f"Score {line.score:.2f} {'reaches' if above else 'is under'} {line.threshold:.2f}"
    else:
        why = _WHY.get(line.reason, f"{line.reason}: {{}}").format(line.decided.capitalize())
    stood_in = line.moved and line.source in (Source.LARGE, Source.MINI) and line.source.value != line.decided
    return f"{why}, but {line.source.capitalize()} stood in" if stood_in else why


def _detail(line: Line) -> str:
    parts = [line.model, "streamed" if line.stream else "in one piece", line.scorer or line.policy, line.error]
    return " · ".join(part for part in parts if part)
