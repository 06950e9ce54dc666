"""Reading of the ledger -> what the overview says.

Pure arithmetic. A figure that the ledger cannot support is None, and stands beside the reason why. The saving here is
a point estimate, "the same tokens at Large's price": Large's own answers might have been longer or shorter, which only
requests that were run on both can tell; `router.insight.savings` makes an estimate with its interval of those.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from router.base import Outcome
from router.insight.quality import Quality, quality
from router.ledger.views import Reading, Source, Spread, Total, Window

ANSWERED = frozenset({Outcome.ANSWERED, Outcome.KEPT})
TROUBLE = frozenset({Outcome.FAILED, Outcome.BROKEN, Outcome.INTERRUPTED})


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time that can be looked at.

    Attributes:
        name: as in the page's address.
        words: as in "the last 7 days".
        width: seconds in a bucket.
        per: as in "requests per 6 hours".
        buckets: how many.
        tick: seconds between two labels of a time axis.
    """

    name: str
    words: str
    width: int
    per: str
    buckets: int
    tick: int

    def window(self, now: float) -> Window:
        """Return the window whose last bucket holds `now`; buckets begin at whole multiples of their width."""
        start = now // self.width * self.width - (self.buckets - 1) * self.width
        return Window(start=start, width=self.width, buckets=self.buckets, now=now)


SPANS = {
    span.name: span
    for span in (
        Span("1h", "hour", width=60, per="minute", buckets=60, tick=600),
        Span("24h", "24 hours", width=3_600, per="hour", buckets=24, tick=4 * 3_600),
        Span("7d", "7 days", width=21_600, per="6 hours", buckets=28, tick=86_400),
        Span("30d", "30 days", width=86_400, per="day", buckets=30, tick=5 * 86_400),
    )
}


@dataclass(frozen=True, slots=True)
class Saving:
    """What was not spent, nano-USD, over the requests whose cost and baseline are both known.

    The baseline is all-Large without caches: every request calls Large, and every token of a prompt is computed. The
    parts add up to what was saved, to the last nano-USD.

    Attributes:
        spent: what they cost, shadow calls included.
        baseline: what the same tokens would have cost on Large.
        cache: part of what was saved: what Large would have taken for what was answered from the cache.
        prefix: part of it: what tokens that a backend had cached would have cost more.
        overhead: what takes away from it: attempts that answered nobody, and shadow calls.
    """

    spent: int
    baseline: int
    cache: int
    prefix: int
    overhead: int

    @property
    def saved(self) -> int:
        """Baseline less spent; negative where routing cost more."""
        return self.baseline - self.spent

    @property
    def routing(self) -> int:
        """Part of what was saved: what Large would have taken for the others, less what those who answered took."""
        return self.saved - self.cache - self.prefix + self.overhead

    @property
    def share(self) -> float | None:
        """Part of the baseline that was saved; None where there is no baseline."""
        return self.saved / self.baseline if self.baseline else None

    @property
    def baseline_with_caches(self) -> int:
        """All-Large with the same caches: what was kept is kept there too, and prompts are discounted as they were."""
        return self.baseline - self.cache - self.prefix

    @property
    def share_with_caches(self) -> float | None:
        """Part of that baseline that was saved; None where there is none."""
        least = self.baseline_with_caches
        return (least - self.spent) / least if least > 0 else None


MOST_UNPRICED = 0.001
MOST_ESTIMATED = 0.01
"""Shares from which on figures of money are marked as doubtful."""


@dataclass(frozen=True, slots=True)
class Doubts:
    """How far figures of money are known.

    Attributes:
        unpriced: requests that are in no figure of money, since a price or their usage is unknown.
        unpriced_share: of the requests that ended; None where none did.
        estimated: attempts whose usage nobody told, so that it was estimated.
        estimated_share: by request that a model worked on; None where there was none.
        contradictory: attempts whose usage cannot be as it was told.
    """

    unpriced: int
    unpriced_share: float | None
    estimated: int
    estimated_share: float | None
    contradictory: int

    @property
    def too_many_unpriced(self) -> bool:
        """Tell whether more lack a price than may."""
        return (self.unpriced_share or 0.0) > MOST_UNPRICED

    @property
    def too_many_estimated(self) -> bool:
        """Tell whether more are estimated than may be."""
        return (self.estimated_share or 0.0) > MOST_ESTIMATED


@dataclass(frozen=True, slots=True)
class Sums:
    """One stretch of time in a few numbers.

    Attributes:
        requests: all that came in.
        open: those that have not ended.
        answers: how many each source gave.
        failed: ended without a whole answer through no fault of the caller.
        moved: answered or not, tried a second tier.
        troubled: failed, or moved, or both.
        cost: nano-USD of all whose cost is known.
        learning: nano-USD of shadow calls, spent beside `cost` and for labels alone.
        mean_cost: nano-USD of one answer of each source; None where there is none, or any of them is unpriced.
        first_token: None where nothing was streamed.
    """

    requests: int
    open: int
    answers: dict[Source, int]
    failed: int
    moved: int
    troubled: int
    cost: int
    learning: int
    mean_cost: dict[Source, int | None]
    saving: Saving
    doubts: Doubts
    first_token: Spread | None

    @property
    def answered(self) -> int:
        """Whole answers, kept ones included."""
        return sum(self.answers.values())

    def share_of(self, *sources: Source) -> float | None:
        """Return the part of all answers that these sources gave; None where there was no answer."""
        return sum(self.answers[source] for source in sources) / self.answered if self.answered else None

    @property
    def trouble(self) -> float | None:
        """Part of the requests that ended which failed or moved; None where none ended."""
        ended = self.requests - self.open
        return self.troubled / ended if ended else None


@dataclass(frozen=True, slots=True)
class Series:
    """One value for each bucket, oldest first; money in nano-USD over priced requests, None where there is nothing."""

    cost: dict[Source, tuple[int, ...]]
    baseline: tuple[int, ...]
    requests: tuple[int, ...]
    answers: dict[Source, tuple[int, ...]]
    cheap: tuple[float | None, ...]
    trouble: tuple[float | None, ...]
    first_token: dict[Source | None, tuple[float | None, ...]]


@dataclass(frozen=True, slots=True)
class Overview:
    """All that the page says of a window.

    Attributes:
        now: the window in numbers.
        earlier: the time just before; None where the ledger does not reach back over the whole of it.
        first_tokens: of each source over the window; a source that streamed nothing is missing.
        quality: what its latest replies looked like.
        costs: nano-USD of its requests by the model that answered.
        begun: when the oldest request came, seconds since 1970; None where there is none.
    """

    now: Sums
    earlier: Sums | None
    series: Series
    first_tokens: dict[Source, Spread]
    quality: Quality
    costs: dict[str, int]
    begun: float | None

    @property
    def empty(self) -> bool:
        """Tell whether the ledger holds no request at all."""
        return self.begun is None


def overview(reading: Reading, window: Window) -> Overview:
    """Return what a reading of the window says."""
    whole = {spread.source: spread for spread in reading.spreads if spread.bucket is None}
    reaches_back = reading.begun is not None and reading.begun <= window.start - window.length
    return Overview(
        now=_sums(reading.totals, whole.get(None)),
        earlier=_sums(reading.earlier, reading.earlier_spread)
        if reaches_back and reading.earlier is not None
        else None,
        series=_series(reading, window),
        first_tokens={source: spread for source, spread in whole.items() if source is not None},
        quality=quality(reading.assessed, answered=sum(_answers(reading.totals).values())),
        costs=reading.costs,
        begun=reading.begun,
    )


def span_for(*, begun: float | None, now: float) -> Span:
    """Return the shortest span, of up to a week, that shows a ledger from its first request on."""
    age = 0.0 if begun is None else now - begun
    return next((span for span in SPANS.values() if age < span.width * (span.buckets - 1)), SPANS["7d"])


def _sums(totals: tuple[Total, ...], first_token: Spread | None) -> Sums:
    def count(chosen: Callable[[Total], bool]) -> int:
        return sum(total.requests for total in totals if chosen(total))

    return Sums(
        requests=count(lambda _: True),
        open=count(lambda total: total.outcome is None),
        answers=_answers(totals),
        failed=count(lambda total: total.outcome in TROUBLE),
        moved=sum(total.moved for total in totals),
        troubled=_troubled(totals),
        cost=sum(total.cost for total in totals),
        learning=sum(total.learning for total in totals),
        mean_cost={source: _mean_cost(totals, source) for source in Source},
        saving=_saving(totals),
        doubts=_doubts(totals),
        first_token=first_token,
    )


def _answers(totals: Iterable[Total]) -> dict[Source, int]:
    answers = dict.fromkeys(Source, 0)
    for total in totals:
        if total.outcome in ANSWERED:
            answers[total.source] += total.requests
    return answers


def _troubled(totals: Iterable[Total]) -> int:
    """Count each request once: one that moved and failed all the same is among the failed. Open ones are neither."""
    return sum(
        total.requests if total.outcome in TROUBLE else total.moved for total in totals if total.outcome is not None
    )


def _mean_cost(totals: Iterable[Total], source: Source) -> int | None:
    whole = [total for total in totals if total.source is source and total.outcome in ANSWERED]
    if not whole or any(total.unpriced for total in whole):
        return None
    return round(sum(total.cost for total in whole) / sum(total.requests for total in whole))


def _saving(totals: tuple[Total, ...]) -> Saving:
    prefix = sum(total.prefix_saved for total in totals)
    learning = sum(total.learning for total in totals)
    return Saving(
        spent=sum(total.priced_cost for total in totals) + learning,
        baseline=sum(total.baseline for total in totals) + prefix,
        cache=sum(total.cache_avoided for total in totals),
        prefix=prefix,
        overhead=sum(total.overhead for total in totals) + learning,
    )


def _doubts(totals: tuple[Total, ...]) -> Doubts:
    ended = sum(total.requests for total in totals if total.outcome is not None)
    worked_on = sum(total.requests for total in totals if total.outcome not in (None, Outcome.KEPT))
    unpriced, estimated = sum(total.unpriced for total in totals), sum(total.estimated for total in totals)
    return Doubts(
        unpriced=unpriced,
        unpriced_share=unpriced / ended if ended else None,
        estimated=estimated,
        estimated_share=estimated / worked_on if worked_on else None,
        contradictory=sum(total.contradictory for total in totals),
    )


def _series(reading: Reading, window: Window) -> Series:
    buckets: list[list[Total]] = [[] for _ in range(window.buckets)]
    for total in reading.totals:
        buckets[total.bucket].append(total)
    sums = [_sums(tuple(bucket), None) for bucket in buckets]
    first_token: dict[Source | None, list[float | None]] = {
        source: [None] * window.buckets for source in (None, *Source)
    }
    for spread in reading.spreads:
        if spread.bucket is not None:
            first_token[spread.source][spread.bucket] = spread.p95
    return Series(
        cost={
            source: tuple(sum(total.priced_cost for total in bucket if total.source is source) for bucket in buckets)
            for source in Source
        },
        baseline=tuple(each.saving.baseline for each in sums),
        requests=tuple(each.requests for each in sums),
        answers={source: tuple(each.answers[source] for each in sums) for source in Source},
        cheap=tuple(each.share_of(Source.MINI, Source.CACHE) for each in sums),
        trouble=tuple(each.trouble for each in sums),
        first_token={source: tuple(values) for source, values in first_token.items()},
    )
