"""Overview in numbers -> the row of cards with one figure each.

What cannot be supported is a dash, and the words below it say why.
"""

from dataclasses import dataclass

from router.dashboard import wording
from router.dashboard.charts import Chart, spark_chart
from router.insight.overview import Overview, Span
from router.ledger.views import Source

_OPPOSITE = {"better": "worse", "worse": "better", "": ""}


@dataclass(frozen=True, slots=True)
class Change:
    """A difference or a state in words; `mood` is "better", "worse" or "" where it is neither."""

    text: str
    mood: str


@dataclass(frozen=True, slots=True)
class Figure:
    """One number, how it changed, a few words, and its course."""

    title: str
    value: str
    change: Change | None
    note: str
    spark: Chart


def figures(seen: Overview, *, span: Span) -> tuple[Figure, ...]:
    """Return the figures, each beside the time before where the ledger reaches back over all of it."""
    return (
        _spend(seen, span=span),
        _requests(seen, span=span),
        _cheap(seen, span=span),
        _first_token(seen, span=span),
        _trouble(seen, span=span),
    )


def _spend(seen: Overview, *, span: Span) -> Figure:
    cost = [sum(costs) for costs in zip(*seen.series.cost.values(), strict=True)]
    return Figure(
        title="Spend",
        value=wording.money(seen.now.cost),
        change=_ratio(seen.now.cost, seen.earlier.cost if seen.earlier else None, higher=""),
        note=_before(seen, span=span)
        + (f" · {wording.money(seen.now.learning)} more on shadow calls" if seen.now.learning else ""),
        spark=spark_chart(cost, label=f"spend by {span.per}"),
    )


def _requests(seen: Overview, *, span: Span) -> Figure:
    return Figure(
        title="Requests",
        value=wording.count(seen.now.requests),
        change=_ratio(seen.now.requests, seen.earlier.requests if seen.earlier else None, higher=""),
        note=_before(seen, span=span) + (f" · {wording.count(seen.now.open)} open" if seen.now.open else ""),
        spark=spark_chart(seen.series.requests, label=f"requests by {span.per}"),
    )


def _cheap(seen: Overview, *, span: Span) -> Figure:
    now = seen.now.share_of(Source.MINI, Source.CACHE)
    before = seen.earlier.share_of(Source.MINI, Source.CACHE) if seen.earlier else None
    return Figure(
        title="Answered by Mini or cache",
        value=wording.share(now),
        change=_points(now, before, higher="better"),
        note="no answer in this span" if now is None else f"of {wording.count(seen.now.answered)} answers",
        spark=spark_chart(seen.series.cheap, label=f"share answered by Mini or cache by {span.per}"),
    )


def _first_token(seen: Overview, *, span: Span) -> Figure:
    now, before = seen.now.first_token, seen.earlier.first_token if seen.earlier else None
    change = None
    if now and before:
        difference = now.p95 - before.p95
        text = wording.signed(wording.seconds(abs(difference)), difference)
        change = Change(text, _mood(difference, higher="worse"))
    said = "no streamed answer in this span"
    return Figure(
        title="Time to first token, p95",
        value=wording.seconds(now.p95 if now else None),
        change=change,
        note=f"p50 {wording.seconds(now.p50)} · n {wording.count(now.answers)}" if now else said,
        spark=spark_chart(seen.series.first_token[None], label=f"time to first token, p95, by {span.per}"),
    )


def _trouble(seen: Overview, *, span: Span) -> Figure:
    now, before = seen.now.trouble, seen.earlier.trouble if seen.earlier else None
    said = f"{wording.count(seen.now.failed)} failed · {wording.count(seen.now.moved)} moved"
    return Figure(
        title="Errors and fallbacks",
        value=wording.share(now),
        change=_points(now, before, higher="worse"),
        note="no request ended in this span" if now is None else said,
        spark=spark_chart(seen.series.trouble, label=f"share that failed or changed tier by {span.per}"),
    )


def _before(seen: Overview, *, span: Span) -> str:
    return f"vs previous {span.words}" if seen.earlier else f"no full {span.words} before to compare with"


def _ratio(now: int, before: int | None, *, higher: str) -> Change | None:
    if not before:
        return None
    difference = now / before - 1
    return Change(wording.signed(wording.share(abs(difference)), difference), _mood(difference, higher=higher))


def _points(now: float | None, before: float | None, *, higher: str) -> Change | None:
    if now is None or before is None:
        return None
    difference = (now - before) * 100
    return Change(wording.signed(f"{wording.points(abs(difference))} pp", difference), _mood(difference, higher=higher))


def _mood(difference: float, *, higher: str) -> str:
    if not difference:
        return ""
    return higher if difference > 0 else _OPPOSITE[higher]
