"""Scores and outcomes -> figures of the routing, with intervals.

Beside each score stands what needs no classifier: a random score, the prompt's length, a constant and the oracle, which
knows both outcomes; and the quality of Large and of Mini alone. Intervals are percentiles over resamples of whole
groups (95 %), the same resamples for every score. Knows nothing of files or classifiers.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from classifier.measures import FIGURES, RECOVERED, Outcomes, Ranking, Reals, figures, rank
from classifier.pairs import FEWEST_GROUPS

RESAMPLES = 500
LARGE_COST_RATIO = 10.0
REPORTED = (*FIGURES[:5], "saved_at_95", "cost_saved_at_95", *FIGURES[5:])
_ORDERS_ONLY = frozenset({"length", "oracle"})  # never probabilities, even where all lie between 0 and 1
_CELLS = 1 << 17  # numbers of one array while resampling, so that it stays in the processor's cache
_DEFINED = 0.95  # of the resamples must have a figure, or its interval would speak for the convenient ones only

Measure = Callable[[Reals], Reals]  # weights of groups, shape (b, groups) -> figures, shape (b, k)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its interval of 95 %, which always holds the value.

    Attributes:
        value, low, high: None where not defined.
        reason: why something is None; "" where nothing is.
    """

    value: float | None
    low: float | None
    high: float | None
    reason: str = ""

    def words(self) -> str:
        """Return the value as people read it."""
        return "-" if self.value is None else f"{self.value:.3f}"

    def interval_words(self) -> str:
        """Return the interval as people read it; "" where there is none."""
        return "" if self.low is None or self.high is None else f"[{self.low:.3f}, {self.high:.3f}]"


def baselines(outcomes: Outcomes, lengths: Reals) -> dict[str, Reals]:
    """Return scores that no classifier gave: the length, one constant (how often Mini fails), the gain itself."""
    return {
        "length": lengths,
        "constant": np.full(len(outcomes.weak), outcomes.fails.mean()),
        "oracle": outcomes.gain,
    }


def evaluate(
    scores: Mapping[str, Reals],
    outcomes: Outcomes,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    large_cost_ratio: float = LARGE_COST_RATIO,
) -> dict[str, dict[str, Estimate]]:
    """Return each score's figures (`REPORTED`), those of a random one, and the quality of "all_large" and "all_mini".

    The random score's value is of one draw; its interval is over new draws on the same rows, so that it says how far
    chance alone reaches here.

    Args:
        scores: by name, each of shape (n,), finite; high means Large.
        resamples: of the bootstrap; 0 gives no intervals.
        seed: of the resamples and of the random scores.
        large_cost_ratio: price of a Large reply in Mini replies, for the cost saved.
    """
    of_groups, of_scores = np.random.default_rng(seed).spawn(2)
    measures: dict[str, Measure] = {
        name: partial(_scored, rank(one, outcomes, may_be_probability=name not in _ORDERS_ONLY), large_cost_ratio)
        for name, one in scores.items()
    }
    measures["random"] = partial(_random, of_scores, outcomes, large_cost_ratio)
    measures["all_large"] = partial(_quality, _sums(outcomes.strong, outcomes))
    measures["all_mini"] = partial(_quality, _sums(outcomes.weak, outcomes))
    values = {name: measure(np.ones((1, outcomes.group_count)))[0] for name, measure in measures.items()}
    drawn: dict[str, list[Reals]] = {name: [value[None, :][:0]] for name, value in values.items()}
    for counts in _resamples(of_groups, outcomes, resamples):
        for name, measure in measures.items():
            drawn[name].append(measure(counts))
    reasons = _reasons(outcomes, resamples)
    return {name: _estimates(value, np.concatenate(drawn[name]), reasons) for name, value in values.items()}


# --- measures --------------------------------------------------------------------------------------


def _scored(ranking: Ranking, large_cost_ratio: float, counts: Reals) -> Reals:
    """Return what is `REPORTED` of a ranking; each call that is not made to Large saves its price less Mini's."""
    found = figures(ranking, counts)
    saved = 1 - found[:, FIGURES.index("cpt95")]
    cost_saved = saved * (1 - 1 / large_cost_ratio)
    return np.column_stack((found[:, :5], saved, cost_saved, found[:, 5:]))


def _random(rng: np.random.Generator, outcomes: Outcomes, large_cost_ratio: float, counts: Reals) -> Reals:
    """Return what is `REPORTED` of new random scores for each set of weights, all of them on the rows as they are.

    Chance varies as much on them as on others like them; resampled rows, some of them twice, would add to it.
    """
    once = np.ones((1, outcomes.group_count))
    rankings = (rank(rng.random(len(outcomes.weak)), outcomes) for _ in counts)
    return np.concatenate([_scored(ranking, large_cost_ratio, once) for ranking in rankings])


def _sums(quality: Reals, outcomes: Outcomes) -> Reals:
    """Return shape (groups, 2): the sum of a quality over each group, and its rows."""
    return np.stack((np.bincount(outcomes.groups, quality), np.bincount(outcomes.groups)), axis=1)


def _quality(sums: Reals, counts: Reals) -> Reals:
    """Return the mean quality of one model alone, shape (b, 1)."""
    found = np.einsum("bg,gk->bk", counts, sums)
    quality: Reals = found[:, :1] / found[:, 1:]
    return quality


def _resamples(rng: np.random.Generator, outcomes: Outcomes, resamples: int) -> Iterator[Reals]:
    """Yield how often each group was drawn, shape (some resamples, groups), as many groups as there are."""
    groups = outcomes.group_count
    at_once = max(1, _CELLS // len(outcomes.weak))
    for begin in range(0, resamples if groups >= FEWEST_GROUPS else 0, at_once):
        some = range(begin, min(begin + at_once, resamples))
        drawn = [np.bincount(rng.integers(groups, size=groups), minlength=groups) for _ in some]
        yield np.stack(drawn).astype(float)


# --- words -----------------------------------------------------------------------------------------


def _estimates(values: Reals, drawn: Reals, reasons: Mapping[str, str]) -> dict[str, Estimate]:
    names = REPORTED if len(values) == len(REPORTED) else ("quality",)
    return {
        name: _estimate(value, column, undefined=reasons.get(name, ""), no_interval=reasons["interval"])
        for name, value, column in zip(names, values.tolist(), drawn.T, strict=True)
    }


def _estimate(value: float, drawn: Reals, *, undefined: str, no_interval: str) -> Estimate:
    """Return a figure; its percentiles are stretched to it, as resamples roughen some (ECE) in one direction."""
    if np.isnan(value):
        return Estimate(None, None, None, undefined)
    if not len(drawn):
        return Estimate(value, None, None, no_interval)
    known = drawn[~np.isnan(drawn)]
    if len(known) < _DEFINED * len(drawn):
        return Estimate(value, None, None, f"not defined in {len(drawn) - len(known)} of {len(drawn)} resamples")
    low, high = np.percentile(known, (2.5, 97.5)).tolist()
    return Estimate(value, min(low, value), max(high, value))


def _reasons(outcomes: Outcomes, resamples: int) -> dict[str, str]:
    """Return why a figure is not defined, where it is not, and why it has no interval, where it has none."""
    strong, weak = float(outcomes.strong.mean()), float(outcomes.weak.mean())
    no_gap = f"mean strong_score {strong:.4f} is not above mean weak_score {weak:.4f}: there is no gap to recover"
    needing, failing = float((outcomes.gain > 0).mean()), float(outcomes.fails.mean())
    too_few = f"too few groups: {outcomes.group_count}; an interval needs {FEWEST_GROUPS}"
    return {
        **dict.fromkeys(("apgr", "apgr_11", *RECOVERED, "saved_at_95", "cost_saved_at_95"), no_gap),
        "auroc_needed": f"one class only: Large is better on {'every' if needing else 'no'} row",
        "auroc_weak_fails": f"one class only: Mini fails on {'every' if failing else 'no'} row",
        **dict.fromkeys(("brier", "ece"), "the score is no probability"),
        "interval": too_few if resamples else "no resamples were asked for",
    }
