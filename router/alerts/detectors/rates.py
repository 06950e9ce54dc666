"""Requests and attempts -> whether shares of them are surely above what they may be.

A share is above where Wilson's lower bound is, with 99.9 % on that side, and never for fewer than `FEWEST_HITS`: with
shares as small as these one or two prove nothing. Windows of a minute do not overlap, so that each is a test of its
own.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import Struct

from router.alerts.base import Labels, Reading, Settled
from router.base import Attempt, Outcome, Record
from router.statistics.proportions import wilson

WINDOW: Final = 60.0  # seconds
CONFIDENCE: Final = 0.998  # two-sided: one in a thousand on either side
FEWEST_HITS: Final = 3
SERVER_FAULT: Final = 500

_ESTIMATED: Final = frozenset(("tokenizer", "none"))


class _Count(Struct):
    hits: int = 0
    n: int = 0


class Rates:
    """A `router.alerts.base.Detector`; the arguments are the highest shares, 0.0 to 1.0."""

    def __init__(self, *, errors: float, unpriced: float, estimated: float) -> None:
        self._limits = {"error_rate": errors, "unpriced_share": unpriced, "estimated_share": estimated}
        self._counts: dict[tuple[str, Labels], _Count] = {}
        self._begun: float | None = None

    def take(self, settled: Sequence[Settled]) -> None:
        """Count them."""
        unpriced, estimated = self._of("unpriced_share"), self._of("estimated_share")
        for intent, record in settled:
            errors = self._of("error_rate", (("tier", intent.decision.tier.value),))
            errors.n += 1
            errors.hits += _is_fault(record)
            for attempt in record.attempts:
                if attempt.cost == 0 and attempt.usage is None:
                    continue  # never worked on
                unpriced.n += 1
                unpriced.hits += attempt.cost is None and not attempt.error
                estimated.n += 1
                estimated.hits += _is_estimated(attempt)

    def look(self, now: float) -> Iterator[Reading]:
        """Yield what a minute says that has ended."""
        if self._begun is None or now < self._begun:  # the clock was set back
            self._begun = now
        if now - self._begun < WINDOW:
            return
        counts, self._counts, self._begun = self._counts, {}, now
        for (kind, labels), count in counts.items():
            if count.n:
                yield self._reading(kind, labels, count)

    def _of(self, kind: str, labels: Labels = ()) -> _Count:
        key = (kind, labels)
        count = self._counts.get(key)
        if count is None:
            count = self._counts[key] = _Count()
        return count

    def _reading(self, kind: str, labels: Labels, count: _Count) -> Reading:
        limit, share = self._limits[kind], count.hits / count.n
        low, _ = wilson(count.hits, count.n, level=CONFIDENCE)
        is_bad = True if low > limit and count.hits >= FEWEST_HITS else None if share > limit else False
        return Reading(kind, labels, is_bad, f"{count.hits} of {count.n}, where a share of {limit:g} is the limit")


def _is_fault(record: Record) -> bool:
    return record.status >= SERVER_FAULT and record.outcome in (Outcome.FAILED, Outcome.BROKEN)


def _is_estimated(attempt: Attempt) -> bool:
    return not attempt.error and (attempt.usage_source in _ESTIMATED or attempt.usage is None)
