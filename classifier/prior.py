"""What many models scored on the same prompts -> weights for traffic that nobody has labelled.

How hard a prompt is for small models carries over to models and questions that were not there; by how much one model
beats another does not. So the target is how often the smaller half fails, and on top of it how often one of the best
third would have mended that: what nobody can answer is no reason to pay for Large. Both are centred by source, since
what makes one source harder than another is mostly who made it.

What is asked for later comes from none of these sources. So numbers that tell of form, all but lengths, are cut early,
lest a source of another form be judged by its form alone; and scores are calibrated by a curve of three parameters,
since steps of an isotonic map would be those of this mixture of sources.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from classifier.calibrating.recalibration import Labelled, calibrate, folds_of
from classifier.design import WIDEST, Reals, design
from classifier.features import NUMBERS
from classifier.linear import Weights
from classifier.measures import Outcomes, apgr
from classifier.pairs import Pair, PairsError, marks_of, read_pairs
from classifier.tables import TableError, read_rows
from classifier.training import TOLERANCE, Fitted, Report, Say, measures

PENALTIES = (150.0, 60.0, 30.0)
NARROW = 1.0  # standard deviations from the mean, beyond which a number that tells of form is cut
CUTS = np.array([WIDEST if name in {"length", "words"} else NARROW for name in NUMBERS])
MENDED_COUNTS = 1.5  # times a failure
BEST, SMALLER = 2 / 3, 1 / 2  # quantiles of the models' means on a source: from the one on, and up to the other
SEEN_OFTEN = 50  # prompts of a source, from which a model's mean there counts


@dataclass(frozen=True, slots=True, eq=False)
class Prompts:
    """Distinct prompts and how hard they are.

    Attributes:
        of: for each pair, the row of its prompt.
        first: for each prompt, a pair that has it.
        hardness: shape (n,), centred by source.
        sources: of each prompt.
    """

    of: NDArray[np.int64]
    first: list[int]
    hardness: Reals
    sources: NDArray[np.str_]


@dataclass(frozen=True, slots=True)
class Many:
    """Labelled pairs, and what many models scored on their prompts.

    Attributes:
        ids: of each pair's prompt.
        scores: by source, id and model.
    """

    pairs: Sequence[Pair]
    ids: Sequence[str]
    scores: Mapping[str, Mapping[str, Mapping[str, float]]]

    def where(self, wanted: Callable[[Pair], bool]) -> "Many":
        """Return some of the pairs, as if there were no others."""
        kept = [(pair, key) for pair, key in zip(self.pairs, self.ids, strict=True) if wanted(pair)]
        return Many([pair for pair, _ in kept], [key for _, key in kept], self.scores)

    def peers(self) -> Reals:
        """Return what each model scored on each pair's prompt, shape (n, models), NaN where one was not asked."""
        by_id = {key: scored for source in self.scores.values() for key, scored in source.items()}
        of_pairs = [by_id.get(key, {}) for key in self.ids]
        models = sorted({model for scored in of_pairs for model in scored})
        found = [[scored.get(model, np.nan) for model in models] for scored in of_pairs]
        return np.array(found, float).reshape(len(of_pairs), len(models))


def read_many(data: Sequence[Path], outcomes: Path) -> Many:
    """Return what stands in the files.

    Args:
        data: labelled files, as for `read_pairs`, with the columns `id` and `source`.
        outcomes: a file with `id`, `source`, `model` and `score`, a row for each model on each prompt.

    Raises:
        PairsError: a file cannot be used.
    """
    pairs = [pair for path in data for pair in read_pairs(path)]
    many = Many(pairs, [key for path in data for key in _column(path, "id")], _scores(outcomes))
    if not many.peers().size:
        raise PairsError(f"{outcomes}: no row has the id of a labelled prompt; give both files the same ids")
    return many


def fit_prior(many: Many, *, seed: int, version: str, name: str, say: Say) -> Fitted:
    """Return weights fitted on every prompt; how they do on a source that they have not seen stands in their card."""
    pairs = many.pairs
    prompts = _prompts(pairs, many.ids, many.scores)
    say(f"features of {len(prompts.first)} prompts")
    designed = design([pairs[row].prompt for row in prompts.first], widest=CUTS)
    linear = import_module("sklearn.linear_model")

    def said(inside: NDArray[np.bool_], penalty: float) -> Reals:
        """Return what a model fitted on some prompts says of all of them."""
        learner = linear.Ridge(alpha=penalty, solver="sparse_cg", tol=TOLERANCE)
        learner.fit(designed.rows[inside], prompts.hardness[inside])
        return np.asarray(learner.predict(designed.rows))

    everything = Outcomes.of(
        [pair.strong_score for pair in pairs], [pair.weak_score for pair in pairs], [pair.group for pair in pairs]
    )
    sources = np.array([pair.source for pair in pairs])
    left_out: dict[float, dict[str, float]] = defaultdict(dict)
    with import_module("threadpoolctl").threadpool_limits(1):
        for penalty in PENALTIES:
            for source in sorted(set(sources)):
                rows = sources == source
                found = said(prompts.sources != source, penalty)[prompts.of]
                left_out[penalty][str(source)] = apgr(found[rows], everything.take(rows))
            say(f"penalty {penalty:g}: " + ", ".join(f"{name} {one:.3f}" for name, one in left_out[penalty].items()))
        penalty = max(PENALTIES, key=lambda each: np.mean(list(left_out[each].values())))
        folds = folds_of([pairs[row].group for row in prompts.first], prompts.hardness > 0, seed=seed)
        logits = np.empty(len(folds))
        for fold in range(int(folds.max()) + 1):
            logits[folds == fold] = said(folds != fold, penalty)[folds == fold]
        learner = linear.Ridge(alpha=penalty, solver="sparse_cg", tol=TOLERANCE).fit(designed.rows, prompts.hardness)
    scale = float(logits.std())
    fails = everything.fails > 0
    labelled = Labelled(logits[prompts.of] / scale, fails, [pair.group for pair in pairs])
    calibration, calibrated = calibrate(labelled, kind="beta", seed=seed)
    values, intercept = designed.merged(learner.coef_ / scale, float(learner.intercept_) / scale)
    report = Report(
        target="difficulty",
        penalty=penalty,
        steadied=0.0,
        prior="",
        calibration=calibrated.kind,
        ece=calibrated.ece_after,
        seed=seed,
        **measures(calibration.pooled.probabilities(labelled.logits), everything, margin=0.01, large_cost_ratio=10.0),
    )
    weights = Weights(
        name=name,
        version=version,
        values=values,
        intercept=intercept,
        calibration=calibration.pooled,
        lowest=designed.lowest.astype(np.float32),
        highest=designed.highest.astype(np.float32),
        threshold=report.threshold,
        fitted_on=asdict(report)
        | {"sources": ", ".join(sorted(set(sources.tolist()))), "apgr_left_out": left_out[penalty]},
        groups=marks_of(pair.group for pair in pairs),
    )
    return Fitted(weights, report)


def _column(path: Path, name: str) -> list[str]:
    try:
        rows = [(line, row.get(name)) for line, row in read_rows(path, columns={name})]
    except TableError as error:
        raise PairsError(str(error)) from error
    missing = next((line for line, value in rows if not isinstance(value, str)), None)
    if missing is not None:
        raise PairsError(f"{path}:{missing}:{name}: is missing; outcomes of many models are found by it")
    return [str(value) for _, value in rows]


def _scores(path: Path) -> dict[str, dict[str, dict[str, float]]]:
    """Return score by source, id and model."""
    found: dict[str, dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    try:
        for line, row in read_rows(path, columns={"id", "source", "model", "score"}):
            score = row.get("score")
            if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
                raise PairsError(f"{path}:{line}:score: is {str(score)[:40]}; write a number from 0 to 1")
            found[str(row.get("source"))][str(row.get("id"))][str(row.get("model"))] = float(score)
    except TableError as error:
        raise PairsError(str(error)) from error
    return found


def _prompts(
    pairs: Sequence[Pair], ids: Sequence[str], scores: Mapping[str, Mapping[str, Mapping[str, float]]]
) -> Prompts:
    rows: dict[str, int] = {}
    of = np.array([rows.setdefault(key, len(rows)) for key in ids], np.int64)
    first = [int(place) for place in np.unique(of, return_index=True)[1]]
    by_id = {key: both for source in scores.values() for key, both in _halves(source).items()}
    own: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for key, pair in zip(ids, pairs, strict=True):
        own[key].append((pair.strong_score, pair.weak_score))
    hardness = np.array([_hardness(*by_id.get(key) or np.mean(own[key], axis=0)) for key in rows])
    sources = np.array([pairs[row].source for row in first])
    for source in set(sources.tolist()):
        hardness[sources == source] -= hardness[sources == source].mean()
    return Prompts(of, first, hardness, sources)


def _hardness(strong: float, weak: float) -> float:
    return (1 - weak) + MENDED_COUNTS * strong * (1 - weak)


def _halves(source: Mapping[str, Mapping[str, float]]) -> dict[str, tuple[float, float]]:
    """Return for each id the mean score of the best models of its source, and of the smaller ones."""
    seen: dict[str, list[float]] = defaultdict(list)
    for scored in source.values():
        for model, score in scored.items():
            seen[model].append(score)
    means = {model: float(np.mean(each)) for model, each in seen.items() if len(each) >= SEEN_OFTEN}
    best, smaller = np.quantile(list(means.values()), (BEST, SMALLER)) if means else (1.0, 0.0)
    found = {}
    for key, scored in source.items():
        strong = [score for model, score in scored.items() if means.get(model, -1.0) >= best]
        weak = [score for model, score in scored.items() if means.get(model, 2.0) <= smaller]
        if strong and weak:
            found[key] = (float(np.mean(strong)), float(np.mean(weak)))
    return found
