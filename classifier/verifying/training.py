"""Replies with labels -> weights of the verifier, and what is known about them.

Logistic regression on the signs of labelled replies, with measures on cases that the fit had not seen. Cases of one
group never stand on both sides of a split. Knows nothing of models and of where the replies came from. Needs the
extra [fit].
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from classifier.base import Kind, Sample
from classifier.calibrating.recalibration import ece
from classifier.verify import VerifierWeights
from classifier.verifying.replies import signs_of

FOLDS: Final = 5
FEWEST: Final = 50  # cases
FEWEST_GROUPS: Final = 5  # of either label, so that each fold can hold one
PENALTIES: Final = (0.03, 0.3, 3.0, 30.0)  # inverse strengths of the L2 penalty that are tried
STEPS: Final = 2_000  # of the solver, at most
NO_WORSE: Final = 0.001  # nats; of penalties this close to the best, the strongest is taken

Reals = NDArray[np.float64]
Learner = Any  # of scikit-learn, which has no types; loaded where it is used


class VerifyDataError(ValueError):
    """The labelled replies cannot be fitted on."""


@dataclass(frozen=True, slots=True)
class Case:
    """One prompt's replies; the first is the one that is judged."""

    score: float
    replies: tuple[Sample, ...]
    wanted: Kind | None = None


@dataclass(frozen=True, slots=True)
class VerifierReport:
    """Measures on cases that the fit had not seen.

    Attributes:
        cases, groups, wrong: counts.
        penalty: the chosen one of `PENALTIES`, by log loss on the same folds.
        auroc, brier, ece: of P(wrong); ECE over bins of equal width.
        auroc_of_score: of the prompt's score alone, on the same cases.
        auroc_by_replies: for each number of replies, as text.
    """

    cases: int
    groups: int
    wrong: int
    penalty: float
    auroc: float
    brier: float
    ece: float
    auroc_of_score: float
    auroc_by_replies: dict[str, float]
    seed: int


def fit_verifier(
    cases: Sequence[Case],
    labels: Sequence[bool],
    groups: Sequence[str],
    seed: int,
    *,
    name: str = "own",
    version: str = "1",
) -> tuple[VerifierWeights, VerifierReport]:
    """Return weights fitted on labelled replies, and measures out of fold; equal arguments give equal weights.

    Args:
        cases: `FEWEST` or more.
        labels: for each case, whether its first reply is wrong.
        groups: for each case, its question.
        seed: of the split into folds.
        name: of the set.
        version: becomes part of each verdict's source.

    Raises:
        VerifyDataError: too few cases, or too few groups of either label.
    """
    _check(cases, labels, groups)
    rows = np.array([signs_of(case.score, case.replies, wanted=case.wanted).values for case in cases])
    target = np.array(labels, np.int64)
    folds = _folds(target, groups, seed)
    with import_module("threadpoolctl").threadpool_limits(1):
        found = {penalty: _out_of_fold(rows, target, folds, penalty) for penalty in PENALTIES}
        losses = {penalty: _log_loss(p, target) for penalty, p in found.items()}
        penalty = min(one for one in PENALTIES if losses[one] <= min(losses.values()) + NO_WORSE)
        learner = _learner(penalty).fit(rows, target)
    report = _report(cases, groups, target, found[penalty], penalty=penalty, seed=seed)
    values, intercept = _unscaled(learner)
    return VerifierWeights(name, version, values, intercept, apart=False, fitted_on=asdict(report)), report


# --- fitting ---------------------------------------------------------------------------------------------


def _check(cases: Sequence[Case], labels: Sequence[bool], groups: Sequence[str]) -> None:
    if not len(cases) == len(labels) == len(groups):
        raise VerifyDataError(f"{len(cases)} cases, {len(labels)} labels and {len(groups)} groups; give one of each")
    if len(cases) < FEWEST:
        raise VerifyDataError(f"{len(cases)} labelled replies are too few to fit on; label {FEWEST} or more")
    for wrong, word in ((True, "wrong"), (False, "right")):
        found = len({group for group, label in zip(groups, labels, strict=True) if bool(label) is wrong})
        if found < FEWEST_GROUPS:
            raise VerifyDataError(
                f"{found} groups have a first reply that is {word}; label {FEWEST_GROUPS} or more of them"
            )


def _learner(penalty: float) -> Learner:
    pipeline = import_module("sklearn.pipeline").make_pipeline
    scaler = import_module("sklearn.preprocessing").StandardScaler()
    return pipeline(scaler, import_module("sklearn.linear_model").LogisticRegression(C=penalty, max_iter=STEPS))


def _unscaled(learner: Learner) -> tuple[tuple[float, ...], float]:
    """Return weights and intercept for the signs as they come."""
    scaler, model = learner[0], learner[-1]
    values = model.coef_[0] / scaler.scale_
    return tuple(values.tolist()), float(model.intercept_[0] - values @ scaler.mean_)


def _folds(target: NDArray[np.int64], groups: Sequence[str], seed: int) -> NDArray[np.int64]:
    splitter = import_module("sklearn.model_selection").StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    folds = np.zeros(len(target), np.int64)
    for fold, (_, held_out) in enumerate(splitter.split(target, target, groups)):
        folds[held_out] = fold
    return folds


def _out_of_fold(rows: Reals, target: NDArray[np.int64], folds: NDArray[np.int64], penalty: float) -> Reals:
    found = np.empty(len(target))
    for fold in range(FOLDS):
        inside = folds != fold
        found[~inside] = _learner(penalty).fit(rows[inside], target[inside]).predict_proba(rows[~inside])[:, 1]
    return found


# --- measuring -------------------------------------------------------------------------------------------


def _report(
    cases: Sequence[Case],
    groups: Sequence[str],
    target: NDArray[np.int64],
    found: Reals,
    *,
    penalty: float,
    seed: int,
) -> VerifierReport:
    sizes = np.array([len(case.replies) for case in cases])
    return VerifierReport(
        cases=len(cases),
        groups=len(set(groups)),
        wrong=int(target.sum()),
        penalty=penalty,
        auroc=_auroc(target, found),
        brier=float(((found - target) ** 2).mean()),
        ece=ece(found, target == 1),
        auroc_of_score=_auroc(target, np.array([case.score for case in cases])),
        auroc_by_replies={
            str(size): _auroc(target[sizes == size], found[sizes == size])
            for size in sorted(set(sizes.tolist()))
            if len(set(target[sizes == size].tolist())) > 1
        },
        seed=seed,
    )


def _auroc(target: NDArray[np.int64], found: Reals) -> float:
    return float(import_module("sklearn.metrics").roc_auc_score(target, found))


def _log_loss(found: Reals, target: NDArray[np.int64]) -> float:
    chance = np.clip(np.where(target == 1, found, 1 - found), 1e-12, 1)
    return -float(np.log(chance).mean())
