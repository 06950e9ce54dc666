"""What was saved -> the card that says so, in words: which baseline, how sure, and where it came from.

Two figures can stand there. Where enough requests were run on Large too, it is the estimate made of those, with its
interval; else it is what the same tokens would have cost at Large's price, which is called that and has none. No
figure stands without its baseline.
"""

from dataclasses import dataclass

from router.dashboard import wording
from router.dashboard.figures import Change
from router.insight.overview import Saving, Span
from router.insight.savings import NO_CACHES, SAME_CACHES, NoEstimate, SavingEstimate

_DAY = 86_400
_AT_WORK = "it is being worked out"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of what was saved, or what takes away from it; `x` and `width` place it on a bar, per cent."""

    kind: str
    title: str
    share: str
    amount: str
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class SavedCard:
    """The saving.

    Attributes:
        title: of which time.
        figure: a dash where no request has both a cost and a baseline; `badge` is None then.
        spent, baseline: the amounts that it is between.
        against: the baseline's name.
        how: what the figure is.
        interval: of 95 %, or a dash and why there is none.
        other: the same against the other baseline; "" where that is nothing.
        parts: of the figure; they add up to it.
        doubts: what the figure does not tell, a sentence each.
    """

    title: str
    figure: str
    badge: Change | None
    spent: str
    baseline: str
    against: str
    how: str
    interval: str
    other: str
    parts: tuple[Part, ...]
    doubts: tuple[str, ...]


def saved_card(saving: Saving, estimated: SavingEstimate | NoEstimate | None, *, span: Span) -> SavedCard:
    """Return the card.

    Args:
        saving: by the same tokens at Large's price.
        estimated: by shadow calls, or why that cannot be; None while it is not known.
    """
    if isinstance(estimated, SavingEstimate):
        return _estimated_card(estimated)
    known = saving.share is not None
    with_caches = saving.share_with_caches
    return SavedCard(
        title=f"Saved in the last {span.words}",
        figure=wording.money(saving.saved) if known else wording.DASH,
        badge=None if saving.share is None else _less(saving.share),
        spent=wording.money(saving.spent),
        baseline=wording.money(saving.baseline),
        against=NO_CACHES,
        how="A point estimate: the same tokens at Large’s price. Large might have said more, or less.",
        interval=f"{wording.DASH} {_AT_WORK if estimated is None else estimated.reason}",
        other=f"{_less(with_caches).text} than {SAME_CACHES}" if known and with_caches is not None else "",
        parts=_parts(routing=saving.routing, cache=saving.cache, prefix=saving.prefix, overhead=saving.overhead)
        if known
        else (),
        doubts=(),
    )


def _estimated_card(estimated: SavingEstimate) -> SavedCard:
    found = estimated.found
    saved, same = found.without_caches.saved, found.same_caches.saved
    last = wording.date(estimated.until - _DAY)
    first = wording.date(estimated.since)
    return SavedCard(
        title=f"Saved on {first}" if first == last else f"Saved from {first} to {last}",
        figure=wording.money(found.parts.saved),
        badge=_less(saved.value),
        spent=wording.money(found.spent),
        baseline=wording.money(found.without_caches.cost),
        against=NO_CACHES,
        how=f"An estimate from {wording.count(estimated.shadows)} requests, drawn by chance, that Large answered, too;"
        " of whole days, UTC.",
        interval=_range(saved.low, saved.high),
        other=f"{_less(same.value).text} than {SAME_CACHES}, 95% interval {_range(same.low, same.high)}",
        parts=_parts(
            routing=found.parts.routing,
            cache=found.parts.cache,
            prefix=found.parts.prefix,
            overhead=found.parts.overhead,
        ),
        doubts=estimated.doubts,
    )


def _parts(*, routing: int, cache: int, prefix: int, overhead: int) -> tuple[Part, ...]:
    """Return the parts; a share is of what was saved, and is only told where something was and the part adds to it."""
    named = (
        ("mini", "Routed to Mini", routing),
        ("cache", "Answered from cache", cache),
        ("large", "Prompts that a backend had cached", prefix),
        ("bad", "Overhead: tries, judges, shadow calls", -overhead),
    )
    saved = sum(amount for *_, amount in named)
    gained = sum(amount for *_, amount in named if amount > 0)
    parts, x = [], 0.0
    for kind, title, amount in named:
        width = max(amount, 0) / gained * 100 if gained else 0.0
        share = wording.share(amount / saved) if saved > 0 else wording.DASH
        parts.append(Part(kind, title, share, wording.money(amount), x, width))
        x += width
    return tuple(parts)


def _range(low: float, high: float) -> str:
    """Return an interval of a saving, the ends in words that say which way they go."""
    if low >= 0:
        return f"{wording.share(low)} to {_less(high).text}"
    return f"{_less(low).text} to {_less(high).text}"


def _less(share: float) -> Change:
    more = share < 0
    return Change(f"{wording.share(abs(share))} {'more' if more else 'less'}", "worse" if more else "better")
