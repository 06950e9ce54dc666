"""Labelled data of several sources, or none -> how well the classifier routes there, or what its decisions cost.

Every figure is of rows whose questions were not in the fit: folds are of groups, and where a source counts as unknown,
nothing of it was. Needs the extra [fit]. Knows nothing of gateways or backends.
"""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backends.engines.desk.questions import Difficulty, unseen
from classifier.base import Classifier, Prompt, Turn
from classifier.calibrating.guarantee import certify
from classifier.calibrating.maps import logit_of
from classifier.calibrating.net import certify_net
from classifier.calibrating.recalibration import Labelled, calibrate, ece, folds_of
from classifier.evaluation import Estimate, evaluate
from classifier.linear import LinearClassifier, Weights, load
from classifier.measures import Outcomes
from classifier.options import SHIPPED_WEIGHTS
from classifier.pairs import Pair, read_labelled
from classifier.prior import Many, fit_prior, read_many
from classifier.training import Recipe, fit
from router.bench.goals import Goal, at_least, at_most
from router.bench.robustness import flip_share, suffix_attack

Reals = NDArray[np.float64]
Say = Callable[[str], None]

CHINESE_LABELS, CHINESE_DRAWS = 500, 5
TARGET_LABELS, TARGET_DRAWS = 200, 20
LOSS, CONFIDENCE, CERTIFY_ON, CERTIFY_DRAWS = 0.03, 0.9, 2_000, 200
PROMPTS = 200  # for the edits
SIZES = (150, 8_000, 64_000)  # bytes
SUFFIXES = (20, 50)  # bytes
_ROUNDS, _CALLS = 30, 200
_OF_SCORES = ("brier", "ece", "auroc_weak_fails")


@dataclass(frozen=True, slots=True)
class Report:
    """Goals, and plain JSON values beside them."""

    goals: tuple[Goal, ...]
    details: Mapping[str, object]


def measure_decisions(*, seed: int, say: Say) -> Report:
    """Return what needs no data: CPU of a score, and how edits and hostile suffixes move the desk's decisions."""
    say("decisions: CPU and edits")
    classifier = load(SHIPPED_WEIGHTS)
    cost = {size: score_cost(classifier, size) for size in SIZES}
    asked = [question.text for each in Difficulty for question in unseen("edits", each, PROMPTS // len(Difficulty))]
    flips = flip_share(classifier, asked, classifier.threshold, seed)
    goals = [at_most(f"score_cpu_us_{size}_bytes", cost[size], 60.0) for size in SIZES]
    say("decisions: the worst suffixes")
    moved = {size: suffix_attack(classifier, asked, most_bytes=size) for size in SUFFIXES}
    return Report(
        (*goals, at_most("decisions_flipped_by_edits", flips, 0.05)),
        {
            "large_share_before_a_suffix": moved[SUFFIXES[0]].before,
            "large_share_after_suffix_of_bytes": {size: one.after for size, one in moved.items()},
        },
    )


def measure_pool(pool: Sequence[Path], outcomes: Path, *, seed: int, say: Say) -> Report:
    """Return what the shared pool tells; takes some minutes.

    Raises:
        PairsError: a file cannot be used.
    """
    many = read_many(pool, outcomes)
    minis = [pair.source for path in pool for pair in read_labelled(path, by="weak_model")]

    def of(source: str, mini: str) -> Many:
        names = dict(zip(map(id, many.pairs), minis, strict=True))
        return many.where(lambda pair: pair.source == source and mini in names[id(pair)])

    priors = {}
    for source in sorted({pair.source for pair in many.pairs}):
        say(f"a prior that has not seen {source}")
        rest = many.where(lambda pair, left_out=source: pair.source != left_out)  # type: ignore[misc]  # a default binds it
        priors[source] = fit_prior(rest, seed=seed, version="bench", name=f"without {source}", say=_silent).weights
    parts = [
        _unknown(many, priors, seed=seed),
        _known(of("routellm-mmlu", "mixtral").pairs, priors["routellm-mmlu"], seed=seed, say=say),
        _hard(of("mmlu-pro", "Llama-3.1-8B"), seed=seed, say=say),
        _chinese(of("lawbench", "gpt-3.5").pairs, priors["lawbench"], seed=seed, say=say),
    ]
    return Report(
        tuple(goal for part in parts for goal in part.goals),
        {name: value for part in parts for name, value in part.details.items()},
    )


def score_cost(classifier: Classifier, size: int) -> float:
    """Return the CPU microseconds of one score of a prompt of so many bytes: the median over rounds."""
    prompt = Prompt((Turn("user", ("Which of these 12 lamps costs less, and why? " * (size // 45 + 1))[:size]),))
    spent = []
    for _ in range(_ROUNDS):
        before = time.process_time()
        for _ in range(_CALLS):
            classifier.score(prompt)
        spent.append((time.process_time() - before) / _CALLS * 1e6)
    return round(statistics.median(spent), 1)


# --- parts -----------------------------------------------------------------------------------------


def _unknown(many: Many, priors: Mapping[str, Weights], *, seed: int) -> Report:
    """Measure each source by what was fitted on the others."""
    found = {}
    for source, prior in priors.items():
        pairs = [pair for pair in many.pairs if pair.source == source]
        found[source] = _estimates(_scores(prior, pairs), pairs, seed=seed)["apgr"]
    mmlu = found["routellm-mmlu"]
    worst = min(found.values(), key=_value)
    return Report(
        (
            at_least("mmlu_without_its_labels_apgr", _value(mmlu), 0.58),
            at_least("worst_unseen_family_apgr_upper_bound", worst.high or 0.0, 0.5),
        ),
        {"unseen_families_apgr": {source: _plain(estimate) for source, estimate in found.items()}},
    )


def _known(pairs: Sequence[Pair], prior: Weights, *, seed: int, say: Say) -> Report:
    """Measure MMLU with labels of other questions of it, and what can be promised there."""
    scores, ranks = _out_of_fold(pairs, Recipe("gain", prior), seed=seed, say=say, what="mmlu with labels")
    found = _estimates(scores, pairs, seed=seed)
    routed = _estimates(ranks, pairs, seed=seed)
    promises = {count: _promises(scores, pairs, count=count, seed=seed) for count in ("lost", "net")}
    few = [
        _recalibrated_ece(prior, pairs, drawn, seed=seed) for drawn in _draws(pairs, TARGET_LABELS, TARGET_DRAWS, seed)
    ]
    return Report(
        (
            at_least("mmlu_with_labels_apgr", _value(routed["apgr"]), 0.68),
            at_most("mmlu_with_labels_cpt80", _value(routed["cpt80"]), 0.58),
            at_most("mmlu_with_labels_ece", _value(found["ece"]), 0.02),
            at_most("ece_after_200_target_labels", statistics.mean(few), 0.04),
            *(at_most(f"promises_broken_{count}", broken, 0.10) for count, (broken, _) in promises.items()),
            at_least("promised_share_on_mini_net", promises["net"][1], 0.35),
        ),
        {
            "promised_share_on_mini_lost": promises["lost"][1],
            "mmlu_with_labels": {
                name: _plain(found[name] if name in _OF_SCORES else one) for name, one in routed.items()
            },
        },
    )


def _hard(many: Many, *, seed: int, say: Say) -> Report:
    """Measure a pair whose gain is mostly chance, with what other models scored on the rows of the fit, and without."""
    found = {}
    for name, recipe in (("hard_pair", Recipe("gain", peers=many.peers())), ("hard_pair_alone", Recipe("gain"))):
        ranks = _out_of_fold(many.pairs, recipe, seed=seed, say=say, what=name.replace("_", " "))[1]
        found[name] = _estimates(ranks, many.pairs, seed=seed)["apgr"]
    return Report(
        (at_least("hard_pair_apgr", _value(found["hard_pair"]), 0.54),),
        {name: _plain(one) for name, one in found.items()},
    )


def _chinese(pairs: Sequence[Pair], prior: Weights, *, seed: int, say: Say) -> Report:
    """Measure Chinese questions with few labels of them; each draw is measured on all that was not drawn."""
    say(f"Chinese with {CHINESE_LABELS} labels")
    found = []
    for number, drawn in enumerate(_draws(pairs, CHINESE_LABELS, CHINESE_DRAWS, seed)):
        groups = {pair.group for pair in drawn}
        rest = [pair for pair in pairs if pair.group not in groups]
        weights = fit(drawn, seed=number, version="bench", name="bench", recipe=Recipe("gain", prior)).weights
        found.append(_value(_estimates(_scores(weights, rest), rest, seed=seed, resamples=0)["apgr"]))
    return Report(
        (at_least("chinese_500_labels_apgr", statistics.mean(found), 0.60),), {"chinese_500_labels_apgr_each": found}
    )


def _promises(scores: Reals, pairs: Sequence[Pair], *, count: str, seed: int) -> tuple[float, float]:
    """Return how often a promise was broken, and the mean share that it left to Mini.

    The rows stand for the traffic: promises are made on rows drawn from them, with replacement, and judged on all.

    Args:
        count: "net" counts what Mini does better, too; "lost" counts what it does worse alone.
    """
    losses = np.array([pair.strong_score - pair.weak_score for pair in pairs])
    losses = losses if count == "net" else losses.clip(0.0)
    logits = np.array([logit_of(score) for score in scores])
    certifying = certify_net if count == "net" else certify
    chance = np.random.default_rng(seed)
    broken, shares = 0, []
    for number in range(CERTIFY_DRAWS):
        drawn = chance.integers(0, len(pairs), CERTIFY_ON)
        made = certifying(logits[drawn], losses[drawn], loss=LOSS, confidence=CONFIDENCE, seed=number)
        threshold = -np.inf if made.threshold is None else made.threshold
        broken += float(np.where(logits < threshold, losses, 0.0).mean()) > LOSS
        shares.append(float((logits < threshold).mean()))
    return broken / CERTIFY_DRAWS, statistics.mean(shares)


def _recalibrated_ece(prior: Weights, pairs: Sequence[Pair], drawn: Sequence[Pair], *, seed: int) -> float:
    """Return the ECE on all rows of what was calibrated on the drawn ones."""
    calibration, _ = calibrate(_labelled(_scores(prior, drawn), drawn), kind="auto", seed=seed)
    rows = _labelled(_scores(prior, pairs), pairs)
    return ece(calibration.pooled.probabilities(rows.logits), rows.target)


# --- rows ------------------------------------------------------------------------------------------


def _draws(pairs: Sequence[Pair], size: int, draws: int, seed: int) -> list[list[Pair]]:
    chance = np.random.default_rng(seed)
    return [[pairs[row] for row in chance.permutation(len(pairs))[:size]] for _ in range(draws)]


def _out_of_fold(pairs: Sequence[Pair], recipe: Recipe, *, seed: int, say: Say, what: str) -> tuple[Reals, Reals]:
    """Return each row's score by weights that were chosen, fitted and calibrated on other groups alone, and its rank.

    The rank is among the rows of its fold, 0.0 to 1.0: five weights that were fitted apart are five routers, and their
    scores put together in one order would be a sixth.
    """
    folds = folds_of([pair.group for pair in pairs], np.array([pair.needs_large for pair in pairs]), seed=seed)
    scores, ranks = np.empty(len(pairs)), np.empty(len(pairs))
    for fold in range(int(folds.max()) + 1):
        say(f"{what}: fold {fold + 1}")
        inside = [pair for pair, one in zip(pairs, folds, strict=True) if one != fold]
        outside = [pair for pair, one in zip(pairs, folds, strict=True) if one == fold]
        peers = None if recipe.peers is None else recipe.peers[folds != fold]
        of_fold = replace(recipe, peers=peers)
        weights = fit(inside, seed=seed, version="bench", name="bench", recipe=of_fold).weights
        scores[folds == fold] = _scores(weights, outside)
        ranks[folds == fold] = (scores[folds == fold].argsort().argsort() + 0.5) / len(outside)
    return scores, ranks


def _scores(weights: Weights, pairs: Sequence[Pair]) -> Reals:
    classifier = LinearClassifier(weights)
    return np.array([classifier.score(pair.prompt).value for pair in pairs])


def _labelled(scores: Reals, pairs: Sequence[Pair]) -> Labelled:
    logits = np.array([logit_of(score) for score in scores])
    return Labelled(logits, np.array([pair.needs_large for pair in pairs]), [pair.group for pair in pairs])


def _estimates(scores: Reals, pairs: Sequence[Pair], *, seed: int, resamples: int = 500) -> dict[str, Estimate]:
    outcomes = Outcomes.of(
        [pair.strong_score for pair in pairs], [pair.weak_score for pair in pairs], [pair.group for pair in pairs]
    )
    return evaluate({"router": scores}, outcomes, resamples=resamples, seed=seed)["router"]


def _value(estimate: Estimate) -> float:
    return float("nan") if estimate.value is None else estimate.value


def _plain(estimate: Estimate) -> dict[str, float | None]:
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}


def _silent(_: str) -> None:
    """Say nothing."""
