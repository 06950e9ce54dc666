"""Experiments in which the truth is known -> how often a watched one claims what is not so, and how soon what is.

Each run is watched from the 20th unit on, at some 170 looks up to 10,000 units an arm, by the functions that
`./tandem experiment report` uses. Beside them stands the naive test, whose 5 % are those of a single look.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from router.bench.goals import Goal, at_least, at_most, stated
from router.statistics.comparing import Difference, difference
from router.statistics.inverse_weights import mean_of, past_means, scores
from router.statistics.non_inferiority import non_inferiority
from router.statistics.ratios import Ratio, Reals, running_ratios
from router.statistics.sample_ratio import ALPHA, OF_THE_END, chi_square_p, sequential_p
from router.statistics.thompson import likely_best

RUNS: Final = 1_000
UNITS: Final = 10_000  # of an arm, where both are alike
FALSE_POSITIVES: Final = 0.05
WRONGLY_ACCEPTED: Final = 0.025

_BLOCK: Final = 50  # runs at a time
_NAIVE: Final = 1.96
_Draw = Callable[[np.random.Generator, tuple[int, int]], tuple[Reals, Reals | None]]
"""Returns what each unit brought, and by how much of what; None is 1 for each."""


def goals(*, seed: int, quick: bool) -> list[Goal]:
    """Return all figures."""
    runs = RUNS // 10 if quick else RUNS
    chance = np.random.default_rng(seed)
    return [
        *_equals(chance, runs),
        *_margins(chance, runs),
        *_effects(chance, runs // 5),
        *_fillings(chance, runs),
        *_bandits(chance, runs // 5),
    ]


# --- A/A: both arms are alike ----------------------------------------------------------------------


def _equals(chance: np.random.Generator, runs: int) -> Iterator[Goal]:
    for name, draw, share, bounded in _CASES:
        found = _watched(chance, draw, draw, share=share, bounded=bounded, runs=runs)
        label = f"{name}_{share:.0%}".replace("%", "")
        yield at_most(f"aa_false_positives_{label}", found.claimed, FALSE_POSITIVES)
        yield stated(f"aa_naive_{label}", found.naive)
    for name, treated, control in _SHAPES:
        found = _watched(chance, treated, control, share=0.5, bounded=False, runs=runs)
        yield stated(f"equal_means_of_other_shape_{name}", found.claimed)


def _effects(chance: np.random.Generator, runs: int) -> Iterator[Goal]:
    for drop in (0.1, 0.58):
        found = _watched(chance, _scaled(_lognormal(1.0), 1 - drop), _lognormal(1.0), share=0.5, runs=runs)
        yield stated(f"units_an_arm_until_cost_{drop:.0%}_lower_is_shown".replace("%", ""), found.median)


@dataclass(frozen=True, slots=True)
class _Watched:
    """Shares of runs in which a difference was claimed at some look, and when, in units of an arm (`UNITS`: never)."""

    claimed: float
    naive: float
    median: float


def _watched(
    chance: np.random.Generator, treated: _Draw, control: _Draw, *, share: float, runs: int, bounded: bool = False
) -> _Watched:
    first, second = _looks(share)
    claims, naive = [], []
    for _ in range(max(1, runs // _BLOCK)):
        arms = [
            running_ratios(*draw(chance, (_BLOCK, int(looks[-1]))), looks)
            for draw, looks in ((treated, first), (control, second))
        ]
        found = difference(arms[0], arms[1], bounded=bounded)
        claims.append(~found.is_early & ((found.low > 0) | (found.high < 0)))
        naive.append(_naive(arms[0], arms[1], found))
    claimed = np.concatenate(claims)
    when = np.where(claimed.any(1), np.minimum(first, second)[claimed.argmax(1)], UNITS)
    return _Watched(float(claimed.any(1).mean()), float(np.concatenate(naive).any(1).mean()), float(np.median(when)))


def _naive(treated: Ratio, control: Ratio, found: Difference) -> "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]":
    with np.errstate(invalid="ignore"):
        return np.asarray(np.abs(found.value) > _NAIVE * np.sqrt(treated.variance + control.variance))


def _looks(share: float) -> "tuple[np.ndarray[tuple[int], np.dtype[np.intp]], ...]":
    """Return at how many units of each arm one looks; the treated arm gets this share of them."""
    both = 2 * np.unique(np.concatenate([np.arange(20, 400, 20), np.geomspace(400, UNITS, 150).astype(int)]))
    treated = np.maximum(2, np.round(both * share)).astype(np.intp)
    rises = np.concatenate(([True], (np.diff(treated) > 0) & (np.diff(both - treated) > 0)))
    return treated[rises], (both - treated)[rises].astype(np.intp)


def _bernoulli(share: float) -> _Draw:
    return lambda chance, shape: ((chance.random(shape) < share).astype(float), None)


def _lognormal(sigma: float) -> _Draw:
    return lambda chance, shape: (np.exp(sigma * chance.standard_normal(shape) - sigma**2 / 2), None)


def _gamma(shape_parameter: float) -> _Draw:
    return lambda chance, shape: (chance.standard_gamma(shape_parameter, shape) / shape_parameter, None)


def _power_law(exponent: float) -> _Draw:
    return lambda chance, shape: ((1 - chance.random(shape)) ** (-1 / exponent) * (exponent - 1) / exponent, None)


def _mostly_zero(share: float, sigma: float) -> _Draw:
    drawn = _lognormal(sigma)
    return lambda chance, shape: (drawn(chance, shape)[0] * (chance.random(shape) < share) / share, None)


def _heavy_users(sigma: float) -> _Draw:
    """Return costs by requests of users whose requests differ by orders, and whose costs differ, too."""

    def draw(chance: np.random.Generator, shape: tuple[int, int]) -> tuple[Reals, Reals]:
        requests = 1.0 + np.floor(np.exp(sigma * chance.standard_normal(shape)))
        own = np.exp(0.5 * chance.standard_normal(shape) - 0.125)
        noise = np.exp(chance.standard_normal(shape) / np.sqrt(requests) - 0.5 / requests)
        return np.asarray(requests * own * noise, float), np.asarray(requests, float)

    return draw


def _resolved_of_users(share: float) -> _Draw:
    """Return resolved conversations of users who have one or many, and of whom some are never content."""

    def draw(chance: np.random.Generator, shape: tuple[int, int]) -> tuple[Reals, Reals]:
        many = 1.0 + chance.poisson(np.exp(chance.standard_normal(shape)))
        own = chance.beta(4 * share, 4 * (1 - share), shape)
        return chance.binomial(many.astype(int), own).astype(float), np.asarray(many, float)

    return draw


def _scaled(draw: _Draw, by: float) -> _Draw:
    def scaled(chance: np.random.Generator, shape: tuple[int, int]) -> tuple[Reals, Reals | None]:
        y, x = draw(chance, shape)
        return by * y, x

    return scaled


_CASES: Final[tuple[tuple[str, _Draw, float, bool], ...]] = (
    ("bernoulli_85", _bernoulli(0.85), 0.5, True),
    ("bernoulli_98", _bernoulli(0.98), 0.5, True),
    ("bernoulli_999", _bernoulli(0.999), 0.5, True),
    ("bernoulli_98", _bernoulli(0.98), 0.1, True),
    ("lognormal_1", _lognormal(1.0), 0.5, False),
    ("lognormal_1.5", _lognormal(1.5), 0.5, False),
    ("lognormal_1.5", _lognormal(1.5), 0.05, False),
    ("lognormal_2", _lognormal(2.0), 0.5, False),
    ("gamma_0.3", _gamma(0.3), 0.5, False),
    ("power_law_2.5", _power_law(2.5), 0.1, False),
    ("mostly_zero", _mostly_zero(0.1, 1.5), 0.5, False),
    ("mostly_zero", _mostly_zero(0.1, 1.5), 0.1, False),
    ("heavy_users", _heavy_users(1.5), 0.5, False),
    ("heavy_users", _heavy_users(1.5), 0.1, False),
    ("resolved_of_users", _resolved_of_users(0.9), 0.5, True),
)
_SHAPES: Final[tuple[tuple[str, _Draw, _Draw], ...]] = (
    ("lognormal_1.5_and_1", _lognormal(1.5), _lognormal(1.0)),
    ("mostly_zero_and_lognormal_1", _mostly_zero(0.3, 1.0), _lognormal(1.0)),
)


# --- at the margin ---------------------------------------------------------------------------------


def _margins(chance: np.random.Generator, runs: int) -> Iterator[Goal]:
    for good, margin, share in (
        (0.85, 0.02, 0.5), (0.85, 0.05, 0.2), (0.95, 0.02, 0.5), (0.98, 0.02, 0.1), (0.999, 0.005, 0.5),
    ):  # fmt: skip
        name = f"{good:g}_margin_{margin:g}_{share:.0%}".replace("%", "")
        accepted, _ = _accepted(chance, _bernoulli(good - margin), _bernoulli(good), margin, share, runs)
        yield at_most(f"wrongly_accepted_at_the_margin_{name}", accepted, WRONGLY_ACCEPTED)
    worse, usual = _resolved_of_users(0.88), _resolved_of_users(0.90)
    accepted, _ = _accepted(chance, worse, usual, 0.02, 0.5, runs)
    yield at_most("wrongly_accepted_at_the_margin_resolved_of_users", accepted, WRONGLY_ACCEPTED)
    for margin in (0.02, 0.05):
        _, median = _accepted(chance, _bernoulli(0.85), _bernoulli(0.85), margin, 0.5, runs // 5)
        yield stated(f"units_an_arm_until_no_loss_of_{margin:g}_is_shown", median)


def _accepted(
    chance: np.random.Generator, treated: _Draw, control: _Draw, margin: float, share: float, runs: int
) -> tuple[float, float]:
    """Return the share of runs that accept at some look, and the median of units of an arm at that look."""
    first, second = _looks(share)
    shown = []
    for _ in range(max(1, runs // _BLOCK)):
        arms = [
            running_ratios(*draw(chance, (_BLOCK, int(looks[-1]))), looks)
            for draw, looks in ((treated, first), (control, second))
        ]
        shown.append(non_inferiority(arms[0], arms[1], margin=margin).is_shown)
    accepted = np.concatenate(shown)
    when = np.where(accepted.any(1), np.minimum(first, second)[accepted.argmax(1)], UNITS)
    return float(accepted.any(1).mean()), float(np.median(when))


# --- arms that are not filled as planned -----------------------------------------------------------

_PLANNED: Final = 50_000  # units of both arms
_EVERY: Final = 500  # units between two looks
_EVEN: Final = (0.5, 0.5)


def _fillings(chance: np.random.Generator, runs: int) -> Iterator[Goal]:
    for name, share, goal, many in (("power_at_49_51", 0.49, at_least, 4), ("false_alarms", 0.5, at_most, 20)):
        counted = np.cumsum(chance.binomial(_EVERY, share, (many * runs, _PLANNED // _EVERY)), axis=1)
        counts = np.stack([counted, _EVERY * np.arange(1, counted.shape[1] + 1) - counted], axis=-1).astype(float)
        by_looks = sequential_p(counts, _EVEN).min(1) < ALPHA * (1 - OF_THE_END)
        at_end = np.array([chi_square_p(each, _EVEN) for each in counts[:, -1]])
        alarms = float((by_looks | (at_end < ALPHA * OF_THE_END)).mean())
        yield goal(f"sample_ratio_{name}", alarms, 0.85 if share < _EVEN[0] else ALPHA)
        yield stated(f"sample_ratio_{name}_one_look", float((at_end < ALPHA).mean()))


# --- bandits ---------------------------------------------------------------------------------------


def _bandits(chance: np.random.Generator, runs: int) -> Iterator[Goal]:
    """Watch two equal arms, and two that differ, between which a bandit moves its weights."""
    for name, better in (("equal_arms", 0.0), ("unequal_arms", 0.1)):
        played = [_played(chance, better) for _ in range(runs)]
        missed, share = np.mean([one for one, _ in played]), np.mean([other for _, other in played])
        yield at_most(f"bandit_sequence_misses_{name}", float(missed), FALSE_POSITIVES)
        yield stated(f"bandit_share_of_the_better_{name}", float(share))


_EPOCHS: Final = 20
_OF_EPOCH: Final = 500
_FLOOR: Final = 0.05


def _played(chance: np.random.Generator, better: float) -> tuple[bool, float]:
    """Return whether the sequence of one run ever leaves the truth out, and how much the better arm got."""
    truth = np.array([0.7, 0.7 + better])
    epochs = np.repeat(np.arange(_EPOCHS), _OF_EPOCH)
    arms, outcomes, propensities = (np.empty(len(epochs)) for _ in range(3))
    weights = np.array(_EVEN)
    for epoch in range(_EPOCHS):
        now = epochs == epoch
        drawn = (chance.random(_OF_EPOCH) >= weights[0]).astype(int)
        arms[now], propensities[now] = drawn, weights[drawn]
        outcomes[now] = chance.random(_OF_EPOCH) < truth[drawn]
        before = epochs <= epoch
        sums = [outcomes[before & (arms == arm)] for arm in (0, 1)]
        errors = [max(each.std(), 0.1) / max(len(each), 1) ** 0.5 for each in sums]
        best = likely_best([each.mean() for each in sums], errors, seed=int(chance.integers(1 << 31)))
        weights = _FLOOR + (1 - 2 * _FLOOR) * best
    places = arms.astype(np.intp)
    two = [
        scores(outcomes, places, propensities, arm=arm, predicted=past_means(outcomes, places, epochs, arm=arm))
        for arm in (0, 1)
    ]
    looks = [mean_of((two[1] - two[0])[: (epoch + 1) * _OF_EPOCH]) for epoch in range(_EPOCHS)]
    return any(not look.low <= better <= look.high for look in looks), float(arms.mean())
