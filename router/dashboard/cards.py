"""Overview in numbers -> what stands on its cards, in words.

What cannot be supported is a dash, and the words beside it say why.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from router.base import Price
from router.dashboard import wording
from router.dashboard.base import BackendHealth
from router.dashboard.charts import Chart, TimeAxis, answer_chart, latency_chart, spend_chart
from router.dashboard.figures import Change
from router.insight.overview import Overview, Span
from router.ledger.views import Reading, Source, Window

_PER_MILLION = 1_000  # pico-USD a token -> nano-USD per million tokens


@dataclass(frozen=True, slots=True)
class PartCard:
    """One part of the machine: a pill or a dot, its name, a line below it, three figures with titles."""

    kind: str
    title: str
    state: str
    ready: bool
    note: str
    figures: tuple[tuple[str, str], ...]


def charts(seen: Overview, *, span: Span, window: Window) -> dict[str, Chart]:
    """Return the three charts of the page by name."""
    series = seen.series
    axis = TimeAxis(start=window.start, width=window.width, buckets=window.buckets, tick=span.tick)
    saving, answers = seen.now.saving, seen.now.answers
    said = ", ".join(
        f"{source.capitalize()} {wording.seconds(spread.p95)} over {wording.count(spread.answers)} answers"
        for source, spread in seen.first_tokens.items()
    )
    return {
        "spend": spend_chart(
            axis,
            large=series.cost[Source.LARGE],
            mini=series.cost[Source.MINI],
            baseline=series.baseline,
            label=f"Spend in the last {span.words}: {wording.money(saving.spent)}, against an estimated"
            f" {wording.money(saving.baseline)} had Large answered everything without caches",
        ),
        "answers": answer_chart(
            axis,
            **{source.value: series.answers[source] for source in Source},
            label=f"Answers in the last {span.words}: "
            + ", ".join(f"{wording.count(answers[source])} from {source.capitalize()}" for source in Source),
        ),
        "first_token": latency_chart(
            axis,
            {source.value: series.first_token[source] for source in Source},
            label=f"Time to first token, 95th percentile: {said or 'nothing was streamed'}",
        ),
    }


def machine_cards(seen: Overview, backends: Sequence[BackendHealth], *, cache_kind: str) -> tuple[PartCard, ...]:
    """Return how each backend and the cache are, with what they did in the span."""
    tiers = (
        PartCard(
            kind=each.tier.value,
            title=each.model,
            state="ready" if each.ready else "away",
            ready=each.ready,
            note=f"{_price(each.price)}{_mean_cost(seen, Source(each.tier.value))}",
            figures=_answers(seen, Source(each.tier.value)),
        )
        for each in backends
    )
    hits = seen.now.share_of(Source.CACHE)
    cache = PartCard(
        kind="cache",
        title=cache_kind,
        state="",
        ready=True,
        note="no answer in this span" if hits is None else f"gave {wording.share(hits)} of all answers, free of cost",
        figures=_answers(seen, Source.CACHE),
    )
    return (*tiers, cache)


def policy_words(reading: Reading, *, policy: str, threshold: float | None) -> tuple[tuple[str, str], ...]:
    """Return what decides, at which score, and what scored last."""
    return (
        ("Decides", policy),
        ("Scores", next((line.scorer for line in reading.latest if line.scorer), wording.DASH)),
        ("Threshold", wording.DASH if threshold is None else f"{threshold:.2f}"),
    )


def health(backends: Sequence[BackendHealth]) -> Change:
    """Return the state of all backends in a few words."""
    away = [each.tier.capitalize() for each in backends if not each.ready]
    if not backends:
        return Change("Backends have not answered", "worse")
    return Change(f"{' and '.join(away)} away", "worse") if away else Change("All backends ready", "better")


def _price(price: Price | None) -> str:
    if price is None:
        return "no price known, so its cost is left out"
    paid, made = (wording.money(rate * _PER_MILLION) for rate in (price.fresh_input, price.output))
    return f"{paid} in, {made} out per million tokens"


def _mean_cost(seen: Overview, source: Source) -> str:
    cost = seen.now.mean_cost[source]
    return "" if cost is None else f"; {wording.money(cost)} an answer"


def _answers(seen: Overview, source: Source) -> tuple[tuple[str, str], ...]:
    spread = seen.first_tokens.get(source)
    return (
        ("Answers", wording.count(seen.now.answers[source])),
        ("TTFT p50", wording.seconds(spread.p50 if spread else None)),
        ("TTFT p95", wording.seconds(spread.p95 if spread else None)),
    )
