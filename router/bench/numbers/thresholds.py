"""Pairs of which the truth is known -> how often a certified threshold loses more than it promised, and its Mini share.

A run draws pairs, certifies a threshold as `./tandem calibrate` does, and looks up in the whole population what that
threshold loses. The oracle is who knows the population: the highest threshold that keeps the promise. Beside it stands
the naive threshold, the highest one that keeps the promise on the pairs themselves.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from classifier.calibrating.guarantee import Bound, certify
from classifier.calibrating.net import certify_net
from router.bench.goals import Goal, at_least, at_most, stated

RUNS: Final = 1_000
PAIRS: Final = 2_000
POPULATION: Final = 1_000_000
CONFIDENCE: Final = 0.9
OF_ORACLE: Final = 0.75
GAINED: Final = 0.03  # of the pairs that lose nothing
BLIND: Final = 0.05

Draw = np.random.Generator
Reals = NDArray[np.float64]
_Draws = Callable[[Draw, int], tuple[Reals, Reals]]
"""Returns scores, as logits, and signed losses of so many pairs."""


def goals(*, seed: int, quick: bool) -> list[Goal]:
    """Return all figures."""
    chance = np.random.default_rng(seed)
    runs, population = (RUNS // 10, POPULATION // 4) if quick else (RUNS, POPULATION)
    found: list[Goal] = []
    for case in _CASES:
        found += _goals(case, chance, runs=runs, population=population)
    return found


@dataclass(frozen=True, slots=True)
class _Case:
    """One population and what is promised of it.

    Attributes:
        loss: the promised mean.
        is_net: gains count against losses.
    """

    name: str
    draws: _Draws
    loss: float = 0.02
    bound: Bound = "exact"
    is_net: bool = False


def _goals(case: _Case, chance: Draw, *, runs: int, population: int) -> Iterator[Goal]:
    whole = _Population(*case.draws(chance, population), is_net=case.is_net)
    oracle = whole.share(whole.highest(case.loss))
    shares, lost, naive = np.zeros(runs), np.zeros(runs), np.zeros(runs)
    for run in range(runs):
        logits, signed = case.draws(chance, PAIRS)
        threshold = _certified(case, logits, signed, seed=run)
        shares[run], lost[run] = whole.share(threshold), whole.risk(threshold)
        naive[run] = whole.risk(_Population(logits, signed, is_net=case.is_net).highest(case.loss))
    wrong = 1.0 - CONFIDENCE
    allowed = wrong + 2 * sqrt(wrong * CONFIDENCE / runs)
    yield at_most(f"certified_violated_{case.name}", float((lost > case.loss).mean()), allowed)
    yield at_least(f"certified_share_of_oracle_{case.name}", float(shares.mean()) / oracle, OF_ORACLE)
    yield stated(f"naive_violated_{case.name}", float((naive > case.loss).mean()))


def _certified(case: _Case, logits: Reals, signed: Reals, *, seed: int) -> float:
    """Return the certified threshold; minus infinity, which is all-Large, where nothing can be promised."""
    if case.is_net:
        made = certify_net(logits, signed, loss=case.loss, confidence=CONFIDENCE, seed=seed)
    else:
        given_up = np.maximum(signed, 0.0)
        made = certify(logits, given_up, loss=case.loss, confidence=CONFIDENCE, seed=seed, bound=case.bound)
    return -np.inf if made.threshold is None else made.threshold


class _Population:
    """Pairs in the order of their scores, and what all thresholds lose."""

    def __init__(self, logits: Reals, signed: Reals, *, is_net: bool) -> None:
        order = np.argsort(logits, kind="stable")
        losses = signed if is_net else np.maximum(signed, 0.0)
        self._logits = logits[order]
        self._risks = np.concatenate(([0.0], np.cumsum(losses[order]))) / len(logits)

    def share(self, threshold: float) -> float:
        """Return Mini's share."""
        return float(np.searchsorted(self._logits, threshold)) / len(self._logits)

    def risk(self, threshold: float) -> float:
        """Return the mean loss."""
        return float(self._risks[np.searchsorted(self._logits, threshold)])

    def highest(self, loss: float) -> float:
        """Return the highest threshold up to which all keep the promise."""
        ends = np.append(
            np.flatnonzero(np.diff(self._logits)) + 1, len(self._logits)
        )  # no threshold parts equal scores
        broken = np.flatnonzero(self._risks[ends] > loss)
        if len(broken) == 0:
            return float(np.nextafter(self._logits[-1], np.inf))
        last = 0 if broken[0] == 0 else int(ends[broken[0] - 1])
        return float(self._logits[last])


# --- populations -----------------------------------------------------------------------------------


def _two_kinds(chance: Draw, pairs: int, *, complex_share: float = 0.25, apart: float = 1.81) -> tuple[Reals, Reals]:
    """Return scores of simple and complex requests (AUROC .90) whose losses are 0 or 1: .35 and .03 of them are 1."""
    is_complex = chance.random(pairs) < complex_share
    logits = chance.normal(np.where(is_complex, apart, 0.0), 1.0)
    return logits - 1.0, (chance.random(pairs) < np.where(is_complex, 0.35, 0.03)).astype(np.float64)


def _signed(chance: Draw, pairs: int) -> tuple[Reals, Reals]:
    """Return losses of which some are gains: where both models try, either may be the better one."""
    logits, lost = _two_kinds(chance, pairs)
    gained = (lost == 0.0) & (chance.random(pairs) < GAINED)
    return logits, lost - gained


def _graded(chance: Draw, pairs: int) -> tuple[Reals, Reals]:
    """Return losses anywhere between 0 and 1, whose mean rises with the score."""
    logits = chance.normal(-1.0, 1.5, pairs)
    size = 0.4 / (1.0 + np.exp(-1.2 * logits))
    return logits, chance.beta(size * 2.0, (1.0 - size) * 2.0)


def _small_steps(chance: Draw, pairs: int) -> tuple[Reals, Reals]:
    """Return marks of judges in fifths, most of them equal."""
    logits = chance.normal(0.0, 1.0, pairs)
    worse = chance.random(pairs) < 0.5 / (1.0 + np.exp(-2.0 * logits))
    return logits, worse * chance.integers(1, 4, pairs) / 5.0


def _skewed(chance: Draw, pairs: int) -> tuple[Reals, Reals]:
    """Return scores of which most lie close together at the low end, and few far up."""
    logits = chance.exponential(1.0, pairs) ** 2 - 4.0
    return logits, (chance.random(pairs) < 1.0 / (1.0 + np.exp(-(logits + 1.5)))).astype(np.float64)


def _tied(chance: Draw, pairs: int) -> tuple[Reals, Reals]:
    """Return scores of twenty values, so that a threshold moves many requests at once."""
    logits, lost = _two_kinds(chance, pairs, apart=2.4)
    return np.round(logits * 3.0) / 3.0, lost


def _blind(chance: Draw, pairs: int) -> tuple[Reals, Reals]:
    """Return scores that tell nothing."""
    return chance.normal(0.0, 1.0, pairs), (chance.random(pairs) < BLIND).astype(np.float64)


_CASES: Final = (
    _Case("binary", _two_kinds),
    _Case("binary_5", _two_kinds, loss=0.05),
    _Case("binary_betting", _two_kinds, bound="betting"),
    _Case("graded", _graded, loss=0.05),
    _Case("graded_hoeffding_bentkus", _graded, loss=0.05, bound="hoeffding-bentkus"),
    _Case("fifths", _small_steps),
    _Case("skewed", _skewed),
    _Case("ties", _tied),
    _Case("blind", _blind),
    _Case("net", _signed, is_net=True),
)
