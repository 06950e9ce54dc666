"""Scores of requests -> whether they are spread as they were when they were learnt.

Each tenant and each tier has a reference: what is remembered of this version of the weights, or else its first scores.
Then each full window is compared with it. Of a tier only what the score alone has sent there counts: a threshold that
moves would look like traffic that changes.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from msgspec import Struct

from router.alerts.base import Labels, Reading, Settled
from router.base import Decision
from router.policies.paced import PACED
from router.statistics.drift import Reference, reference_of, shift

KIND: Final = "score_drift"
MOST: Final = 500  # tenants and tiers


class _Stream(Struct):
    """The scores of one tenant or tier: those that are learnt, or the counts of the present window."""

    labels: Labels
    reference: Reference | None
    first: list[float]
    counts: list[int]
    n: int = 0


class ScoreDrift:
    """A `router.alerts.base.Detector`.

    Args:
        window, learnt: scores of a window, and of a reference.
        alpha: as in `router.statistics.drift.shift`.
        recall: gives the reference that is remembered under a name.
        remember: takes one that was learnt.
    """

    def __init__(
        self,
        *,
        window: int,
        learnt: int,
        alpha: float,
        recall: Callable[[str], Reference | None],
        remember: Callable[[str, Reference], None],
    ) -> None:
        self._window, self._learnt, self._alpha = window, learnt, alpha
        self._recall, self._remember = recall, remember
        self._scorer = ""
        self._streams: dict[tuple[str, str], _Stream] = {}
        self._readings: list[Reading] = []

    def take(self, settled: Sequence[Settled]) -> None:
        """Count their scores."""
        for intent, _record in settled:
            decision = intent.decision
            score = decision.score
            if score is None:
                continue
            if score.source != self._scorer:  # other weights, other scores
                self._scorer = score.source
                self._streams.clear()
            self._count(("tenant", intent.tenant), score.value)
            if _is_own_choice(decision):
                self._count(("tier", decision.tier.value), score.value)

    def look(self, now: float) -> Iterator[Reading]:  # noqa: ARG002 - windows end with scores, not with time
        """Yield what the windows say that have ended since the last look."""
        readings, self._readings = self._readings, []
        yield from readings

    def _count(self, key: tuple[str, str], value: float) -> None:
        stream = self._streams.get(key)
        if stream is None:
            if len(self._streams) >= MOST:
                return
            reference = self._recall(self._name(key))
            stream = self._streams[key] = _Stream((key,), reference, [], _none(reference))
        reference = stream.reference
        if reference is None:
            stream.first.append(value)
            if len(stream.first) >= self._learnt:
                stream.reference = reference_of(stream.first)
                stream.first, stream.counts = [], _none(stream.reference)
                self._remember(self._name(key), stream.reference)
            return
        stream.counts[bisect_right(reference.edges, value)] += 1
        stream.n += 1
        if stream.n >= self._window:
            self._readings.append(self._compared(stream, reference))
            stream.n, stream.counts = 0, _none(reference)

    def _compared(self, stream: _Stream, reference: Reference) -> Reading:
        found = shift(reference, stream.counts, alpha=self._alpha)
        said = (
            f"PSI {found.psi:.3f} over {found.n} scores, where {found.limit:.3f} is what chance explains"
            f"{'; that is large' if found.is_large else ''}"
        )
        return Reading(KIND, stream.labels, found.is_significant, said)

    def _name(self, key: tuple[str, str]) -> str:
        return f"{self._scorer} {key[0]}={key[1]}"


def _is_own_choice(decision: Decision) -> bool:
    return decision.threshold is not None and decision.reason != PACED


def _none(reference: Reference | None) -> list[int]:
    return [] if reference is None else [0] * len(reference.counts)
