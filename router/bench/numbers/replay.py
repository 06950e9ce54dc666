"""Simulated logs -> how often the intervals of a replay cover what the other policy is worth.

Every log is 10,000 requests with a score, or four times as many, routed by a threshold with some chance of the other
tier; Large answers rightly more often, the more so the higher the score. The replay asks for another threshold.
Chances, thresholds and how outcomes hang on the score are varied, beyond what the model of the doubly robust estimator
can express; in one world a few users ask most, in another outcomes are times with a tail. Where the gate of
`router.statistics.off_policy` refuses, nothing is covered: how often that is, is stated.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from router.bench.goals import Goal, at_least, stated
from router.bench.numbers import replayed_caches
from router.statistics.off_policy import Evaluation, Log, evaluated

Reals = NDArray[np.float64]

RUNS: Final = 1_000
QUICK: Final = 100
REQUESTS: Final = 10_000
COVERAGE: Final = 0.93
TRUTH: Final = 2_000_000  # requests in which the truth is looked for; a tenth of them for few runs
LIKES: Final = 0.3  # the least share of what is right that a user likes
FEW: Final = 200  # runs below which a coverage says nothing


@dataclass(frozen=True, slots=True)
class World:
    """How requests were routed, what comes of them, and what is asked.

    Attributes:
        chance: of the other tier.
        threshold, other: of the log, and of the policy that is asked for.
        outcome: "logistic", "steps" or "waves", of how being right hangs on the score.
        drawn: where above 0, nothing was explored, and the other tier's outcome is known of this share.
        level: how often Large is right at score 0.
        requests: of one log.
        users: who ask, the n-th of them 1 / n as often as the first, and find as much of it good as they like; 0 where
            each request is of another one.
        shape: where above 0, outcomes are times, that many right answers make shorter, with a tail as Pareto's of it.
    """

    name: str
    chance: float
    threshold: float
    other: float
    outcome: str = "logistic"
    drawn: float = 0.0
    level: float = 0.93
    requests: int = REQUESTS
    users: int = 0
    shape: float = 0.0


WORLDS: Final = (
    World("10 %, .5 to .35", 0.10, 0.50, 0.35),
    World("10 %, .35 to .5", 0.10, 0.35, 0.50),
    World("10 %, .35 to .65", 0.10, 0.35, 0.65),
    World("2 %, .35 to .25", 0.02, 0.35, 0.25),
    World("2 %, .35 to .6", 0.02, 0.35, 0.60),
    World("2 %, .35 to .6, four times as long", 0.02, 0.35, 0.60, requests=4 * REQUESTS),
    World("10 %, steps", 0.10, 0.50, 0.30, "steps"),
    World("10 %, waves", 0.10, 0.30, 0.55, "waves"),
    World("5 %, rare failures", 0.05, 0.30, 0.60, level=0.985),
    World("5 % shadow calls", 0.0, 0.50, 0.30, drawn=0.05),
    World("8 % shadow calls, steps", 0.0, 0.30, 0.55, "steps", drawn=0.08),
    World("10 %, a few users ask most", 0.10, 0.50, 0.30, users=200),
    World("10 %, times with a tail", 0.10, 0.50, 0.30, shape=2.0),
)


def goals(*, seed: int, quick: bool) -> list[Goal]:
    """Return the coverage of each estimator in each world, where the gate allows, and what replays of a cache say."""
    found: list[Goal] = []
    for number, world in enumerate(WORLDS):
        found += _goals_of(world, np.random.default_rng([seed, number]), QUICK if quick else RUNS)
    return found + replayed_caches.goals(seed=seed, quick=quick)


def _goals_of(world: World, rng: np.random.Generator, runs: int) -> Iterator[Goal]:
    truth = _truth(world, rng, runs)
    covers, widths, errors = dict.fromkeys(_ESTIMATORS, 0), dict.fromkeys(_ESTIMATORS, 0.0), list[float]()
    matching = 0
    for _ in range(runs):
        log = _log(world, rng)
        found = evaluated(log)
        matching += int((log.differs & log.seen).sum())
        if not isinstance(found, Evaluation):
            continue
        for name in _ESTIMATORS:
            estimate = getattr(found, name)
            covers[name] += estimate.low <= truth <= estimate.high
            widths[name] += estimate.half_width
        errors.append(found.doubly_robust.value - truth)
    name, allowed = f"replay: {world.name}", len(errors)
    yield stated(f"{name}, refused", 1.0 - allowed / runs)
    yield stated(f"{name}, matching actions", matching / runs)
    slip = 2.0 * (0.05 * 0.95 / max(allowed, 1)) ** 0.5 if runs < RUNS else 0.0
    for estimator, words in _ESTIMATORS.items():
        if not allowed:
            continue
        coverage = covers[estimator] / allowed
        if allowed < FEW and runs >= RUNS:
            yield stated(f"{name}, {words} coverage of {allowed} runs", coverage)
        else:
            yield at_least(f"{name}, {words} coverage", coverage, COVERAGE - slip)
        yield stated(f"{name}, {words} half-width", widths[estimator] / allowed)
    if allowed:
        yield stated(f"{name}, DR bias", float(np.mean(errors)))


_ESTIMATORS: Final = {"ips": "IPS", "snips": "SNIPS", "doubly_robust": "DR"}


def _rightness(world: World, scores: Reals, is_large: NDArray[np.bool_]) -> Reals:
    """Return the probability of a right answer."""
    large = world.level - 0.08 * scores
    if world.outcome == "steps":
        gap = np.array([0.02, 0.18, 0.45])[np.digitize(scores, [0.33, 0.62])]
    elif world.outcome == "waves":
        gap = 0.2 + 0.15 * np.sin(9.0 * scores)
    else:
        gap = 0.5 / (1.0 + np.exp(-9.0 * (scores - 0.55)))
    return np.asarray(np.where(is_large, large, np.maximum(large - gap, 0.02)))


def _scores(count: int, rng: np.random.Generator) -> Reals:
    return np.asarray(1.0 / (1.0 + np.exp(0.9 - 1.3 * rng.standard_normal(count))))


def _truth(world: World, rng: np.random.Generator, runs: int) -> float:
    scores = _scores(TRUTH if runs >= RUNS else TRUTH // 10, rng)
    right = float(_rightness(world, scores, scores >= world.other).mean())
    return 2.0 - right if world.shape else right * (1.0 + LIKES) / 2.0 if world.users else right


def _log(world: World, rng: np.random.Generator) -> Log:
    count = world.requests
    scores = _scores(count, rng)
    usual, wanted = scores >= world.threshold, scores >= world.other
    differs = usual != wanted
    if world.drawn:
        probabilities = np.where(differs, world.drawn, 1.0)
        seen = rng.random(count) < probabilities
    else:
        probabilities = np.where(differs, world.chance, 1.0 - world.chance)
        seen = rng.random(count) < probabilities
    right, users = _rightness(world, scores, wanted), np.arange(count)
    if world.users:
        often = 1.0 / np.arange(1, world.users + 1)
        users = np.unique(rng.choice(world.users, count, p=often / often.sum()), return_inverse=True)[1]
        right = right * rng.uniform(LIKES, 1.0, count)[users]
    if world.shape:
        rewards = (2.0 - right) * rng.pareto(world.shape, count) * (world.shape - 1.0)
    else:
        rewards = (rng.random(count) < right).astype(np.float64)
    features = np.stack([np.ones(count), wanted, scores, scores * wanted], axis=1)
    return Log(rewards, seen, probabilities, features, users, differs, None if world.shape else (0.0, 1.0))
