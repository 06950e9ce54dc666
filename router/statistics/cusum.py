"""Right and wrong answers, one after the other -> an alarm when fewer of them are right.

The sum S rises with each wrong answer and falls with each right one by the logarithm of how much likelier it is where
the accuracy has dropped, never below 0, and the alarm rings where S reaches a limit h. Sums are whole numbers of a
small unit: so the chain of Brook and Evans holds every sum that there can be, and run lengths are exact but for
rounding. ARL0, the average run length to a false alarm, is met exactly: a run takes one of two neighbouring limits, by
a draw that makes the average what was asked for. The exact drop that steps are best for may differ a little from the
one asked for, since they are rounded; what was promised of false alarms does not.

Source: Page 1954, "Continuous Inspection Schemes"; Brook and Evans 1972, "An approach to the probability distribution
of CUSUM run length"; Reynolds and Stoumbos 1999, "A CUSUM chart for monitoring a proportion when inspecting
continuously".
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from router.statistics.watchable import DROP, FALSE_ALARM_EVERY, HIGHEST_ACCURACY, LOWEST_AFTER, SMALLEST_DROP

Reals = NDArray[np.float64]

MOST_STATES: Final = 3_000  # of the chain, each of which takes some microseconds
_FINEST: Final = 48  # units in the smaller step


@dataclass(frozen=True, slots=True)
class Chart:
    """How sums move, and when they ring.

    Attributes:
        accuracy, drop: of which, and by how much it falls; absolute, 0.0 to 1.0.
        unit: nats.
        up, down: units by which a wrong answer raises the sum, and a right one lowers it.
        limit: units; the higher of the two.
        low: the share of runs whose limit is the one below `limit`.
    """

    accuracy: float
    drop: float
    unit: float
    up: int
    down: int
    limit: int
    low: float

    @property
    def h(self) -> float:
        """Return the limit in nats."""
        return self.limit * self.unit

    def run_length(self, accuracy: float) -> float:
        """Return how many answers pass until the alarm, on average, where so many are right."""
        above = arl(accuracy, up=self.up, down=self.down, limit=self.limit)
        if self.low == 0.0:
            return above
        return self.low * arl(accuracy, up=self.up, down=self.down, limit=self.limit - 1) + (1.0 - self.low) * above


def chart(accuracy: float, *, drop: float = DROP, false_alarm_every: float = FALSE_ALARM_EVERY) -> Chart:
    """Return the chart whose false alarms are just so far apart.

    Args:
        accuracy: share of answers that are right as things should be, 0.0 to 1.0 exclusive.
        drop: to be found, absolute.
        false_alarm_every: answers, 10 or more.

    Raises:
        ValueError: there is no such drop, or no such chart.
    """
    if not SMALLEST_DROP <= drop < 1.0 or not drop + LOWEST_AFTER <= accuracy <= HIGHEST_ACCURACY:
        raise ValueError(
            f"a drop of {drop:g} from an accuracy of {accuracy:g} cannot be watched; the drop must be {SMALLEST_DROP:g}"
            f" or more, and the accuracy between {drop + LOWEST_AFTER:g} and {HIGHEST_ACCURACY:g}"
        )
    fewest = max(10.0, 1.0 / (1.0 - accuracy))  # so often the first wrong answer would ring
    if not math.isfinite(false_alarm_every) or false_alarm_every < fewest:
        raise ValueError(f"false alarms every {false_alarm_every:g} answers are too many; take {fewest:g} or more")
    after = accuracy - drop
    up, down = math.log((1.0 - after) / (1.0 - accuracy)), math.log(accuracy / after)
    guess = math.log(false_alarm_every) + up
    ups, downs, unit = _whole(up, down, most=int(MOST_STATES * min(up, down) / guess))
    limit, longer, shorter = _limit(
        lambda limit: arl(accuracy, up=ups, down=downs, limit=limit), false_alarm_every, guess=guess / unit
    )
    low = 0.0 if longer <= shorter else (longer - false_alarm_every) / (longer - shorter)
    return Chart(accuracy, drop, unit, ups, downs, limit, min(max(low, 0.0), 1.0))


@dataclass(slots=True)
class Cusum:
    """Watches answers by a chart.

    Args:
        draw: gives a number from 0 to 1 for the limit of each run.

    Attributes:
        observed: answers that it has heard of.
        level: how far the sum is, as a share of the limit.
    """

    chart: Chart
    draw: Callable[[], float]
    observed: int = field(default=0, init=False)
    _sum: int = field(default=0, init=False)
    _limit: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        """Begin the first run."""
        self._begin()

    @property
    def level(self) -> float:
        """Return how far the sum is on its way to the limit."""
        return self._sum / self._limit

    def observe(self, *, is_right: bool) -> bool:
        """Take one answer; tell whether the alarm rings, after which it begins anew."""
        self.observed += 1
        if is_right:
            self._sum = max(0, self._sum - self.chart.down)
            return False
        self._sum += self.chart.up
        if self._sum < self._limit:
            return False
        self._begin()
        return True

    def _begin(self) -> None:
        self._sum = 0
        self._limit = max(1, self.chart.limit - (self.draw() < self.chart.low))


def arl(accuracy: float, *, up: int, down: int, limit: int) -> float:
    """Return the average run length from a sum of 0; the chain's states are 0 to `limit` - 1 units.

    Solves E(i) = 1 + p E(max(i - down, 0)) + (1 - p) E(i + up), with E = 0 from the limit on, by elimination within
    the band around the diagonal; no rows are exchanged, which diagonally dominant rows do without.
    """
    width = down + up + 1  # of the band: row i holds the columns i - down to i + up
    band = np.zeros((limit + down, width + 1))  # one more column, so that a row may be read where the next one stands
    states = np.arange(limit)
    band[states, down] = 1.0
    np.subtract.at(band, (states, np.maximum(states - down, 0) - states + down), accuracy)
    band[: max(0, limit - up), down + up] -= 1.0 - accuracy
    right = np.ones(limit + down)
    across = band.strides[1]
    for row in range(limit):
        pivot = band[row, down : down + up + 1]
        below = np.lib.stride_tricks.as_strided(
            band[row + 1 :, down - 1 :], (down, up + 1), (band.strides[0] - across, across)
        )
        factors = below[:, 0] / pivot[0]
        below -= np.outer(factors, pivot)
        right[row + 1 : row + 1 + down] -= factors * right[row]
    for row in range(limit - 1, -1, -1):
        beyond = right[row + 1 : min(limit, row + 1 + up)]
        right[row] = (right[row] - band[row, down + 1 : down + 1 + len(beyond)] @ beyond) / band[row, down]
    return float(right[0])


def normal_arl(shift: float, *, k: float, h: float, states: int = 400) -> float:
    """Return the average run length of a one-sided CUSUM of normal draws around `shift`, in standard deviations.

    Args:
        k: taken from each draw.
        h: the limit.
        states: of the chain; the error falls with their square.
    """
    width = 2.0 * h / (2 * states - 1)
    edges = (np.arange(-states, states + 1) - 0.5) * width + k - shift  # of the move from one state to another
    below = np.array([0.5 * math.erfc(-edge / math.sqrt(2.0)) for edge in edges.tolist()])
    inside = np.diff(below)
    start, end = np.meshgrid(np.arange(states), np.arange(states), indexing="ij")
    moves = inside[end - start + states]
    moves[:, 0] = below[1 - np.arange(states) + states]  # to 0 from all that is lower
    return float(np.linalg.solve(np.eye(states) - moves, np.ones(states))[0])


def two_sided(upper: float, lower: float) -> float:
    """Return the average run length of two one-sided charts that watch together, from those of each."""
    return 1.0 / (1.0 / upper + 1.0 / lower)


def _whole(up: float, down: float, *, most: int) -> tuple[int, int, float]:
    """Return both steps in units, and the unit: the fraction that comes nearest to theirs.

    Args:
        most: units in the smaller step.
    """
    small, ratio = min(up, down), max(up, down) / min(up, down)
    parts = range(1, max(1, min(most, _FINEST)) + 1)
    best = min(parts, key=lambda part: (abs(round(part * ratio) / (part * ratio) - 1.0), part))
    long = round(best * ratio)
    return (long, best, small / best) if up > down else (best, long, small / best)


def _limit(length: Callable[[int], float], wanted: float, *, guess: float) -> tuple[int, float, float]:
    """Return the lowest limit whose runs are at least as long, their length, and that of the limit below."""
    known: dict[int, float] = {}

    def at(limit: int) -> float:
        if limit not in known:
            known[limit] = length(limit)
        return known[limit]

    low, high = 0, max(2, round(guess))
    while at(high) < wanted:
        low, high = high, high + max(1, high // 4)
    while high - low > 1:
        middle = (low + high) // 2
        if low:  # lengths grow as the exponential of the limit: look where they should be as long as wanted
            slope = (math.log(at(high)) - math.log(at(low))) / (high - low)
            aim = low + round(math.log(wanted / at(low)) / slope) if slope > 0 else middle
            middle = min(max(aim, low + 1), high - 1)
        low, high = (middle, high) if at(middle) < wanted else (low, middle)
    return high, at(high), at(low) if low else 1.0
