"""Labelled pairs -> weights, by linear models that are chosen on rows which they had not seen.

Several models are tried: logistic regression on "Mini is not enough" and ridge regression on what Large adds. The one
listed first is taken unless another routes clearly better out of fold, by exact APGR: a few hundred labels cannot tell
near ones apart, and the best of many is often the luckiest. Whichever it is, its scores are then calibrated to the
probability that Mini is not enough. Every row weighs the same, and classes are not balanced: a probability shall mean
what it says on data like these. Rows of one group never stand on both sides of a split. The threshold is a plug-in
estimate, a place to start from and no promise about other traffic (`./tandem calibrate` makes one).
Knows nothing of models, of backends or of where the pairs came from.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from classifier.calibrating.calibration import fit_platt
from classifier.calibrating.maps import Beta, Isotonic, Platt
from classifier.calibrating.recalibration import FEWEST, Labelled, calibrate, ece, folds_of
from classifier.cards import card
from classifier.design import Reals, design
from classifier.linear import Weights, dump
from classifier.measures import FIGURES, Outcomes, figures, rank
from classifier.pairs import Pair, check, marks_of
from classifier.peers import expected_gain

CLEARLY = 1.0  # standard errors by which a model must lead the one listed first
STEPS = 1000  # of a solver, at most
TOLERANCE = 1e-3  # of a solver, in its own terms

Target = Literal["fail", "gain"]
Say = Callable[[str], None]
Learner = Any  # of scikit-learn, which has no types; it is of the extra [fit] and loaded where it is used


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to fit.

    Attributes:
        target: "fail" is logistic regression on "Mini is not enough"; "gain" is ridge regression on the difference of
            both scores, which cares for the rows that Large mends and not for those on which both fail.
        penalty: of the squared coefficients.
        steadied: share of the gain that is not what was seen but what other models' scores lead one to expect.
    """

    target: Target
    penalty: float
    steadied: float = 0.0

    def learner(self) -> Learner:
        """Return it unfitted; both solvers use one thread and no randomness."""
        linear = import_module("sklearn.linear_model")
        if self.target == "gain":
            return linear.Ridge(alpha=self.penalty, solver="sparse_cg", tol=TOLERANCE)
        return linear.LogisticRegression(C=1 / self.penalty, max_iter=STEPS, tol=TOLERANCE)

    def of(self, outcomes: Outcomes, expected: Reals) -> Reals:
        """Return what is to be learnt from each row; `expected` is of what is steadied."""
        if self.target == "gain":
            return outcomes.gain + self.steadied * (expected - outcomes.gain)
        return outcomes.fails


CANDIDATES = (
    *(Candidate("gain", penalty) for penalty in (100.0, 300.0, 30.0, 10.0)),
    *(Candidate("fail", penalty) for penalty in (10.0, 100.0, 1.0, 0.1)),
)
STEADIED = tuple(Candidate("gain", penalty, share) for share in (0.75, 0.5, 1.0) for penalty in (100.0, 30.0))


@dataclass(frozen=True, slots=True, eq=False)
class Recipe:
    """What may be chosen about fitting.

    Attributes:
        target: what to learn; "auto" tries all.
        prior: weights fitted on other data, which become one more feature.
        peers: what other models scored on each row's prompt, shape (n, models), NaN where one was not asked; candidates
            that learn from it are tried, too.
    """

    target: Target | Literal["auto"] = "auto"
    prior: Weights | None = None
    peers: Reals | None = None

    def candidates(self) -> tuple[Candidate, ...]:
        """Return what is tried; the first is what has done best on data of many kinds."""
        found = CANDIDATES if self.peers is None else STEADIED + CANDIDATES
        return tuple(each for each in found if self.target in (each.target, "auto"))


@dataclass(frozen=True, slots=True)
class Report:
    """Measures on rows that the scoring model had not seen (out of fold).

    Attributes:
        rows, groups, needing_large: counts.
        target, penalty, steadied: of the candidate that was taken.
        prior: name and version of the weights that were built upon; "" where there were none.
        apgr, cpt50, cpt80: None where Large is not better than Mini on average.
        auroc: for "Mini is not enough"; auroc_needed for "Large is better".
        calibration: kind of the map from logit to probability.
        brier: of the calibrated scores; `ece` is out of fold for the calibration, too.
        threshold: the highest score limit at which the mix keeps `quality` at or above strong_mean - margin.
        large_share: of the rows, at that threshold.
        saved: share of the all-Large cost that is saved there, when Large costs `large_cost_ratio` times Mini.
        quality, strong_mean, weak_mean: mean scores of the mix, of Large and of Mini.
    """

    rows: int
    groups: int
    needing_large: int
    target: str
    penalty: float
    steadied: float
    prior: str
    calibration: str
    apgr: float | None
    cpt50: float | None
    cpt80: float | None
    auroc: float | None
    auroc_needed: float | None
    brier: float
    ece: float
    margin: float
    large_cost_ratio: float
    threshold: float
    large_share: float
    saved: float
    quality: float
    strong_mean: float
    weak_mean: float
    seed: int


@dataclass(frozen=True, slots=True)
class Fitted:
    """Weights and what is known about them."""

    weights: Weights
    report: Report


def _silent(_: str) -> None:
    """Say nothing."""


def fit(
    pairs: Sequence[Pair],
    *,
    seed: int,
    version: str,
    name: str,
    margin: float = 0.01,
    large_cost_ratio: float = 10.0,
    recipe: Recipe = Recipe(),
    say: Say = _silent,
) -> Fitted:
    """Return weights fitted on the pairs; equal arguments give equal weights.

    Args:
        pairs: `classifier.pairs.FEWEST` or more, with enough groups of either class.
        seed: of the split into folds, the only thing left to chance.
        version: becomes part of each score's source.
        name: what the weights are for.
        margin: how far the mix's mean quality may lie below all-Large's.
        large_cost_ratio: price of a Large reply in Mini replies.
        say: told what happens, a line at a time.

    Raises:
        PairsError: too few rows or groups of either class.
    """
    check(pairs, "pairs")
    say(f"features of {len(pairs)} prompts")
    designed = design([pair.prompt for pair in pairs], prior=recipe.prior, of_one_user=True)
    groups = [pair.group for pair in pairs]
    outcomes = Outcomes.of([pair.strong_score for pair in pairs], [pair.weak_score for pair in pairs], groups)
    folds = folds_of(groups, outcomes.fails > 0, seed=seed)
    expected = outcomes.gain if recipe.peers is None else expected_gain(outcomes, recipe.peers, folds=folds)
    # One thread: the vectors are short, so that threads cost more than they give, and sums keep their order.
    with import_module("threadpoolctl").threadpool_limits(1):
        tried = {}
        for candidate in recipe.candidates():
            tried[candidate] = out_of_fold(designed.rows, candidate.of(outcomes, expected), folds, candidate)
            steadied = f", steadied {candidate.steadied:g}" if candidate.steadied else ""
            worth = _worth(tried[candidate], outcomes)
            say(f"{candidate.target}, penalty {candidate.penalty:g}{steadied}: {worth:.4f}")
        taken = _best(tried, outcomes)
        learner = _fitted(taken, designed.rows, taken.of(outcomes, expected))
    scale = float(tried[taken].std()) or 1.0
    labelled = Labelled(tried[taken] / scale, outcomes.fails > 0, groups)
    calibration, kind, found_ece = _calibration(labelled, seed=seed)
    coefficients = learner.coef_.ravel() / scale
    values, intercept = designed.merged(coefficients, float(np.ravel(learner.intercept_)[0]) / scale)
    report = Report(
        target=taken.target,
        penalty=taken.penalty,
        steadied=taken.steadied,
        prior="" if recipe.prior is None else f"{recipe.prior.name}@{recipe.prior.version}",
        calibration=kind,
        ece=found_ece,
        seed=seed,
        **measures(
            calibration.probabilities(labelled.logits),
            outcomes,
            margin=margin,
            large_cost_ratio=large_cost_ratio,
        ),
    )
    weights = Weights(
        name=name,
        version=version,
        values=values,
        intercept=intercept,
        calibration=calibration,
        lowest=designed.lowest.astype(np.float32),
        highest=designed.highest.astype(np.float32),
        threshold=report.threshold,
        fitted_on=asdict(report),
        groups=marks_of(groups),
        openings=designed.within(coefficients),
    )
    return Fitted(weights, report)


def write(fitted: Fitted, path: Path) -> Path:
    """Write the weights to `path`, a model card beside them, and return the card's path."""
    card_path = path.with_suffix(".md")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dump(fitted.weights), encoding="utf-8")
    card_path.write_text(card(fitted.weights), encoding="utf-8")
    return card_path


# --- fitting ---------------------------------------------------------------------------------------


def out_of_fold(rows: Any, target: Reals, folds: NDArray[np.int64], candidate: Candidate) -> Reals:  # noqa: ANN401 - of scipy
    """Return for each row what a model says that was fitted on the other folds, shape (n,)."""
    logits = np.empty(len(target))
    for fold in range(int(folds.max()) + 1):
        inside = folds != fold
        logits[~inside] = _said(_fitted(candidate, rows[inside], target[inside]), rows[~inside])
    return logits


def _fitted(candidate: Candidate, rows: Any, target: Reals) -> Learner:  # noqa: ANN401 - likewise
    return candidate.learner().fit(rows, target)


def _said(learner: Learner, rows: Any) -> Reals:  # noqa: ANN401 - likewise
    found: Reals = rows @ learner.coef_.ravel() + np.ravel(learner.intercept_)[0]
    return found


def _worth(logits: Reals, outcomes: Outcomes) -> float:
    """Return the APGR, or the AUROC where Large is not better on average."""
    found = _figures(logits, outcomes, may_be_probability=False)
    routed, fails = found["apgr"], found["auroc_weak_fails"]
    return routed if routed is not None else 0.5 if fails is None else fails


def _best(tried: Mapping[Candidate, Reals], outcomes: Outcomes) -> Candidate:
    """Return the candidate that leads the first by most standard errors' worth, or the first where none does clearly.

    Source: Breiman et al. 1984, "Classification and Regression Trees", section 3.4.3, for the one standard error.
    """
    places = {candidate: _places(logits) for candidate, logits in tried.items()}
    usual = next(iter(places))

    def clear_lead(candidate: Candidate) -> float:
        lead, error = _lead(places[candidate] - places[usual], outcomes)
        return lead - CLEARLY * error

    return max(places, key=clear_lead)  # the first where none is above 0, which is its own


def _places(logits: Reals) -> Reals:
    """Return each row's place from the lowest, 0.0 to 1.0; equal rows share theirs."""
    places: Reals = import_module("scipy.stats").rankdata(logits) / len(logits)
    return places


def _lead(moved: Reals, outcomes: Outcomes) -> tuple[float, float]:
    """Return what rows gain by being moved up the order, in APGR, and its standard error over groups.

    Where Large is not better on average, what counts is how far up the rows come on which Mini fails.
    """
    counted = outcomes.gain if outcomes.gain.sum() > 0 else outcomes.fails
    lead = float(counted @ moved / counted.sum())
    of_groups = np.bincount(outcomes.groups, counted * (moved - lead))
    return lead, float(np.sqrt(np.square(of_groups).sum()) / counted.sum())


def _calibration(rows: Labelled, *, seed: int) -> tuple[Platt | Beta | Isotonic, str, float]:
    """Return the map that suits, its kind and its ECE; of few rows a straight line, whose ECE is on the same rows."""
    if len(rows.target) < FEWEST:
        line = fit_platt(rows.logits, rows.target, groups=rows.groups)
        return line, "platt", ece(line.probabilities(rows.logits), rows.target)
    calibration, report = calibrate(rows, kind="auto", seed=seed)
    return calibration.pooled, report.kind, report.ece_after


# --- measuring -------------------------------------------------------------------------------------


def measures(scores: Reals, outcomes: Outcomes, *, margin: float, large_cost_ratio: float) -> dict[str, Any]:
    """Return what a `Report` says of calibrated scores that are out of fold."""
    found = _figures(scores, outcomes)
    threshold = _threshold(scores, outcomes.strong, outcomes.weak, margin=margin)
    to_large = scores >= threshold
    share = float(to_large.mean())
    return {
        "rows": len(scores),
        "groups": outcomes.group_count,
        "needing_large": int(outcomes.fails.sum()),
        "apgr": found["apgr"],
        "cpt50": found["cpt50"],
        "cpt80": found["cpt80"],
        "auroc": found["auroc_weak_fails"],
        "auroc_needed": found["auroc_needed"],
        "brier": found["brier"],
        "margin": margin,
        "large_cost_ratio": large_cost_ratio,
        "threshold": threshold,
        "large_share": share,
        "saved": (1 - share) * (1 - 1 / large_cost_ratio),
        "quality": float(np.where(to_large, outcomes.strong, outcomes.weak).mean()),
        "strong_mean": float(outcomes.strong.mean()),
        "weak_mean": float(outcomes.weak.mean()),
    }


def _figures(scores: Reals, outcomes: Outcomes, *, may_be_probability: bool = True) -> dict[str, float | None]:
    """Return the figures by name; None where one is not defined."""
    ranking = rank(scores, outcomes, may_be_probability=may_be_probability)
    found = figures(ranking, np.ones((1, outcomes.group_count)))[0]
    return {name: float(one) if np.isfinite(one) else None for name, one in zip(FIGURES, found, strict=True)}


def _threshold(scores: Reals, strong: Reals, weak: Reals, *, margin: float) -> float:
    """Return the highest score limit at which the mix's mean quality is within `margin` of all-Large's.

    A row goes to Large when its score is at or above the limit. The limits tried are the scores themselves, which
    are all the mixes there are but all-Mini, and 1.0 for that one. All-Large always qualifies.
    """
    order = np.argsort(scores, kind="stable")
    lost = np.concatenate(([0.0], np.cumsum((strong - weak)[order]))) / len(scores)  # by how many rows go to Mini
    limits = np.concatenate((scores[order], [1.0]))
    first = np.concatenate(([True], limits[1:] > limits[:-1]))  # equal scores go the same way
    return float(limits[first & (lost <= margin + 1e-12)].max())
