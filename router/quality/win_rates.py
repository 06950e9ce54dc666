"""A judge's verdicts, and people's of some of the same pairs -> how often Mini's reply is at least as good.

A judge that agrees with people most of the time may still lean far: what it says of all pairs is corrected by what
people say of some. Pure.

Source: Angelopoulos et al. 2023, "Prediction-powered inference".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from router.statistics.estimates import Estimate, estimated

FEWEST_LABELS: Final = 30
"""Pairs that people have judged, below which nothing is told of the judge's leaning."""
FOLDS: Final = 5

Reals = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Judged:
    """Verdicts of one judge, and what people said of some of the same pairs.

    Attributes:
        requests: of the pairs, in order.
        verdicts: 0.0 to 1.0 of each.
        inconsistent: how many of them changed with the order.
        labels: of people by request, 0.0 to 1.0, in the meaning of the verdicts.
        units: whose request each was; those of one depend on each other. Empty where that is not known.
    """

    requests: tuple[str, ...]
    verdicts: tuple[float, ...]
    inconsistent: int
    labels: Mapping[str, float]
    units: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WinRate:
    """How often Mini's reply is at least as good, a tie as half.

    Attributes:
        pairs, labels: that were judged, and by people, too.
        raw: of the judge alone, which leans; None where there is no pair.
        inconsistency: share of pairs whose verdict changed with the order.
        corrected: without the judge's leaning, with its interval; None with fewer than `FEWEST_LABELS` labels, or where
            all requests are of one unit.
    """

    pairs: int
    labels: int
    raw: float | None
    inconsistency: float | None
    corrected: Estimate | None


def win_rate(judged: Judged) -> WinRate:
    """Return what a judge's verdicts come to, corrected by people's labels.

    Pairs are taken to have been chosen for labels by chance, all with the same probability.

    Raises:
        ValueError: a verdict or a label is outside 0.0 to 1.0.
    """
    pairs = len(judged.requests)
    values = np.array([judged.labels.get(each, np.nan) for each in judged.requests], dtype=np.float64)
    verdicts = np.array(judged.verdicts, dtype=np.float64)
    labelled = ~np.isnan(values)
    for name, checked in (("verdict", verdicts), ("label", values[labelled])):
        if len(checked) and not (checked.min() >= 0.0 and checked.max() <= 1.0):
            raise ValueError(f"a {name} is outside 0 to 1: {checked[(checked < 0) | (checked > 1)][0]:g}")
    labels = int(labelled.sum())
    units = judged.units or judged.requests
    return WinRate(
        pairs=pairs,
        labels=labels,
        raw=float(verdicts.mean()) if pairs else None,
        inconsistency=judged.inconsistent / pairs if pairs else None,
        corrected=corrected_mean(verdicts, values, units) if labels >= FEWEST_LABELS and len(set(units)) > 1 else None,
    )


def corrected_mean(predicted: Reals, values: Reals, units: Sequence[str], *, level: float = 0.95) -> Estimate:
    """Return the mean of values that are known of some, predicted of all, with its interval.

    zeta = m(x) + (known / e) * (value - m(x)), where m is a line through the predictions, fitted on the values of other
    folds, and e the share that is known. The mean of zeta is right however bad the predictions are. Like the values it
    is a mean of 0.0 to 1.0, and its interval is cut there.

    Args:
        predicted: shape (n,).
        values: shape (n,), not a number where unknown.
        units: n of them, two different ones at least; the interval is by unit.
        level: of the interval.

    Raises:
        ValueError: no value is known, or there are fewer than two units.
    """
    known = ~np.isnan(values)
    share = float(known.mean()) if len(values) else 0.0
    if not share:
        raise ValueError("no value is known: there is nothing that predictions could be corrected by")
    _, group = np.unique(np.array(units), return_inverse=True)
    folds = group % FOLDS
    model = np.empty(len(values))
    for fold in range(FOLDS):
        seen = known & (folds != fold)
        model[folds == fold] = _line(predicted[seen], values[seen], predicted[folds == fold])
    zeta = model + np.where(known, np.nan_to_num(values) - model, 0.0) / share
    mean = float(zeta.mean())
    parts = np.bincount(group, zeta - mean) / len(values)
    found = estimated(mean, parts, level=level)
    kept = [min(1.0, max(0.0, each)) for each in (found.value, found.low, found.high)]
    return Estimate(kept[0], kept[1], kept[2], found.error, found.degrees)


def _line(x: Reals, y: Reals, at: Reals) -> Reals:
    """Return a line through points, at other places; their mean where they say no more."""
    if len(y) == 0:
        return np.full(len(at), 0.5)
    spread = float(np.square(x - x.mean()).sum())
    slope = float(((x - x.mean()) * (y - y.mean())).sum()) / spread if spread else 0.0
    return np.asarray(y.mean() + slope * (at - x.mean()), dtype=np.float64)
