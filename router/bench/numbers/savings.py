"""Simulated deployments -> how often the interval of the saving covers what was saved.

Every deployment is 20,000 requests of many users, routed by a score; Mini's requests are drawn at random and sent to
Large, too. The truth is what was saved of these very requests, of which all is known here. Beside it, the interval for
traffic like this is held against the saving of the process that makes it, from a tenth as many of its deployments.
Lengths, users, prices, shares of draws and what drops calls are varied. What is examined is
`router.insight.counterfactual`, the code that the gateway runs.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from router.bench.goals import Goal, at_least, at_most, stated
from router.insight.counterfactual import Books, Counterfactual, Traffic, counterfactual
from router.insight.savings import FEWEST

Reals = NDArray[np.float64]
Whole = NDArray[np.int64]

RUNS: Final = 1_000
QUICK: Final = 100
REQUESTS: Final = 20_000
HOURS: Final = 168
DAY: Final = 24
BUSY: Final = 8  # hours of a day that have two thirds of its requests

COVERAGE: Final = (0.93, 0.97)
HALF_WIDTH: Final = 0.01
NAIVE: Final = 0.5
"""Share of the runs in which the interval around the naive figure may hold the truth; it should be none of them."""


@dataclass(frozen=True, slots=True)
class World:
    """Where requests come from.

    Attributes:
        users: how many.
        alike: standard deviation of the users' mean log length: how much requests of one user resemble each other.
        tail: "lognormal", "pareto" or "gamma", of Large's length around its mean; `spread` is the shape of that.
        follows: exponent with which Large's length follows Mini's.
        uneven: how much the spread grows with the score.
        large: share of requests above the threshold.
        input_price, output_price: of Large's tokens, USD per million.
        mini: Mini's prices, in Large's.
        share: probability of a draw.
        busy: share of the calls that are dropped in the busiest hours, when answers are short.
        held_half_width: the half-width is held against its goal here.
    """

    name: str
    users: int = 2_000
    alike: float = 0.3
    tail: str = "lognormal"
    spread: float = 0.6
    follows: float = 0.6
    uneven: float = 0.0
    large: float = 0.45
    input_price: float = 2.0
    output_price: float = 8.0
    mini: float = 0.1
    share: float = 0.02
    busy: float = 0.0
    held_half_width: bool = False


USUAL: Final = World("lognormal 2 %", held_half_width=True)
WORLDS: Final = (
    USUAL,
    replace(USUAL, name="lognormal 1 %", share=0.01, large=0.2, held_half_width=False),
    replace(USUAL, name="lognormal 5 %", share=0.05),
    replace(USUAL, name="heavier lognormal", spread=1.0, share=0.03, held_half_width=False),
    replace(USUAL, name="pareto", tail="pareto", spread=2.5, share=0.04, held_half_width=False),
    replace(USUAL, name="follows mini", follows=1.1, uneven=1.0, tail="gamma", spread=0.5),
    replace(USUAL, name="clustered users", users=250, alike=0.8, share=0.03, held_half_width=False),
    replace(
        USUAL, name="other prices", input_price=0.25, output_price=10.0, mini=0.3, share=0.05, held_half_width=False
    ),
    replace(USUAL, name="dropped when busy", busy=0.6, share=0.04),
)


def goals(*, seed: int, quick: bool) -> list[Goal]:
    """Return coverage and half-width in each world."""
    found: list[Goal] = []
    for number, world in enumerate(WORLDS):
        found += _goals_of(world, np.random.default_rng([seed, number]), QUICK if quick else RUNS)
    return found


def _goals_of(world: World, rng: np.random.Generator, runs: int) -> Iterator[Goal]:
    process = _truth(world, rng, runs)
    covers = expected = naive = shadows = suppressed = 0
    widths, errors = 0.0, list[float]()
    while len(errors) < runs:
        requests = _requests(world, rng)
        if requests.seen.sum() < FEWEST:
            suppressed += 1
            continue
        found = counterfactual(*_ledger(world, requests))
        saved, like, truth = found.same_caches.saved, found.same_caches.expected, requests.saved
        covers += saved.low <= truth <= saved.high
        expected += like.low <= process <= like.high
        naive += abs(_naive(found) - truth) <= saved.half_width
        widths += saved.half_width
        errors.append(saved.value - truth)
        shadows += int(requests.seen.sum())
    name = f"savings: {world.name}"
    slip = 2.0 * (0.05 * 0.95 / runs) ** 0.5 if runs < RUNS else 0.0  # a tenth of the runs says a third as much
    yield at_least(f"{name}, coverage", covers / runs, COVERAGE[0] - slip)
    yield at_most(f"{name}, coverage not over", covers / runs, COVERAGE[1] + slip)
    yield at_least(f"{name}, coverage for traffic like this", expected / runs, COVERAGE[0] - slip)
    width = widths / runs
    yield (at_most if world.held_half_width else _stated)(f"{name}, half-width", width, HALF_WIDTH)
    yield at_most(f"{name}, naive interval covers", naive / runs, NAIVE)
    yield stated(f"{name}, bias", float(np.mean(errors)))
    yield stated(f"{name}, shadow calls", shadows / runs)
    yield stated(f"{name}, suppressed", suppressed / (suppressed + runs))


def _stated(name: str, value: float, _goal: float) -> Goal:
    return stated(name, value)


def _naive(found: Counterfactual) -> float:
    return 0.0 if found.naive is None else found.naive


# --- the process -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Requests:
    """Requests with what both models take, micro-USD, in the order of their users."""

    users: Whole
    hours: Whole
    prompt: Reals
    mini_output: Reals
    scores: Reals
    is_large: NDArray[np.bool_]
    large: Reals
    mini: Reals
    naive: Reals
    asked: NDArray[np.bool_]
    seen: NDArray[np.bool_]

    @property
    def spent(self) -> Reals:
        return np.asarray(np.where(self.is_large, self.large, self.mini) + np.where(self.seen, self.large, 0.0))

    @property
    def saved(self) -> float:
        return float(1.0 - self.spent.sum() / self.large.sum())


def _requests(world: World, rng: np.random.Generator) -> _Requests:
    activity = np.exp(rng.standard_normal(world.users))
    users = np.repeat(np.arange(world.users), rng.multinomial(REQUESTS, activity / activity.sum()))
    of_user = world.alike * rng.standard_normal(world.users)[users]
    hours = rng.integers(0, HOURS, REQUESTS)
    if world.busy:
        moved = (hours % DAY >= BUSY) & rng.integers(0, 2, REQUESTS, dtype=bool)
        hours = np.where(moved, hours - hours % DAY + hours % BUSY, hours)
    is_busy = (hours % DAY < BUSY) & (world.busy > 0)
    score = rng.standard_normal(REQUESTS)
    scores = 1.0 / (1.0 + np.exp(0.8 - 1.2 * score))
    prompt = np.exp(7.0 + 0.8 * rng.standard_normal(REQUESTS) + 0.5 * of_user)
    log_mini = 5.0 + 0.6 * rng.standard_normal(REQUESTS) + 0.5 * of_user
    mini_output = np.exp(log_mini)
    mean = np.exp(4.6 + world.follows * (log_mini - 5.0) + 0.5 * scores - 0.5 * is_busy)
    output = np.minimum(mean * _noise(world, scores, rng), 32_768.0)
    is_large = score >= NormalDist().inv_cdf(1.0 - world.large)
    asked = ~is_large & (rng.random(REQUESTS) < world.share)
    dropped = is_busy & (rng.random(REQUESTS) < world.busy)
    return _Requests(
        users,
        hours,
        prompt,
        mini_output,
        scores,
        is_large,
        world.input_price * prompt + world.output_price * output,
        world.mini * (world.input_price * prompt + world.output_price * mini_output),
        world.input_price * prompt + world.output_price * mini_output,
        asked,
        asked & ~dropped,
    )


def _noise(world: World, scores: Reals, rng: np.random.Generator) -> Reals:
    """Return factors with mean 1."""
    spread = world.spread * (1.0 + world.uneven * (scores - 0.35))
    if world.tail == "pareto":
        return np.asarray(rng.pareto(world.spread, len(scores)) * (world.spread - 1.0))
    if world.tail == "gamma":
        return np.asarray(rng.standard_gamma(1.0 / spread**2) * spread**2)
    return np.asarray(np.exp(spread * rng.standard_normal(len(scores)) - spread**2 / 2.0))


def _truth(world: World, rng: np.random.Generator, runs: int) -> float:
    spent = would = 0.0
    for _ in range(runs // 10):
        requests = _requests(world, rng)
        spent += float(requests.spent.sum())
        would += float(requests.large.sum())
    return 1.0 - spent / would


# --- what a ledger keeps of it ---------------------------------------------------------------------


def _ledger(world: World, requests: _Requests) -> tuple[Traffic, Books]:
    users, is_mini = requests.users, ~requests.is_large
    count = world.users

    def summed(values: Reals) -> Reals:
        return np.bincount(users, values, minlength=count).astype(np.float64)

    one = is_mini.astype(np.float64)
    columns = (one, requests.prompt * one, requests.mini_output * one, requests.scores * one)
    seen = np.flatnonzero(requests.seen)
    features = np.stack(
        [np.ones(len(seen)), requests.prompt[seen], requests.mini_output[seen], requests.scores[seen]], axis=1
    )
    spent = summed(requests.spent)
    traffic = Traffic(
        spent=spent,
        large=summed(requests.large * ~is_mini),
        rest=np.stack([summed(column) for column in columns], axis=1),
        scored=float(is_mini.sum()),
        groups=users[seen],
        features=features,
        took=requests.large[seen],
        meant=np.full(len(seen), world.share),
        hours=requests.hours[seen],
        answered=np.bincount(requests.hours, one, minlength=HOURS).astype(np.float64),
    )
    learning = int(requests.large[seen].sum())
    naive = int((requests.naive * one).sum())
    return traffic, Books(cost=int(spent.sum()) - learning, learning=learning, mini=naive)
