"""Logits and signed losses -> a threshold that keeps its net promise.

The net loss of a row is strong - weak where its logit lies below the threshold, so that Mini answers, and 0 elsewhere:
what Mini does better counts against what it does worse, and the mean is all-Large's mean quality less the mix's.

It may fall as the threshold rises. So the walk takes only thresholds that were fixed before any row was seen, `GRID`,
from all-Large upward, and ends at the first whose test does not reject "the mean net loss is above": it ends beyond a
threshold that breaks the promise only where the first such one was rejected, which happens with probability
1 - `confidence` at most. What must be assumed is what `guarantee.py` assumes.

The test. A graded loss becomes 1 or -1 with a probability of its size, and else 0, which keeps its mean; what is left
is a sum S of steps up, down and still. Its tail at a true mean of just `loss` is counted exactly, but hangs on the
activity, the chance of a step that is not still. That is no more than its Clopper-Pearson limit but for a probability
of `DOUBT` times what may go wrong, and this is added to the p-value. Below the mean the tail rises with the activity,
so the limit stands for all that lies beneath it: with a = activity and S' the sum of one step fewer, the derivative of
P(S <= s) by a at a fixed mean is n / 2 (P(S' = s + 1) - P(S' = s)). While a <= (1 + mean^2) / 2, the polynomial of a
step has real roots only, S' + n - 1 is a sum of independent 0/1 draws, and its chances rise up to the whole number
below its mean. Beyond such an activity Chernoff's bound stands in, which rises with it everywhere.

Source: Angelopoulos, Bates, Candes, Jordan and Lei 2021, "Learn then Test", for walks in a fixed order; Berger and Boos
1994, "P values maximized over a confidence set for the nuisance parameter"; Darroch 1964, "On the distribution of the
number of successes in independent trials", for the sum's mode.
"""

import math
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from classifier.calibrating.guarantee import EXACT_TO, MOST_PAIRS, Certificate, Outlook, fewest_pairs
from classifier.calibrating.maps import LIMIT, Reals

Counts = NDArray[np.int64]

GRID = np.linspace(-LIMIT, LIMIT, 80_001)
"""All thresholds that are tried: .001 apart, since there are scores that all lie within one logit."""

DOUBT = 0.05
"""The part of what may go wrong that is spent on the activity."""

UNSEEN = 35.0  # nats; what is less likely than e^-35 is lost in a float's rounding of 1


def certify_net(logits: Reals, losses: Reals, *, loss: float, confidence: float, seed: int) -> Certificate:
    """Return the last threshold of the grid up to which all keep the net promise.

    Args:
        logits: of the scores, within `LIMIT`, one for each independent row; no calibration that saw the rows' losses.
        losses: what sending the row to Mini gives up, -1.0 to 1.0: strong - weak.
        loss: to be promised, 0.0 to 1.0 exclusive.
        confidence: 0.0 to 1.0 exclusive.
        seed: of what becomes of graded losses.
    """
    walk = _Walk(logits, losses, confidence=confidence, seed=seed)
    last = walk.end(loss)
    if last == 0:
        return Certificate(loss, confidence, None, 0.0, 0.0, None, None, walk.rows, walk.needed(loss))
    threshold = float(GRID[np.flatnonzero(walk.on_grid == walk.below[last])[-1]])
    risk = float(np.where(logits < threshold, losses, 0.0).mean())
    return Certificate(
        loss=loss,
        confidence=confidence,
        threshold=threshold,
        share_mini=float(walk.below[last]) / walk.rows,
        risk=risk,
        bound=walk.bound(last, low=max(risk, 0.0), high=loss),
        activity=walk.most_active(last),
        pairs=walk.rows,
        needed=0,
    )


def outlook_net(logits: Reals, losses: Reals, *, loss: float, confidence: float) -> Outlook | None:
    """Return the plan for the last threshold up to which the rows lose half of `loss`; None where there is none."""
    order, rows = np.argsort(logits, kind="stable"), len(logits)
    below = np.unique(np.searchsorted(logits[order], GRID))
    risks, sizes = (np.append(0.0, np.cumsum(each[order]))[below] / rows for each in (losses, np.abs(losses)))
    beyond = np.flatnonzero(risks > loss / 2)
    last = (int(beyond[0]) if len(beyond) else len(below)) - 1
    if last == 0:
        return None
    risk, activity = float(risks[last]), float(sizes[last])
    pairs = _planned(risk, activity, loss=loss, confidence=confidence)
    return Outlook(float(below[last]) / rows, risk, pairs) if pairs <= MOST_PAIRS else None


@lru_cache(maxsize=64)
def fewest_pairs_net(*, loss: float, confidence: float) -> int:
    """Return how many rows without any difference are the fewest that can make the promise."""

    def suffices(rows: int) -> bool:
        return p_value(0, 0, rows, mean=loss, doubt=DOUBT * (1.0 - confidence)) <= 1.0 - confidence

    low = fewest_pairs(loss=loss, confidence=confidence)
    high = 2 * low
    while not suffices(high):
        high *= 2
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if suffices(middle) else (middle + 1, high)
    return high


# --- the test --------------------------------------------------------------------------------------


def p_value(net: int, moved: int, rows: int, *, mean: float, doubt: float) -> float:
    """Return the p-value of "the true mean is above" for steps of -1, 0 and 1.

    Args:
        net: their sum.
        moved: how many are not 0.
        mean: 0.0 to 1.0, exclusive.
        doubt: probability, added to the p-value, with which the activity may lie above its limit.
    """
    most = most_active(moved, rows, doubt=doubt)
    if most <= mean:  # so few steps cannot have so high a mean
        return doubt
    if most > (1.0 + mean * mean) / 2.0:
        return min(1.0, doubt + float(chernoff(np.array([net]), rows, mean=mean, activity=np.array([most]))[0]))
    if net >= math.floor((rows - 1) * mean):
        return 1.0
    return min(1.0, doubt + tail(net, rows, mean=mean, activity=most))


def tail(net: int, rows: int, *, mean: float, activity: float) -> float:
    """Return P(the sum of so many steps <= `net`), from its characteristic function; exact but for rounding.

    Sums that are farther out than Bernstein's inequality lets floats tell from impossible are left out.
    """
    reach = math.sqrt(2.0 * UNSEEN * rows * activity) + 4.0 / 3.0 * UNSEEN
    farthest = min(rows, math.ceil(rows * mean + reach))
    size = 1 << (2 * farthest).bit_length()
    angles = 2.0 * math.pi / size * np.arange(size // 2 + 1)
    one = 1.0 - activity + activity * np.cos(angles) - 1j * mean * np.sin(angles)
    chances = np.roll(np.fft.irfft(one**rows, size), farthest)  # the first is that of -farthest
    return float(min(1.0, max(0.0, chances[: max(0, farthest + net + 1)].sum())))


def chernoff(net: Counts, rows: int, *, mean: float, activity: Reals) -> Reals:
    """Return bounds that P(the sum <= `net`) is below, for an activity above the mean and for any lower one."""
    up, down = (activity + mean) / 2.0, (activity - mean) / 2.0
    still = 1.0 - activity
    root = np.sqrt((net * still) ** 2 + 4.0 * (float(rows) ** 2 - net.astype(float) ** 2) * up * down)
    tilt = np.clip(2.0 * (rows - net) * up / np.maximum(net * still + root, 1e-300), 1.0, 1e6)  # any gives a bound
    return np.asarray(np.exp(np.minimum(0.0, net * np.log(tilt) + rows * np.log(still + up / tilt + down * tilt))))


@lru_cache(maxsize=4_096)
def most_active(moved: int, rows: int, *, doubt: float) -> float:
    """Return what the activity lies above with probability `doubt` at most (Clopper and Pearson 1934)."""
    if moved >= rows:
        return 1.0
    ways = _ways(moved, rows)
    counts = np.arange(moved + 1)
    low, high = moved / rows, min(1.0, float(_roughly_most_active(np.array([moved]), rows, doubt=doubt)[0]))
    while high - low > EXACT_TO:
        middle = (low + high) / 2.0
        chance = np.exp(ways + counts * math.log(middle) + (rows - counts) * math.log1p(-middle)).sum()
        low, high = (middle, high) if chance > doubt else (low, middle)
    return high


def _roughly_most_active(moved: Counts, rows: int, *, doubt: float) -> Reals:
    """Return limits that are never below `most_active`: Chernoff's, solved with a little to spare."""
    reach = -math.log(doubt) / rows
    share = moved / rows
    return np.asarray(share + np.sqrt(2.0 * share * reach) + 2.0 * reach)


def _ways(most: int, rows: int) -> Reals:
    """Return the logarithms of how many ways there are to choose 0 to `most` of the rows."""
    counts = np.arange(1, most + 1)
    return np.append(0.0, np.cumsum(np.log((rows - counts + 1) / counts)))


# --- the walk --------------------------------------------------------------------------------------


class _Walk:
    """Rows in the order of the grid.

    Attributes:
        on_grid: how many rows go to Mini at each threshold of the grid.
        below: the same, each number once, the first 0; where it is equal, so is the test.
        net, moved: sum and number of the steps of those rows.
    """

    def __init__(self, logits: Reals, losses: Reals, *, confidence: float, seed: int) -> None:
        chance = np.random.default_rng(seed)
        steps = np.sign(losses).astype(np.int64) * (chance.random(len(losses)) < np.abs(losses))
        order = np.argsort(logits, kind="stable")
        self.rows, self._confidence, self._wrong = len(logits), confidence, 1.0 - confidence
        self._doubt = DOUBT * self._wrong
        self.on_grid = np.searchsorted(logits[order], GRID)
        self.below = np.unique(self.on_grid)
        self.net, self.moved = (
            np.append(0, np.cumsum(each[order]))[self.below] for each in (steps, (steps != 0).astype(np.int64))
        )

    def end(self, mean: float) -> int:
        """Return the last place in `below` up to which all pass; 0, which is all-Large, where none does."""
        last = len(self.below) - 1
        for place in self._unsure(mean, last):
            if not self._passes(place, mean):
                return max(0, place - 1)
        return last

    def bound(self, last: int, *, low: float, high: float) -> float:
        """Return the lowest mean, between these, with which the walk would have come as far as with the high one."""
        for place in reversed(self._unsure(low, last)):
            if self._passes(place, low):
                continue
            least, low = low, high
            while low - least > EXACT_TO:
                middle = (least + low) / 2.0
                least, low = (least, middle) if self._passes(place, middle) else (middle, low)
        return low

    def most_active(self, place: int) -> float:
        """Return the limit of the activity there."""
        return most_active(int(self.moved[place]), self.rows, doubt=self._doubt)

    def needed(self, loss: float) -> int | None:
        """Return how many rows are missing, seen from the first step; see `Certificate.needed`."""
        fewest = fewest_pairs_net(loss=loss, confidence=self._confidence)
        if self.rows < fewest:
            return fewest - self.rows
        first = min(1, len(self.below) - 1)
        mean, activity = (float(each[first]) / self.rows for each in (self.net, self.moved))
        certain = NormalDist().inv_cdf(self._confidence)
        if mean - loss > certain * math.sqrt(max(activity - mean * mean, 0.0) / self.rows):
            return None
        planned = _planned(min(mean, loss / 2), activity, loss=loss, confidence=self._confidence)
        return max(planned - self.rows, 1)

    def _unsure(self, mean: float, last: int) -> list[int]:
        """Return the places up to the last that looser and quicker bounds do not let pass."""
        net, moved = self.net[: last + 1], self.moved[: last + 1]
        most = np.maximum(_roughly_most_active(moved, self.rows, doubt=self._doubt), mean)
        chances = chernoff(net, self.rows, mean=mean, activity=np.minimum(most, 1.0))
        found: list[int] = np.flatnonzero((most > 1.0) | (self._doubt + chances > self._wrong)).tolist()
        return found

    def _passes(self, place: int, mean: float) -> bool:
        net, moved = int(self.net[place]), int(self.moved[place])
        return p_value(net, moved, self.rows, mean=mean, doubt=self._doubt) <= self._wrong


def _planned(risk: float, activity: float, *, loss: float, confidence: float, power: float = 0.9) -> int:
    """Return about how many rows make the promise with probability `power`, by the normal approximation."""
    certain, likely = (NormalDist().inv_cdf(each) for each in (confidence, power))
    spread = math.sqrt(max(activity, loss))
    rows = math.ceil(((certain + likely) * spread / (loss - risk)) ** 2)
    return max(rows, fewest_pairs_net(loss=loss, confidence=confidence))
