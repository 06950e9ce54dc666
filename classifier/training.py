"""Labelled pairs -> weights, by logistic regression.

The target is "Mini is not enough". Every row weighs the same, and classes are not balanced: a probability
shall mean what it says on data like these. Rows of one group never stand on both sides of a split.
The threshold is a plug-in estimate, a place to start from and no promise about other traffic.
Knows nothing of models, of backends or of where the pairs came from.
"""

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifier.base import Prompt
from classifier.features import BUCKETS, NUMBERS, VERSION, featurise
from classifier.linear import COLUMNS, Weights, dump
from classifier.pairs import FEWEST_GROUPS, Pair, check

FOLDS = FEWEST_GROUPS
NO_WORSE = 0.001  # nats: of penalties this close to the best, the strongest is taken, as small weights surprise less
PENALTIES = (0.1, 1.0, 10.0, 100.0)  # inverse strengths of the L2 penalty that are tried
ECE_BINS = 10
STEPS = 1000  # of the solver, at most
NEWTON_STEPS = 50  # at most, and at most as many halvings of one; a dozen are usual

Reals = NDArray[np.float64]
Classes = NDArray[np.int64]
# Of scipy and scikit-learn, which have no types; they are of the extra [train] and loaded where they are used.
Matrix = Any
Learner = Any


@dataclass(frozen=True, slots=True)
class Report:
    """Measures on rows that the scoring model had not seen (out of fold), after calibration.

    Attributes:
        rows, groups, needing_large: counts.
        penalty: the chosen one of `PENALTIES`, by out-of-fold log loss; see `NO_WORSE`.
        auroc, brier, ece: of the calibrated scores; calibrated across folds, too.
        threshold: the highest score limit at which the mix keeps `quality` at or above strong_mean - margin.
        large_share: of the rows, at that threshold.
        saved: share of the all-Large cost that is saved there, when Large costs `large_cost_ratio` times Mini.
        quality, strong_mean, weak_mean: mean scores of the mix, of Large and of Mini.
    """

    rows: int
    groups: int
    needing_large: int
    penalty: float
    auroc: float
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


def fit(
    pairs: Sequence[Pair],
    *,
    seed: int,
    version: str,
    name: str,
    margin: float = 0.01,
    large_cost_ratio: float = 10.0,
) -> Fitted:
    """Return weights fitted on the pairs; equal arguments give equal weights.

    Args:
        pairs: `classifier.pairs.FEWEST` or more, with `FOLDS` groups of either class.
        seed: of the split into folds, the only thing left to chance.
        version: becomes part of each score's source.
        name: what the weights are for.
        margin: how far the mix's mean quality may lie below all-Large's.
        large_cost_ratio: price of a Large reply in Mini replies.

    Raises:
        PairsError: too few rows or groups of either class.
    """
    check(pairs, "pairs")
    rows = design([pair.prompt for pair in pairs])
    target = np.array([pair.needs_large for pair in pairs], np.int64)
    folds = _folds(pairs, seed)
    # One thread: the vectors are short, so that threads cost more than they give, and sums keep their order.
    with import_module("threadpoolctl").threadpool_limits(1):
        logits = {penalty: _out_of_fold(rows, target, folds, penalty=penalty) for penalty in PENALTIES}
        losses = {penalty: _log_loss(_calibrated(found, target, folds), target) for penalty, found in logits.items()}
        penalty = min(one for one in PENALTIES if losses[one] <= min(losses.values()) + NO_WORSE)
        learner = _learner(penalty).fit(rows, target)
    slope, offset = _platt(logits[penalty], target)
    scores = _calibrated(logits[penalty], target, folds)
    chosen = {"penalty": penalty, "margin": margin, "large_cost_ratio": large_cost_ratio}
    report = _report(pairs, scores, chosen=chosen, seed=seed)
    numbers = rows[:, BUCKETS:].toarray().astype(np.float32)
    weights = Weights(
        name=name,
        version=version,
        values=learner.coef_[0].astype(np.float32),
        intercept=float(learner.intercept_[0]),
        slope=slope,
        offset=offset,
        lowest=numbers.min(axis=0),
        highest=numbers.max(axis=0),
        threshold=report.threshold,
        fitted_on=asdict(report),
    )
    return Fitted(weights, report)


def write(fitted: Fitted, path: Path) -> Path:
    """Write the weights to `path`, a model card beside them, and return the card's path."""
    card = path.with_suffix(".md")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dump(fitted.weights), encoding="utf-8")
    card.write_text(_card(fitted), encoding="utf-8")
    return card


# --- fitting ---------------------------------------------------------------------------------------


def design(prompts: Sequence[Prompt]) -> Matrix:
    """Return the features as a sparse matrix of shape (n, COLUMNS), float64, one row a prompt."""
    found = [featurise(prompt) for prompt in prompts]
    ends = np.cumsum([0, *(len(one.indices) for one in found)])
    indices = np.concatenate([one.indices for one in found])
    values = np.concatenate([one.values for one in found]).astype(np.float64)
    rows = import_module("scipy.sparse").csr_matrix((values, indices, ends), shape=(len(found), COLUMNS))
    rows.sum_duplicates()
    return rows


def _learner(penalty: float) -> Learner:
    """Return an unfitted logistic regression; its solver uses one thread and no randomness."""
    return import_module("sklearn.linear_model").LogisticRegression(C=penalty, solver="liblinear", max_iter=STEPS)


def _folds(pairs: Sequence[Pair], seed: int) -> Classes:
    """Return each row's fold: groups are dealt in turn, in an order that gives each fold's rest both classes."""
    sides: dict[str, set[bool]] = {}
    for pair in pairs:
        sides.setdefault(pair.group, set()).add(pair.needs_large)
    groups = sorted(sides)
    random.Random(seed).shuffle(groups)
    groups.sort(key=lambda group: sum(-1 if side else 1 for side in sides[group]))  # Large only, both, Mini only
    fold_of = {group: place % FOLDS for place, group in enumerate(groups)}
    return np.array([fold_of[pair.group] for pair in pairs])


def _out_of_fold(rows: Matrix, target: Classes, folds: Classes, *, penalty: float) -> Reals:
    logits = np.empty(len(target))
    for fold in range(FOLDS):
        inside = folds != fold
        logits[~inside] = _learner(penalty).fit(rows[inside], target[inside]).decision_function(rows[~inside])
    return logits


def _platt(logits: Reals, target: Classes) -> tuple[float, float]:
    """Return slope and offset of the calibrated logit, by Newton's method with halved steps.

    Source: Lin, Lin and Weng 2007, "A Note on Platt's Probabilistic Outputs for Support Vector Machines".
    """
    ones = int(target.sum())
    chance = np.where(target == 1, (ones + 1) / (ones + 2), 1 / (len(target) - ones + 2))
    columns = np.stack((logits, np.ones_like(logits)))

    def loss(line: Reals) -> float:
        found = line @ columns
        return float((np.logaddexp(0, found) - chance * found).sum())

    line = np.array((0.0, np.log((ones + 1) / (len(target) - ones + 1))))
    for _ in range(NEWTON_STEPS):
        found = _sigmoid(line @ columns)
        gradient = columns @ (found - chance)
        if np.abs(gradient).max() < 1e-6 * len(target):
            break
        bend = (columns * (found * (1 - found))) @ columns.T + 1e-12 * np.eye(2)
        step = np.linalg.solve(bend, gradient)
        share = next((2.0**-i for i in range(NEWTON_STEPS) if loss(line - 2.0**-i * step) < loss(line)), 0.0)
        line = line - share * step
    return float(line[0]), float(line[1])


def _sigmoid(logits: Reals) -> Reals:
    return (1 + np.tanh(logits / 2)) / 2


def _calibrated(logits: Reals, target: Classes, folds: Classes) -> Reals:
    """Return probabilities; each fold is calibrated on the others, so that the measures stay honest."""
    scores = np.empty(len(logits))
    for fold in range(FOLDS):
        inside = folds != fold
        slope, offset = _platt(logits[inside], target[inside])
        scores[~inside] = _sigmoid(slope * logits[~inside] + offset)
    return scores


# --- measuring -------------------------------------------------------------------------------------


def _report(pairs: Sequence[Pair], scores: Reals, *, chosen: dict[str, float], seed: int) -> Report:
    target = np.array([pair.needs_large for pair in pairs], float)
    strong = np.array([pair.strong_score for pair in pairs])
    weak = np.array([pair.weak_score for pair in pairs])
    threshold = _threshold(scores, strong, weak, margin=chosen["margin"])
    to_large = scores >= threshold
    share = float(to_large.mean())
    return Report(
        rows=len(pairs),
        groups=len({pair.group for pair in pairs}),
        needing_large=int(target.sum()),
        auroc=float(import_module("sklearn.metrics").roc_auc_score(target, scores)),
        brier=float(((scores - target) ** 2).mean()),
        ece=_ece(scores, target),
        threshold=threshold,
        large_share=share,
        saved=(1 - share) * (1 - 1 / chosen["large_cost_ratio"]),
        quality=float(np.where(to_large, strong, weak).mean()),
        strong_mean=float(strong.mean()),
        weak_mean=float(weak.mean()),
        seed=seed,
        **chosen,
    )


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


def _ece(scores: Reals, target: Reals) -> float:
    """Return the expected calibration error over bins of equal width.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", section 2.
    """
    bins = np.minimum((scores * ECE_BINS).astype(int), ECE_BINS - 1)
    gaps = [abs(float((scores - target)[bins == one].sum())) for one in range(ECE_BINS)]
    return sum(gaps) / len(scores)


def _log_loss(scores: Reals, target: Classes) -> float:
    chance = np.clip(np.where(target == 1, scores, 1 - scores), 1e-12, 1)
    return -float(np.log(chance).mean())


def _card(fitted: Fitted) -> str:
    weights, report = fitted.weights, fitted.report
    return f"""# {weights.name} {weights.version}

Logistic regression on {BUCKETS} hashed n-gram buckets and {len(NUMBERS)} numbers of the conversation
(features version {VERSION}); gives the calibrated probability that the Mini model is not enough.

Fitted on {report.rows} pairs of {report.groups} groups, {report.needing_large} of them with a weak score below 0.5;
seed {report.seed}, inverse penalty strength {report.penalty:g}. No text of the pairs is in the weights.

Out of fold ({FOLDS} folds by group, calibrated across folds; the penalty was chosen on the same folds):

| measure | value |
|---|---|
| AUROC for "Mini is not enough" | {report.auroc:.4f} |
| Brier score | {report.brier:.4f} |
| ECE, {ECE_BINS} bins of equal width | {report.ece:.4f} |
| mean quality of all-Large, all-Mini | {report.strong_mean:.4f}, {report.weak_mean:.4f} |

Suggested threshold: {report.threshold:.4f}, the highest one at which the mix's out-of-fold mean quality
({report.quality:.4f}) lies within {report.margin:g} of all-Large's. There {report.large_share:.1%} of the rows go to
Large; that saves {report.saved:.1%} of all-Large's cost when Large costs {report.large_cost_ratio:g} times Mini.
It is an estimate on these rows, not a promise about other traffic.
"""
