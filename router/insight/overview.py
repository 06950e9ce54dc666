"""Reading of the ledger -> what the overview says.

Pure arithmetic. A figure that the ledger cannot support is None, and stands beside the reason why. The saving is
an estimate, "the same tokens at Large's price": Large's own answers might have been longer or shorter, and no
request has been run on both, so that no interval can be given.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from router.base import Outcome
from router.ledger.reading import Reading, Source, Spread, Total, Window

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

    Attributes:
        spent: what they cost.
        baseline: what the same tokens would have cost on Large.
        mini, cache, rest: parts of what was saved; `rest` is what Large itself and second tries add or take away.
        unpriced: requests left out, since a price or their usage is unknown.
    """

    spent: int
    baseline: int
    mini: int
    cache: int
    rest: int
    unpriced: int

    @property
    def saved(self) -> int:
        """Baseline less spent; negative where routing cost more."""
        return self.baseline - self.spent

    @property
    def share(self) -> float | None:
        """Part of the baseline that was saved; None where there is no baseline."""
        return self.saved / self.baseline if self.baseline else None


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
        empty: the ledger holds no request at all.
    """

    now: Sums
    earlier: Sums | None
    series: Series
    first_tokens: dict[Source, Spread]
    empty: bool


def overview(reading: Reading, window: Window) -> Overview:
    """Return what a reading of the window says."""
    whole = {spread.source: spread for spread in reading.spreads if spread.bucket is None}
    reaches_back = reading.begun is not None and reading.begun <= window.start - window.length
    return Overview(
        now=_sums(reading.totals, whole.get(None)),
        earlier=_sums(reading.earlier, reading.earlier_spread) if reaches_back else None,
        series=_series(reading, window),
        first_tokens={source: spread for source, spread in whole.items() if source is not None},
        empty=reading.begun is None,
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
    parts = dict.fromkeys(Source, 0)
    for total in totals:
        parts[total.source] += total.baseline - total.priced_cost
    return Saving(
        spent=sum(total.priced_cost for total in totals),
        baseline=sum(total.baseline for total in totals),
        mini=parts[Source.MINI],
        cache=parts[Source.CACHE],
        rest=parts[Source.LARGE],
        unpriced=sum(total.unpriced for total in totals),
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
