"""An experiment's definition and what its units brought -> findings, and one verdict.

    filled as planned? -> no guard-rail broken? -> quality surely not worse by the margin? -> cost surely lower?

Each question is asked only where the one before it is answered, so the first error that is allowed is the only one.
With several treated arms each gets an equal part of it. Knows neither files nor tables.
"""

import math
from collections.abc import Iterator
from decimal import Decimal
from typing import Final

import numpy as np

from router.experiments.definition import Experiment
from router.experiments.findings import ArmFindings, Compared, Filling, Findings, Guarded
from router.ledger.experiments import Exposed
from router.statistics.comparing import difference
from router.statistics.cuped import adjusted
from router.statistics.holm import holm
from router.statistics.non_inferiority import non_inferiority
from router.statistics.quantiles import Quantile, quantile
from router.statistics.ratios import Ratio, parts_of, ratio_of
from router.statistics.sample_ratio import chi_square_p, mismatch, sequential_p

QUALITIES: Final = {
    "resolution": ("resolved", "conversations"),
    "agreement": ("agreement", "compared"),
    "checks": ("passed", "checks"),
    "thumbs": ("thumbs", "rated"),
}
"""What each is the ratio of."""

GUARDED: Final = {
    "errors": ("failed", "requests"),
    "refusals": ("refused", "assessed"),
    "repetitions": ("repetitive", "assessed"),
}
METRICS: Final = {
    "large_share": ("large_n", "answered", True),
    "empty": ("empty", "assessed", True),
    "truncated": ("truncated", "assessed", True),
    "mean_overhead": ("overhead", "timed", False),
}
"""Likewise, and whether they lie between 0 and 1."""

P99: Final = 0.99


def judge(experiment: Experiment, seen: Exposed, weights: tuple[Decimal, ...]) -> Findings:
    """Return what can be said now.

    Args:
        weights: planned ones, in the arms' order.
    """
    requests = int(seen.sums["requests"].sum())
    return Findings(
        experiment=experiment,
        filling=_filling(experiment, seen, weights),
        arms=tuple(_of_arm(experiment, seen, name) for name in experiment.treated),
        units=len(seen.arm) - seen.crossed,
        requests=requests,
        unpriced=sum(seen.unpriced.values()) / max(1, requests),
        seen=seen,
    )


def _filling(experiment: Experiment, seen: Exposed, weights: tuple[Decimal, ...]) -> Filling:
    counts = np.bincount(seen.arm, minlength=len(seen.arms)).astype(float)
    planned = tuple(map(float, weights))
    has_any = bool(counts.sum())
    is_fixed = experiment.allocation == "fixed"
    is_end = bool(counts.sum() >= experiment.maximum)
    return Filling(
        units={name: int(count) for name, count in zip(seen.arms, counts, strict=True)},
        planned=planned,
        p_one_look=chi_square_p(counts, planned) if has_any else 1.0,
        p_always=float(sequential_p(counts, planned)) if has_any else 1.0,
        is_mismatch=mismatch(counts, planned, is_end=is_end) if is_fixed else None,
    )


def _of_arm(experiment: Experiment, seen: Exposed, name: str) -> ArmFindings:
    alpha = experiment.alpha / len(experiment.treated)
    two = (seen.arms.index(name), seen.arms.index(experiment.controls))
    treated, control = (_ratio(seen, arm, *QUALITIES[experiment.quality]) for arm in two)
    cost, spared = _cost(seen, two, alpha)
    metrics = [_metric(seen, two, metric, alpha) for metric in experiment.metrics]
    adjusted_p = holm({each.name: float(each.found.p) for each in metrics})
    return ArmFindings(
        name=name,
        quality=non_inferiority(treated, control, margin=experiment.margin, alpha=alpha / 2),
        treated_quality=treated,
        control_quality=control,
        cost=cost,
        spared=spared,
        guards=tuple(_guards(experiment, seen, two, alpha)),
        metrics=tuple(
            Compared(each.name, each.treated, each.control, each.found, adjusted_p[each.name]) for each in metrics
        ),
    )


def _ratio(seen: Exposed, arm: int, over: str, under: str) -> Ratio:
    rows = seen.arm == arm
    nothing = np.zeros(int(rows.sum()))
    y, x = seen.sums.get(over), seen.sums.get(under)
    return ratio_of(nothing if y is None else y[rows], nothing if x is None else x[rows])


def _cost(seen: Exposed, two: tuple[int, int], alpha: float) -> tuple[Compared, float]:
    """Return cost per request in both arms, and the share of its variance that the days before have explained."""
    cost, requests = seen.sums["cost"], seen.sums["requests"]
    rows = [np.flatnonzero((seen.arm == arm) & (requests > 0)) for arm in two]
    treated, control = (ratio_of(cost[each], requests[each]) for each in rows)
    spared, compared = 0.0, (treated, control)
    if seen.earlier and all(len(each) > 1 for each in rows):
        both, split = np.concatenate(rows), len(rows[0])
        before = parts_of(seen.earlier["cost"][both], seen.earlier["requests"][both])
        parts = [parts_of(cost[each], requests[each]) for each in rows]
        less = adjusted(treated, control, (parts[0], parts[1]), (before[:split], before[split:]))
        spared, compared = less.spared, (less.treated, less.control)
    found = difference(*compared, bounded=False, alpha=alpha)
    return Compared("cost", float(treated.value), float(control.value), found, float(found.p)), spared


def _guards(experiment: Experiment, seen: Exposed, two: tuple[int, int], alpha: float) -> Iterator[Guarded]:
    limits = experiment.guard_rails
    for name, (over, under) in GUARDED.items():
        limit = getattr(limits, name)
        treated, control = (_spared(seen, arm, over, under) for arm in two)
        found = non_inferiority(treated, control, margin=limit, alpha=alpha / 2)
        yield Guarded(name, -float(found.value), -float(found.high), -float(found.low), limit)
    yield _overhead(seen, two, alpha / 2, limits.overhead_p99)


def _spared(seen: Exposed, arm: int, over: str, under: str) -> Ratio:
    """Return the share that did not fail: of it, more is better."""
    rows = seen.arm == arm
    return ratio_of(seen.sums[under][rows] - seen.sums[over][rows], seen.sums[under][rows])


def _overhead(seen: Exposed, two: tuple[int, int], alpha: float, limit: float) -> Guarded:
    """Compare the gateway's own time by intervals of both arms, each of which may be wrong as often as the other."""
    found = []
    for arm in two:
        rows = seen.overhead_rows[seen.arm[seen.overhead_rows] == arm]
        values = seen.overheads[seen.arm[seen.overhead_rows] == arm]
        _, of = np.unique(rows, return_inverse=True)
        found.append(quantile(values, of, P99, alpha=alpha) if len(values) else _NO_QUANTILE)
    treated, control = found
    low, high = treated.low - control.high, treated.high - control.low
    return Guarded("overhead_p99", treated.value - control.value, low, high, limit)


def _metric(seen: Exposed, two: tuple[int, int], name: str, alpha: float) -> Compared:
    over, under, bounded = METRICS[name]
    treated, control = (_ratio(seen, arm, over, under) for arm in two)
    found = difference(treated, control, bounded=bounded, alpha=alpha)
    return Compared(name, float(treated.value), float(control.value), found)


_NO_QUANTILE: Final = Quantile(math.nan, -math.inf, math.inf, 0, 0)
