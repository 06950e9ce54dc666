"""Costs of requests -> whether the last hour was far dearer than hours are; budgets -> which are nearly spent.

What is usual is the spending that one hour in ten of the last week was above, so that a busy time of day is no alarm;
it is known when a day of hours is.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np

from router.alerts.base import Reading, Settled
from router.base import Record
from router.guards.limits.base import Use

HOUR: Final = 3_600.0
MINUTE: Final = 60.0
WEEK: Final = 168  # hours
FEWEST: Final = 24  # hours
USUAL: Final = 0.9
NANO: Final = 1e9


class CostRate:
    """A `router.alerts.base.Detector`.

    Args:
        factor: by which an hour may be above the usual.
        most: nano-USD that an hour may cost; None: no such limit.
        hours: nano-USD of full hours before, oldest first.
        remember: takes them when another hour is full.
    """

    def __init__(
        self, *, factor: float, most: int | None, hours: Sequence[int], remember: Callable[[Sequence[int]], None]
    ) -> None:
        self._factor, self._most, self._remember = factor, most, remember
        self._hours = [*hours][-WEEK:]
        self._minutes: list[int] = []  # full ones of the last hour
        self._spent = 0
        self._minute: float | None = None
        self._of_hour = 0

    def take(self, settled: Sequence[Settled]) -> None:
        """Add up their costs."""
        self._spent += sum(_known_cost(record) for _, record in settled)

    def look(self, now: float) -> Iterator[Reading]:
        """Yield what the last hour says, once a minute."""
        if self._minute is None or now < self._minute:  # the clock was set back
            self._minute = now
        if now - self._minute < MINUTE:
            return
        self._minute = now
        self._minutes, self._spent = [*self._minutes, self._spent][-60:], 0
        self._of_hour += 1
        last = sum(self._minutes)
        if self._of_hour >= HOUR / MINUTE:
            self._of_hour = 0
            self._hours = [*self._hours, last][-WEEK:]
            self._remember(self._hours)
        reading = self._reading(last)
        if reading is not None:
            yield reading

    def _reading(self, last: int) -> Reading | None:
        limits = [] if self._most is None else [(float(self._most), "the limit")]
        if len(self._hours) >= FEWEST:
            usual = float(np.quantile(self._hours, USUAL))
            if usual > 0:
                limits.append((self._factor * usual, f"{self._factor:g} times the usual"))
        if not limits:
            return None
        limit, name = min(limits)
        return Reading("cost_rate", (), last > limit, f"{last / NANO:.4f} USD in an hour; {name} is {limit / NANO:.4f}")


class Budgets:
    """A `router.alerts.base.Detector`.

    Args:
        uses: gives what those have used whose money is limited.
        share: of a budget, from which on it is nearly spent.
    """

    def __init__(self, uses: Callable[[], Sequence[Use]], share: float) -> None:
        self._uses, self._share = uses, share
        self._looked = 0.0

    def take(self, settled: Sequence[Settled]) -> None:
        """Take no notice: the limits count what is spent."""

    def look(self, now: float) -> Iterator[Reading]:
        """Yield how far each tenant is, once a minute."""
        if 0.0 <= now - self._looked < MINUTE:
            return
        self._looked = now
        for use in self._uses():
            budget, spent = use.whole.budget, use.spent + use.elsewhere
            if budget:
                said = f"{spent / NANO:.4f} of {budget / NANO:.4f} USD of this {use.whole.span.value} are spent"
                yield Reading("budget_spent", (("tenant", use.name),), spent >= self._share * budget, said)


def _known_cost(record: Record) -> int:
    return sum(attempt.cost or 0 for attempt in record.attempts)
