"""Labelled scores -> the calibration that suits them best.

Rows of one group never stand on both sides of a split, and every figure is of rows that the map had not seen. The kind
is chosen on the same folds.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from classifier.calibrating.calibration import DRAWS, Labels, fit_beta, fit_isotonic, fit_platt, fit_tenants
from classifier.calibrating.maps import Beta, Calibration, Isotonic, Platt, Reals
from classifier.measures import ECE_BINS
from classifier.pairs import PairsError

Kind = Literal["auto", "platt", "beta", "isotonic"]
Places = NDArray[np.int64]

FEWEST = 100  # rows; below, a line's offset alone is off by .05 of probability
FOLDS = 5
CHANCES = 200  # simulated labels behind `Report.ece_chance`

_AS_IT_CAME = Platt(1.0, 0.0)


@dataclass(frozen=True, slots=True)
class Report:
    """How well calibrated the scores are on rows that the map had not seen.

    Attributes:
        kind: of the map that was fitted on all rows.
        ece_before, ece_after: of the scores as they came, and out of fold after calibration.
        ece_chance: what perfectly calibrated scores would show on as many rows, by chance alone.
        log_losses: nats a row, out of fold, of each kind that was tried; "none" is before.
    """

    kind: str
    rows: int
    groups: int
    ece_before: float
    ece_after: float
    ece_chance: float
    log_losses: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Labelled:
    """Rows to calibrate on, one entry each.

    Attributes:
        logits: of the scores as they came.
        target: Mini was not enough.
        groups: the question's key.
        tenants: whose row it is; None where nobody is told apart.
    """

    logits: Reals
    target: Labels
    groups: Sequence[str]
    tenants: Sequence[str] | None = None

    def part(self, rows: Labels) -> "Labelled":
        """Return some of the rows."""
        chosen: list[int] = np.flatnonzero(rows).tolist()
        tenants = None if self.tenants is None else [self.tenants[row] for row in chosen]
        return Labelled(self.logits[chosen], self.target[chosen], [self.groups[row] for row in chosen], tenants)


def calibrate(rows: Labelled, *, kind: Kind, seed: int) -> tuple[Calibration, Report]:
    """Return a calibration fitted on all rows; equal arguments give an equal one.

    Args:
        kind: "auto" takes the simplest kind that no other beats by more than one standard error of the difference in
            out-of-fold log loss.
        seed: of the folds, the bootstrap and `Report.ece_chance`.

    Raises:
        PairsError: too few rows, or one class only.
    """
    if len(rows.target) < FEWEST:
        missing = FEWEST - len(rows.target)
        raise PairsError(f"calibration needs at least {FEWEST} rows and got {len(rows.target)}; add {missing}")
    if rows.target.all() or not rows.target.any():
        raise PairsError("weak_score: one class only; calibration needs rows below 0.5 and rows of 0.5 or more")
    groups = len(set(rows.groups))
    if groups < FOLDS:
        raise PairsError(f"group: {groups} groups; calibration needs at least {FOLDS}, so that each fold can hold one")
    folds = folds_of(rows.groups, rows.target, seed=seed)
    kinds = [kind] if kind != "auto" else list(_FITS)
    found = {each: _out_of_fold(rows, folds, kind=each) for each in kinds}
    losses = {each: _log_losses(chances, rows.target) for each, chances in found.items()}
    chosen = _simplest(losses, rows.groups)
    before = _AS_IT_CAME.probabilities(rows.logits)
    log_losses = {"none": float(_log_losses(before, rows.target).mean())}
    log_losses |= {each: float(loss.mean()) for each, loss in losses.items()}
    report = Report(
        kind=chosen,
        rows=len(rows.target),
        groups=groups,
        ece_before=ece(before, rows.target),
        ece_after=ece(found[chosen], rows.target),
        ece_chance=_ece_chance(found[chosen], seed=seed),
        log_losses=log_losses,
    )
    return _fit(rows, kind=chosen, seed=seed, draws=DRAWS), report


def ece(chances: Reals, target: Labels) -> float:
    """Return the expected calibration error over bins of equal width, 0.0 to 1.0.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", section 2.
    """
    bins = np.minimum((chances * ECE_BINS).astype(int), ECE_BINS - 1)
    return float(np.abs(np.bincount(bins, chances - target, minlength=ECE_BINS)).sum()) / len(chances)


def folds_of(groups: Sequence[str], target: Labels, *, seed: int) -> Places:
    """Return each row's fold, 0 to `FOLDS` - 1; groups are dealt in turn, those with many hard rows apart."""
    keys, places = np.unique(np.asarray(groups), return_inverse=True)
    share = np.bincount(places, target) / np.bincount(places)
    order = np.lexsort((np.random.default_rng(seed).random(len(keys)), share))
    fold_of = np.empty(len(keys), np.int64)
    fold_of[order] = np.arange(len(keys)) % FOLDS
    return np.asarray(fold_of[places])


_FITS: Mapping[str, Callable[[Labelled, int, int], Platt | Beta | Isotonic]] = {  # the simplest first
    "platt": lambda rows, _, __: fit_platt(rows.logits, rows.target, groups=rows.groups),
    "beta": lambda rows, _, __: fit_beta(rows.logits, rows.target, groups=rows.groups),
    "isotonic": lambda rows, seed, draws: fit_isotonic(
        rows.logits, rows.target, groups=rows.groups, seed=seed, draws=draws
    ),
}


def _fit(rows: Labelled, *, kind: str, seed: int, draws: int) -> Calibration:
    pooled = _FITS[kind](rows, seed, draws)
    if rows.tenants is None:
        return Calibration(pooled)
    return Calibration(pooled, fit_tenants(pooled.lines(rows.logits), rows.target, rows.tenants))


def _out_of_fold(rows: Labelled, folds: Places, *, kind: str) -> Reals:
    chances = np.empty(len(rows.target))
    names = rows.tenants or [""] * len(rows.target)
    for fold in range(FOLDS):
        fitted = _fit(rows.part(folds != fold), kind=kind, seed=0, draws=0)
        outside: list[int] = np.flatnonzero(folds == fold).tolist()
        chances[outside] = [fitted.probability(rows.logits[row], names[row]) for row in outside]
    return chances


def _simplest(losses: Mapping[str, Reals], groups: Sequence[str]) -> str:
    """Return the first kind whose loss the best one does not undercut by more than one standard error."""
    best = min(losses, key=lambda kind: float(losses[kind].mean()))
    _, places = np.unique(np.asarray(groups), return_inverse=True)
    for kind, loss in losses.items():
        gaps = np.bincount(places, loss - losses[best])
        if gaps.sum() <= np.sqrt((gaps - gaps.mean()) @ (gaps - gaps.mean())):
            return kind
    return best


def _log_losses(chances: Reals, target: Labels) -> Reals:
    return np.asarray(-np.log(np.clip(np.where(target, chances, 1 - chances), 1e-12, 1)))


def _ece_chance(chances: Reals, *, seed: int) -> float:
    chance = np.random.default_rng(seed)
    return float(np.mean([ece(chances, chance.random(len(chances)) < chances) for _ in range(CHANCES)]))
