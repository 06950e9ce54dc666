"""Scores and losses -> a threshold that keeps its promise.

The loss of a row at threshold t is what quality it gives up there: max(0, strong - weak) where the score lies below t,
for then Mini answers, and 0 elsewhere. The promise is that the mean loss of new requests like these rows is at most
`loss`, and it is kept in at least `confidence` of all draws of the rows: Learn-then-Test, which walks the threshold
upward from all-Large and stops at the first one whose test does not reject "the mean loss is above". What keeps it
keeps the net loss below as well, in which what Mini does better makes up for what it does worse; `net.py` promises no
more than that, and sends more to Mini for it.

Why any grid of thresholds may be walked, the scores of the rows among them: a row's loss never falls as t rises, and
each p-value here never falls as a loss rises. So, row for row, the p-value never falls along the walk. Let t* be the
last threshold that keeps the promise. Whoever stops beyond it has also rejected at the limit just above t*, a fixed
hypothesis that is true, and that happens with probability 1 - `confidence` at most. The walk may therefore try every
score, and find its end by bisection; tests without that order, such as bets whose size follows the losses, would need
a grid that was fixed before.

What remains to be assumed: rows are independent (draw one of each group), drawn like the traffic to come, and were not
seen when the score was fitted. A strictly rising calibration may have been fitted on them: it changes no order.

Source: Angelopoulos, Bates, Candes, Jordan and Lei 2021, "Learn then Test"; Bates et al. 2021, "Distribution-free,
Risk-controlling Prediction Sets", section 2, for losses that rise with the threshold.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]
Bound = Literal["exact", "betting", "hoeffding-bentkus"]
Count = Literal["lost", "net"]
"""What a promise is about: the mean of max(0, strong - weak) where Mini answers, or of strong - weak."""

Test = Callable[[Reals, float], float]
"""Losses of all rows and a mean -> p-value of "the true mean is above"; rises with each loss."""

BETS = 8  # sizes between which the capital is split
EXACT_TO = 1e-6  # of a bound that is found by bisection
MOST_PAIRS = 1_000_000  # more are never planned


@dataclass(frozen=True, slots=True)
class Certificate:
    """What can be promised from these rows, or what is missing.

    Attributes:
        loss: the promised mean, 0.0 to 1.0.
        threshold: on the scale of the scores, Large from it on; None where nothing can be promised.
        share_mini: of the rows.
        risk: mean loss of the rows at the threshold.
        bound: what the mean loss of new rows is below with `confidence`; at most `loss`. None without a threshold.
        activity: what the mean size of a new row's loss is below, gains counted as sizes too. None without a threshold.
        pairs: rows that this rests on.
        needed: how many more rows are the fewest with which it could be made; 0 where it is made, None where no number
            would do, since those that look easiest lose more already.
    """

    loss: float
    confidence: float
    threshold: float | None
    share_mini: float
    risk: float
    bound: float | None
    activity: float | None
    pairs: int
    needed: int | None


@dataclass(frozen=True, slots=True)
class Outlook:
    """How many pairs in all a useful promise would rest on, as far as these rows can tell."""

    share_mini: float
    risk: float
    pairs: int


def certify(
    scores: Reals, losses: Reals, *, loss: float, confidence: float, seed: int, bound: Bound = "exact"
) -> Certificate:
    """Return the highest threshold that keeps the promise.

    Args:
        scores: one for each independent row.
        losses: what sending the row to Mini gives up, 0.0 to 1.0.
        loss: to be promised, 0.0 to 1.0 exclusive.
        confidence: 0.0 to 1.0 exclusive.
        seed: of the order in which rows are bet on, and of what becomes of a graded loss in the exact test.
        bound: the test. For the exact one a loss between 0 and 1 becomes 1 with just that probability, and else 0: the
            mean stays, the test holds for losses of any kind, and in simulations it promised more than betting did.
    """
    chance, test = np.random.default_rng(seed), _TESTS[bound]
    order = chance.permutation(len(scores))
    scores, losses = scores[order], losses[order]
    tested = (chance.random(len(losses)) < losses).astype(float) if bound == "exact" else losses
    steps = _steps(scores)

    def lost(step: int) -> Reals:
        return np.where(scores < steps[step], tested, 0.0)

    def passes(step: int) -> bool:
        return test(lost(step), loss) <= 1.0 - confidence

    last = _last(passes, len(steps))
    if last == 0:
        needed = _needed(lost(1), loss=loss, confidence=confidence)
        return Certificate(loss, confidence, None, 0.0, 0.0, None, None, len(scores), needed)
    at_most = _bound(test, lost(last), loss=loss, confidence=confidence)
    return Certificate(
        loss=loss,
        confidence=confidence,
        threshold=float(steps[last]),
        share_mini=float((scores < steps[last]).mean()),
        risk=float(np.where(scores < steps[last], losses, 0.0).mean()),
        bound=at_most,
        activity=at_most,
        pairs=len(scores),
        needed=0,
    )


def outlook(scores: Reals, losses: Reals, *, loss: float, confidence: float) -> Outlook | None:
    """Return the plan for the highest threshold at which the rows lose half of `loss`; None where there is none."""
    order, steps = np.argsort(scores), _steps(scores)
    below = np.searchsorted(scores[order], steps)  # how many rows go to Mini at each step
    risks = np.concatenate(([0.0], np.cumsum(losses[order])))[below] / len(scores)
    affordable = int(np.flatnonzero(risks <= loss / 2)[-1])
    if affordable == 0:
        return None
    pairs = pairs_needed(float(risks[affordable]), loss=loss, confidence=confidence)
    share = float(below[affordable]) / len(scores)
    return None if pairs is None else Outlook(share, float(risks[affordable]), pairs)


def one_of_each(groups: list[str], *, seed: int) -> list[int]:
    """Return one row of each group, drawn at random, in the order of the rows: what is left is independent."""
    chance = np.random.default_rng(seed).permutation(len(groups)).tolist()
    return sorted({groups[row]: row for row in chance}.values())


# --- planning --------------------------------------------------------------------------------------


def fewest_pairs(*, loss: float, confidence: float) -> int:
    """Return how many rows without any loss are the fewest that can make the promise: 114 for .02 at .9."""
    return math.ceil(math.log(1.0 - confidence) / math.log1p(-loss))


def pairs_needed(risk: float, *, loss: float, confidence: float, power: float = 0.9) -> int | None:
    """Return how many rows make the promise with probability `power` when the mean loss is `risk`.

    Counts 0/1 losses with the exact binomial test; losses in between vary less and need fewer.

    Returns:
        None where `risk` is `loss` or more, or so near that `MOST_PAIRS` are too few.
    """
    if risk >= loss:
        return None
    few = fewest_pairs(loss=loss, confidence=confidence)

    def suffices(pairs: int) -> bool:
        allowed = losses_allowed(pairs, loss=loss, confidence=confidence)
        return allowed >= 0 and binomial_cdf(allowed, pairs, risk) >= power

    many = few
    while not suffices(many):
        many *= 2
        if many > MOST_PAIRS:
            return None
    low, high = max(few, many // 2), many
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if suffices(middle) else (middle + 1, high)
    return high


def losses_allowed(pairs: int, *, loss: float, confidence: float) -> int:
    """Return how many losses of 1 the exact test forgives in so many rows; -1 where even none is too many."""
    allowed, tail = -1, 0.0
    for count in range(pairs + 1):
        tail += _binomial(count, pairs, loss)
        if tail > 1.0 - confidence:
            break
        allowed = count
    return allowed


# --- tests -----------------------------------------------------------------------------------------


def exact(losses: Reals, mean: float) -> float:
    """Return the binomial p-value; only for losses that are 0 or 1."""
    return binomial_cdf(round(float(losses.sum())), len(losses), mean)


def betting(losses: Reals, mean: float) -> float:
    """Return the p-value of a gambler who wins when losses are small.

    Capital is split evenly between fixed sizes of bets on "the next loss is below `mean`"; it is the highest capital
    on the way that counts. Fixed sizes keep the p-value rising with each loss.

    Source: Waudby-Smith and Ramdas 2024, "Estimating means of bounded random variables by betting", section 4 and
    the grid of bets of appendix B.
    """
    sizes = (np.arange(BETS) + 0.5) / BETS / (1.0 - mean)
    capital = np.cumsum(np.log1p(np.outer(sizes, mean - losses)), axis=1)
    highest = float(np.logaddexp.reduce(capital, axis=0).max()) - math.log(BETS)
    return min(1.0, math.exp(-highest))


def hoeffding_bentkus(losses: Reals, mean: float) -> float:
    """Return the p-value that needs no order of the rows; weaker than `betting` where losses are small.

    Source: Bates et al. 2021, "Distribution-free, Risk-controlling Prediction Sets", theorem 4.
    """
    count, found = len(losses), min(float(losses.mean()), mean)
    apart = sum(
        share * math.log(share / other) for share, other in ((found, mean), (1.0 - found, 1.0 - mean)) if share > 0.0
    )
    bentkus = math.e * binomial_cdf(math.ceil(float(losses.sum()) - EXACT_TO), count, mean)
    return min(1.0, math.exp(-count * apart), bentkus)


def binomial_cdf(count: int, pairs: int, chance: float) -> float:
    """Return P(at most `count` of `pairs`)."""
    return min(1.0, math.fsum(_binomial(each, pairs, chance) for each in range(count + 1)))


def _binomial(count: int, pairs: int, chance: float) -> float:
    if chance <= 0.0:
        return float(count == 0)
    ways = math.lgamma(pairs + 1) - math.lgamma(count + 1) - math.lgamma(pairs - count + 1)
    return math.exp(ways + count * math.log(chance) + (pairs - count) * math.log1p(-chance))


# --- the walk --------------------------------------------------------------------------------------


_TESTS: Mapping[str, Test] = {"exact": exact, "betting": betting, "hoeffding-bentkus": hoeffding_bentkus}


def _steps(scores: Reals) -> Reals:
    """Return the thresholds from all-Large (the lowest score) to all-Mini (just above the highest)."""
    distinct = np.unique(scores)
    return np.append(distinct, np.nextafter(distinct[-1], np.inf))


def _last(passes: Callable[[int], bool], count: int) -> int:
    """Return the last step up to which all pass; step 0 is all-Large and needs no test."""
    low, high = 0, count - 1
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if passes(middle) else (low, middle - 1)
    return low


def _needed(lost: Reals, *, loss: float, confidence: float) -> int | None:
    """Return how many rows are missing, seen from the losses of the first step of the walk."""
    rows, found = len(lost), float(lost.sum())
    if 1.0 - binomial_cdf(math.ceil(found) - 1, rows, loss) <= 1.0 - confidence:
        return None
    fewest = fewest_pairs(loss=loss, confidence=confidence)
    planned = pairs_needed(min(found / rows, loss / 2), loss=loss, confidence=confidence) or fewest
    return max((fewest if rows < fewest else planned) - rows, 1)


def _bound(test: Test, losses: Reals, *, loss: float, confidence: float) -> float:
    low, high = float(losses.mean()), loss
    while high - low > EXACT_TO:
        middle = (low + high) / 2
        low, high = (low, middle) if test(losses, middle) <= 1.0 - confidence else (middle, high)
    return high
