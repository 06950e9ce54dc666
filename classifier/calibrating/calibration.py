"""Logits and labels -> maps that were fitted to them.

The target is "Mini is not enough". Which kind suits and how good it is stands in `recalibration.py`. Knows nothing of
prompts, weights or files.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from classifier.calibrating.maps import Beta, Isotonic, Platt, Reals

Labels = NDArray[np.bool_]

FLATTEST = 0.01  # of a slope: scores that tell nothing keep their order, at nearly one probability
STEPS = 50  # of Newton's method, and of halvings of one step; a dozen are usual
POINTS = 512  # isotonic regression first gathers rows into at most so many, about equally filled
DRAWS = 100  # of the bootstrap that gives an isotonic map its interval
SAME = 1e-9  # blocks whose shares differ by less, relatively, are one
ROUNDS = 30  # of the estimate of how much tenants differ
SMALLEST_SPREAD = 1e-4  # squared logits; tenants that are all alike still get a proper prior


def fit_platt(
    logits: Reals, target: Labels, weights: Reals | None = None, *, groups: Sequence[str] | None = None
) -> Platt:
    """Return the line of the highest likelihood that rises.

    Args:
        weights: of the rows; None weighs all alike.
        groups: rows of one group count as one draw in the map's interval; None takes each row for itself.

    Source: Lin, Lin and Weng 2007, "A Note on Platt's Probabilistic Outputs for Support Vector Machines", for the
    targets that stay off 0 and 1.
    """
    columns = np.stack((logits, np.ones_like(logits)))
    (slope, offset), spread = _rising(columns, target, weights, groups)
    return Platt(slope, offset, (spread[0], spread[1], spread[2], spread[3]))


def fit_beta(
    logits: Reals, target: Labels, weights: Reals | None = None, *, groups: Sequence[str] | None = None
) -> Beta:
    """Return the beta map of the highest likelihood that rises; arguments as for `fit_platt`."""
    columns = np.stack((-np.logaddexp(0, -logits), np.logaddexp(0, logits), np.ones_like(logits)))
    (below, above, offset), spread = _rising(columns, target, weights, groups)
    return Beta(below, above, offset, spread)


def fit_isotonic(logits: Reals, target: Labels, *, groups: Sequence[str], seed: int, draws: int = DRAWS) -> Isotonic:
    """Return a rising map through the middles of the blocks of isotonic regression.

    Each block counts one more row of either class, so that no value is 0 or 1.

    Args:
        draws: of the bootstrap over groups that gives the interval; without any, the interval is the value alone.
    """
    knots, values = _blocks(*_gathered(logits, np.ones_like(logits), target))
    _, places = np.unique(np.asarray(groups), return_inverse=True)
    count, chance = int(places.max()) + 1, np.random.default_rng(seed)
    drawn = np.tile(values, (max(draws, 1), 1))
    for draw in range(draws):
        weights = np.bincount(chance.integers(0, count, count), minlength=count)[places].astype(float)
        again = _blocks(*_gathered(logits, weights, target))
        drawn[draw] = np.interp(knots, *again)
    low, high = np.quantile(drawn, (0.05, 0.95), axis=0)
    return Isotonic(
        *(tuple(row.tolist()) for row in (knots, values, np.minimum(low, values), np.maximum(high, values)))
    )


def _rising(
    columns: Reals, target: Labels, weights: Reals | None, groups: Sequence[str] | None
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return parameters and their covariance; all but the last parameter are slopes, at least `FLATTEST`.

    A slope that would fall below is held there, and the others are fitted again; what is held does not vary.
    """
    weights = np.ones(len(target)) if weights is None else weights
    ones, all_rows = float(weights @ target), float(weights.sum())
    chance = np.where(target, (ones + 1) / (ones + 2), 1 / (all_rows - ones + 2))
    size, held = len(columns), np.zeros(len(columns), bool)
    found = np.zeros(size)
    for _ in range(size):
        base = FLATTEST * columns[held].sum(axis=0)
        found[~held] = _newton(columns[~held], chance, weights, base=base)
        too_flat = ~held & (found < FLATTEST) & (np.arange(size) < size - 1)
        if not too_flat.any():
            break
        held |= too_flat
        found[held] = FLATTEST
    spread = np.zeros((size, size))
    spread[np.ix_(~held, ~held)] = _spread(columns[~held], found @ columns, target, weights, groups)
    return tuple(found.tolist()), tuple(spread.ravel().tolist())


def _newton(
    columns: Reals,
    chance: Reals,
    weights: Reals,
    *,
    base: Reals | float = 0.0,
    prior: tuple[Reals, Reals] | None = None,
) -> Reals:
    """Return the parameters of the lowest weighted log loss of `base + parameters @ columns`, by halved Newton steps.

    Args:
        chance: targets, 0.0 to 1.0.
        prior: means and precisions of independent normal priors; None means none.
    """
    means, precisions = prior or (np.zeros(len(columns)), np.full(len(columns), 1e-9))

    def loss(parameters: Reals) -> float:
        line = base + parameters @ columns
        return float(weights @ (np.logaddexp(0, line) - chance * line) + precisions @ (parameters - means) ** 2 / 2)

    found = means.copy()
    for _ in range(STEPS):
        line = _sigmoid(base + found @ columns)
        gradient = columns @ (weights * (line - chance)) + precisions * (found - means)
        bend = (columns * (weights * line * (1 - line))) @ columns.T + np.diag(precisions)
        step = np.linalg.solve(bend, gradient)
        if float(gradient @ step) < 1e-10 * len(chance):
            break
        now = loss(found)
        share = next((2.0**-i for i in range(STEPS) if loss(found - 2.0**-i * step) < now), 0.0)
        found = found - share * step
    return np.asarray(found)


def _spread(columns: Reals, line: Reals, target: Labels, weights: Reals, groups: Sequence[str] | None) -> Reals:
    """Return the covariance of fitted parameters, robust to rows of one group being alike.

    Source: Liang and Zeger 1986, "Longitudinal data analysis using generalized linear models", equation 2.
    """
    chance = _sigmoid(line)
    inverse = np.linalg.pinv((columns * (weights * chance * (1 - chance))) @ columns.T)
    if groups is None:
        return np.asarray(inverse)
    _, places = np.unique(np.asarray(groups), return_inverse=True)
    pulls = columns * (weights * (target - chance))
    sums = np.stack([np.bincount(places, pull) for pull in pulls])
    count = sums.shape[1]
    return np.asarray(inverse @ (sums @ sums.T) @ inverse * count / max(count - 1, 1))


def _gathered(logits: Reals, weights: Reals, target: Labels) -> tuple[Reals, Reals, Reals]:
    """Return middle logit, weight and weight of ones of at most `POINTS` points, by rising logit."""
    distinct, places, counts = np.unique(logits, return_inverse=True, return_counts=True)
    if len(distinct) > POINTS:
        places = ((np.cumsum(counts) - counts) * POINTS // len(logits))[places]  # equal logits stay together
    filled, ones, middles = (
        np.bincount(places, each).astype(float) for each in (weights, weights * target, weights * logits)
    )
    kept = filled > 0
    return middles[kept] / filled[kept], filled[kept], ones[kept]


def _blocks(middles: Reals, filled: Reals, ones: Reals) -> tuple[Reals, Reals]:
    """Return the knots of isotonic regression and the logits of their values, both strictly rising."""
    pooled = _pool(middles, filled, ones)
    smoothed = _pool(pooled[0], pooled[1] + 2, pooled[2] + 1)  # what was added may have broken the order
    return smoothed[0], np.log(smoothed[2] / (smoothed[1] - smoothed[2]))


def _pool(middles: Reals, filled: Reals, ones: Reals) -> tuple[Reals, Reals, Reals]:
    """Join neighbours until the share of ones rises from block to block (pool adjacent violators)."""
    blocks: list[tuple[float, float, float]] = []
    for point in zip((middles * filled).tolist(), filled.tolist(), ones.tolist(), strict=True):
        block = point
        while blocks and blocks[-1][2] * block[1] * (1 + SAME) >= block[2] * blocks[-1][1]:
            last = blocks.pop()
            block = (last[0] + block[0], last[1] + block[1], last[2] + block[2])
        blocks.append(block)
    sums, counts, shares = np.array(blocks).T
    return sums / counts, counts, shares


# --- tenants ---------------------------------------------------------------------------------------


def fit_tenants(logits: Reals, target: Labels, tenants: Sequence[str]) -> dict[str, Platt]:
    """Return a line for each tenant on top of the pooled logits; none where there is but one tenant.

    Offset and slope of a tenant are drawn from normal distributions around 0 and 1, whose variances are estimated from
    all tenants (empirical Bayes, by EM with Laplace's approximation): who has few rows stays near everybody's.

    Args:
        logits: of the pooled map's probabilities.

    Source: Efron and Morris 1975, "Data Analysis Using Stein's Estimator", for pulling towards the pool; Gelman and
    Hill 2007, "Data Analysis Using Regression", chapter 12, for offsets and slopes.
    """
    names, places = np.unique(np.asarray(tenants), return_inverse=True)
    if len(names) < 2:  # noqa: PLR2004  (one tenant is the pool)
        return {}
    rows = [np.flatnonzero(places == place) for place in range(len(names))]
    columns = np.stack((logits, np.ones_like(logits)))
    means, spreads = np.array((1.0, 0.0)), np.array((0.1, 0.25))
    for _ in range(ROUNDS):
        fits = [_posterior(columns[:, one], target[one], means, 1 / spreads) for one in rows]
        moved = np.array([(found - means) ** 2 + np.diag(spread) for found, spread in fits])
        spreads = np.maximum(moved.mean(axis=0), SMALLEST_SPREAD)
    return {
        str(name): Platt(max(float(found[0]), FLATTEST), float(found[1]), tuple(spread.ravel().tolist()))  # type: ignore[arg-type]  # four numbers, by its shape
        for name, (found, spread) in zip(names, fits, strict=True)
    }


def _posterior(columns: Reals, target: Labels, means: Reals, precisions: Reals) -> tuple[Reals, Reals]:
    """Return the mode of slope and offset, and the covariance around it."""
    found = _newton(columns, target.astype(float), np.ones(len(target)), prior=(means, precisions))
    chance = _sigmoid(found @ columns)
    bend = (columns * (chance * (1 - chance))) @ columns.T + np.diag(precisions)
    return found, np.asarray(np.linalg.inv(bend), float)


def _sigmoid(logits: Reals) -> Reals:
    return np.asarray((1 + np.tanh(logits / 2)) / 2)
