"""Sampled signed losses -> an alarm when their mean has risen.

Each request multiplies the evidence by a likelihood ratio: how much likelier its loss is where the mean has doubled.
What is watched is the sum of the evidence gathered since each request that there was (Shiryaev and Roberts, where a
CUSUM takes the largest): it grows by 1 a request at most while the promise is kept, so that it reaches a limit after as
many requests on average, or later. That holds for graded losses too, for any sizes whose mean is no more than
`activity`, since the ratio bends upward on both sides of 0 and so is highest on average for losses of -1, 0 and 1.
Where Mini and Large begin to differ much more often than that, it rings sooner than stated, and calibration is due as
well. Keeps its sum in memory, for one process.

Source: Pollak 1985, "Optimal detection of a change in distribution", for the martingale behind the run length.
"""

import math

from classifier.calibrating.alarm import FALSE_ALARM_EVERY, MOST_RISK


class NetAlarm:
    """Watches one net promise.

    Args:
        risk: the promised mean of signed losses, above 0.0, up to `MOST_RISK`.
        activity: what the mean size of a loss is at most, 0.0 to 1.0.
        false_alarm_every: sampled requests between false alarms on average, at least, where the mean loss is `risk` or
            less.

    Attributes:
        observed: sampled requests that it has heard of.

    Raises:
        ValueError: the risk is out of range.
    """

    def __init__(self, risk: float, activity: float, *, false_alarm_every: float = FALSE_ALARM_EVERY) -> None:
        if not 0.0 < risk <= MOST_RISK:
            raise ValueError(f"a risk of {risk:g} cannot be watched; it must lie above 0, up to {MOST_RISK:g}")
        activity = min(1.0, max(activity, risk))
        self._tilt = _tilt(risk, activity)
        self._still = 1.0 / (
            1.0 + activity * (math.cosh(self._tilt) - 1.0) + risk * math.sinh(self._tilt)
        )  # the ratio of a loss of 0
        self._limit = false_alarm_every
        self.observed = 0
        self._sum = 0.0

    def observe(self, loss: float, *, spared: float = 0.0) -> bool:
        """Take one sampled request; tell whether the alarm rings, after which it begins anew.

        Args:
            loss: what it lost, -1.0 to 1.0: below 0 where Mini's reply was better.
            spared: how many sampled requests, on average, lost nothing for certain and were not told of since the last.

        Raises:
            ValueError: the loss is out of range or no number.
        """
        if not -1.0 <= loss <= 1.0:
            raise ValueError(f"a signed loss is {loss}; it must lie between -1 and 1")
        self.observed += 1
        faded = self._still**spared
        self._sum = self._sum * faded + self._still * (1.0 - faded) / (1.0 - self._still)
        self._sum = (1.0 + self._sum) * self._still * math.exp(self._tilt * loss)
        rings = self._sum >= self._limit
        if rings:
            self._sum = 0.0
        return rings


def _tilt(risk: float, activity: float) -> float:
    """Return the logarithm of the factor of a loss of 1 that doubles the mean of losses of -1, 0 and 1."""
    up, down, still = (activity + risk) / 2.0, (activity - risk) / 2.0, 1.0 - activity
    doubled = min(2.0 * risk, (1.0 + risk) / 2.0)
    # (up x - down / x) / (still + up x + down / x) = doubled, solved for x
    whole = 4.0 * (1.0 - doubled * doubled) * up * down
    return math.log((doubled * still + math.sqrt((doubled * still) ** 2 + whole)) / (2.0 * (1.0 - doubled) * up))
