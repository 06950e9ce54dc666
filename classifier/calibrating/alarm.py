"""Sampled losses -> an alarm when their mean has risen.

A sum rises by a loss's weight and falls by one step for each request without any; it never falls below 0, and the
alarm rings when it reaches a limit. Against 0/1 losses this is the likelihood ratio CUSUM for a mean that has doubled.
With whole steps its run lengths are exact: `false_alarm_every` is met from above for losses of 0 and 1, the most
variable ones, and graded losses ring more seldom. Keeps its sum in memory, for one process.

Source: Page 1954, "Continuous Inspection Schemes"; Reynolds and Stoumbos 1999, "A CUSUM chart for monitoring a
proportion when inspecting continuously", for whole steps.
"""

import math
from dataclasses import dataclass

FALSE_ALARM_EVERY = 20_000.0  # sampled requests: at one of a hundred, two million requests
MOST_RISK = 0.4  # beyond, a sum that falls by whole steps is no good likelihood ratio
_STABLE = 25.0  # nats by which numbers may grow while run lengths are worked out; floats hold 36


@dataclass(frozen=True, slots=True)
class Chart:
    """How sums move and when they ring.

    Attributes:
        risk: the mean loss that was promised.
        up: steps that a loss of 1 adds; a loss of 0 takes one step away.
        limit: steps at which the alarm rings.
    """

    risk: float
    up: int
    limit: int

    def run_length(self, mean: float) -> float:
        """Return how many sampled requests pass until the alarm, on average, where 0/1 losses have this mean.

        For a mean far above the risk, which has the sum rise straight to its limit, this is Wald's approximation.
        """
        if -self.limit * math.log1p(-mean) > _STABLE:
            return self.limit / (mean * (self.up + 1) - 1.0)
        return _Lengths(mean, self.up).at(self.limit)


def chart(risk: float, *, false_alarm_every: float = FALSE_ALARM_EVERY) -> Chart:
    """Return the chart with the lowest limit that rings falsely at most so often.

    Args:
        risk: above 0.0, up to `MOST_RISK`.
        false_alarm_every: sampled requests between false alarms on average, where the mean loss is `risk`.

    Raises:
        ValueError: the risk is out of range.
    """
    if not 0.0 < risk <= MOST_RISK:
        raise ValueError(f"a risk of {risk:g} cannot be watched; it must lie above 0, up to {MOST_RISK:g}")
    doubled = min(2 * risk, (1 + risk) / 2)
    up = max(1, round(math.log(doubled / risk) / math.log((1 - risk) / (1 - doubled))))
    lengths, limit = _Lengths(risk, up), 1
    while lengths.at(limit) < false_alarm_every:
        limit += 1
    return Chart(risk, up, limit)


class Alarm:
    """Watches one promise.

    Attributes:
        chart: how it does so; `chart.run_length(2 * risk)` is the average delay when the loss has doubled.
        observed: sampled requests that it has heard of.
    """

    def __init__(self, risk: float, *, false_alarm_every: float = FALSE_ALARM_EVERY) -> None:
        self.chart = chart(risk, false_alarm_every=false_alarm_every)
        self.observed = 0
        self._sum = 0.0

    def observe(self, loss: float, *, spared: float = 0.0) -> bool:
        """Take one sampled request; tell whether the alarm rings, after which it begins anew.

        Args:
            loss: what it lost, 0.0 to 1.0.
            spared: how many sampled requests, on average, lost nothing for certain and were not told of since the last.

        Raises:
            ValueError: the loss is out of range or no number.
        """
        if not 0.0 <= loss <= 1.0:
            raise ValueError(f"a loss is {loss}; it must lie between 0 and 1")
        self.observed += 1
        self._sum = max(0.0, max(0.0, self._sum - spared) + loss * (self.chart.up + 1) - 1.0)
        rings = self._sum >= self.chart.limit
        if rings:
            self._sum = 0.0
        return rings


class _Lengths:
    """Average run lengths from a sum of 0, for all limits.

    With E(i) for the steps to come from a sum of i, E(i) = 1 + (1 - p) E(i - 1) + p E(i + up), and E = 0 from the limit
    on. Solved downward from just below the limit: E there is an unknown x, and at a distance d it is a(d) + b(d) x,
    whatever the limit is. The sum cannot fall below 0, which gives the equation for x.
    """

    def __init__(self, mean: float, up: int) -> None:
        self._mean, self._up = mean, up
        self._a, self._b = [0.0, 0.0], [0.0, 1.0]  # at distances 0 and 1

    def at(self, limit: int) -> float:
        """Return the average run length for a limit of 1 or more."""
        p, up, a, b = self._mean, self._up, self._a, self._b
        while len(a) <= limit:
            last = len(a) - 1
            further = max(last - up, 0)
            a.append((a[last] - 1.0 - p * a[further]) / (1.0 - p))
            b.append((b[last] - p * b[further]) / (1.0 - p))
        beyond = max(limit - up, 0)
        x = (1.0 / p - a[limit] + a[beyond]) / (b[limit] - b[beyond])
        return a[limit] + b[limit] * x
