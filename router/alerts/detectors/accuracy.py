"""What sampled replies of Mini were worth -> an alarm when fewer of them are right.

Only requests that Mini answered count, each sampled with the same probability, so that the share is one of all of
them. How many should be right is configured, or learnt from the first `LEARNT` and then taken a little low, as it is
known so well only: false alarms are then as seldom as configured, or more so, in nine of ten cases.
"""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from router.alerts.base import Reading, Settled
from router.base import Label, Tier
from router.statistics.cusum import Chart, Cusum
from router.statistics.proportions import wilson
from router.statistics.watchable import HIGHEST_ACCURACY

KIND: Final = "accuracy_drop"
LEARNT: Final = 500  # sampled replies
RIGHT: Final = 0.5  # a reply that is worth so much is right
_SIDE: Final = 0.8  # of the two-sided interval whose lower end is taken: nine of ten lie above it
_GOOD_FOR: Final = 2.0  # times as many replies as an alarm takes, without another one, and it ceases


class AccuracyDrop:
    """A `router.alerts.base.Detector` that hears labels.

    Args:
        accuracy: share that should be right; None learns it.
        chart_of: makes the chart of an accuracy, None where such an accuracy cannot be watched; may take a tenth of a
            second, and is called by `prepare` alone.
        recall, remember: of the accuracy that was learnt, under the name of who compared the replies.
    """

    def __init__(
        self,
        *,
        accuracy: float | None,
        chart_of: Callable[[float], Chart | None],
        recall: Callable[[str], float | None],
        remember: Callable[[str, float], None],
    ) -> None:
        self._configured, self._accuracy, self._chart_of = accuracy, accuracy, chart_of
        self._recall, self._remember = recall, remember
        self._grader = ""
        self._cusum: Cusum | None = None
        self._delay = math.inf
        self._right = self._heard = self._quiet = 0
        self._waiting: list[bool] = []
        self._rang = False

    def hear(self, label: Label) -> None:
        """Take what one sampled reply was worth."""
        if label.answered is not Tier.MINI or label.weak_score is None:
            return
        if label.grader != self._grader:  # another measure
            self._grader = label.grader
            self._accuracy = self._configured or self._recall(label.grader)
            self._cusum, self._waiting, self._right, self._heard = None, [], 0, 0
        self._waiting.append(label.weak_score >= RIGHT)

    def take(self, settled: Sequence[Settled]) -> None:
        """Take no notice: what they were worth comes as labels."""

    @property
    def wants_chart(self) -> bool:
        """Tell whether `prepare` has something to do."""
        return self._cusum is None and self._accuracy is not None and bool(self._waiting)

    def prepare(self) -> None:
        """Make the chart."""
        chart = None if self._accuracy is None else self._chart_of(self._accuracy)
        if chart is None:
            self._waiting.clear()
            return
        self._delay = chart.run_length(chart.accuracy - chart.drop)
        self._cusum = Cusum(chart, random.random)

    def look(self, now: float) -> Iterator[Reading]:  # noqa: ARG002 - runs are counted in replies, not in time
        """Yield whether an alarm has rung, or has not for long enough."""
        waiting, self._waiting = self._waiting, []
        if self._accuracy is None:
            self._learn(waiting)
            return
        cusum = self._cusum
        if cusum is None:
            self._waiting = waiting  # until the chart is made
            return
        for is_right in waiting:
            self._quiet += 1
            if cusum.observe(is_right=is_right):
                self._rang, self._quiet = True, 0
                yield Reading(KIND, (), is_bad=True, said=self._said(cusum.chart, "has dropped"))
        if self._rang and self._quiet >= _GOOD_FOR * self._delay:
            self._rang = False
            yield Reading(KIND, (), is_bad=False, said=self._said(cusum.chart, f"has held for {self._quiet} replies"))

    def _learn(self, heard: Sequence[bool]) -> None:
        self._right, self._heard = self._right + sum(heard), self._heard + len(heard)
        if self._heard >= LEARNT:
            low, _ = wilson(self._right, self._heard, level=_SIDE)
            self._accuracy = min(low, HIGHEST_ACCURACY)
            self._remember(self._grader, self._accuracy)

    def _said(self, chart: Chart, what: str) -> str:
        return (
            f"the share of Mini's sampled replies that are right, {chart.accuracy:.3f} as things should be, {what}; "
            f"the alarm is for {100 * chart.drop:g} percentage points"
        )
