"""Two local models, one set of questions -> the prompt-only policy and the cascade, side by side.

Every question is put to all Large, to all Mini, and to the cascade under several settings. Both models answer greedily,
so the first two hold what the prompt-only policy does at every threshold; one of them is run to see that it is so. All
of it happens twice: with the classifier that was fitted on such questions, and with the general one, which never saw
any.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from backends.engines.desk.accuracy import Accuracy
from backends.engines.desk.questions import Difficulty, Question, unseen
from backends.engines.desk.workload import COMPLEX
from classifier.base import Classifier, Prompt, Turn
from classifier.linear import load
from classifier.options import SHIPPED_PRIOR, SHIPPED_WEIGHTS
from classifier.verify import SHIPPED as SHIPPED_VERIFIERS
from router.bench.desk_runs import Run, run
from router.bench.goals import Goal
from router.bench.matching import Answered, auroc, match
from router.bench.routing import Report

QUESTIONS: Final = 800
RESAMPLES: Final = 1_000
THRESHOLDS: Final = 25  # of the prompt-only policy, spread evenly over the scores of all, and of complex questions

CLASSIFIERS: Final = {"fitted": SHIPPED_WEIGHTS, "general": SHIPPED_PRIOR}

SETTINGS: Final[Mapping[str, Mapping[str, object]]] = {
    "default": {},
    "with a second sample": {"second_sample": True},
    "second sample alone": {"ask_logprobs": False, "verifier": str(SHIPPED_VERIFIERS)},
    "wrong from 0.2": {"wrong": 0.2},
    "cut after 8 tokens": {"hold_tokens": 8},
    "general verifier": {"verifier": str(SHIPPED_VERIFIERS)},
}
"""Keys of the cascade's configuration; all others are left out. The goal is that of the first. A file of several
verifiers is read for the general one; that of the local Mini cannot do without log-probabilities."""


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """The questions, and what both models made of them."""

    questions: tuple[Question, ...]
    is_complex: NDArray[np.bool_]
    large: Run
    mini: Run

    def above(self, scores: NDArray[np.float64], threshold: float) -> Answered:
        """Return what the prompt-only policy does at a threshold."""
        goes_large = scores >= threshold
        large, mini = self.large.answered, self.mini.answered
        return Answered(np.where(goes_large, large.right, mini.right), np.where(goes_large, large.cost, mini.cost))


def measure_cascade(*, questions: int = QUESTIONS, seed: int, say: Callable[[str], None]) -> Report:
    """Measure spend at equal accuracy on complex questions.

    Args:
        questions: how many, a quarter of them complex; none was trained on.
        seed: of questions and resamples.
        say: told what happens now, a line at a time.

    Returns:
        for each classifier whether the interval of the first setting is below zero; and in its details the prompt-only
        curve and every setting of the cascade, with its spend less that of the cheapest prompt-only mixture as accurate
        on complex questions, in nano-USD, and its 95 % interval (paired bootstrap).

    Raises:
        BenchError: a question was not answered, or has no cost.
    """
    return asyncio.run(_measure(questions, seed, say))


async def _measure(questions: int, seed: int, say: Callable[[str], None]) -> Report:
    asked = await _ask_both(questions, seed, say)
    told = {name: await _compare(asked, name, seed, say) for name in CLASSIFIERS}
    return Report(
        tuple(_goal(name, one) for name, one in told.items()),
        {
            "questions": questions,
            "complex": int(asked.is_complex.sum()),
            "seed": seed,
            "models": _models(asked),
            **told,
        },
    )


async def _ask_both(questions: int, seed: int, say: Callable[[str], None]) -> _Asked:
    complex_ones = round(questions * COMPLEX)
    drawn = (
        *unseen(f"cascade/{seed}", Difficulty.SIMPLE, questions - complex_ones),
        *unseen(f"cascade/{seed}", Difficulty.COMPLEX, complex_ones),
    )
    runs = dict[str, Run]()
    for tier in ("large", "mini"):
        say(f"all {tier}")
        runs[tier] = await run(drawn, {"use": "explicit", "tier": tier}, classifier={"use": "off"}, stream=True)
    is_complex = np.array([question.difficulty is Difficulty.COMPLEX for question in drawn])
    return _Asked(drawn, is_complex, runs["large"], runs["mini"])


def _models(asked: _Asked) -> dict[str, object]:
    """Return what decides how much a cascade can save: how often Mini is right, and what asking it costs."""
    found: dict[str, object] = {}
    for name, each in (("large", asked.large), ("mini", asked.mini)):
        found[f"{name}_complex"] = _accuracy(each.answered, asked.is_complex)
        found[f"{name}_simple"] = _accuracy(each.answered, ~asked.is_complex)
    only_mini = (asked.mini.answered.right > asked.large.answered.right)[asked.is_complex]
    share = asked.mini.answered.cost.sum() / asked.large.answered.cost.sum()
    return {**found, "only_mini_right_complex": float(only_mini.mean()), "mini_cost_share": float(share)}


async def _compare(asked: _Asked, name: str, seed: int, say: Callable[[str], None]) -> dict[str, object]:
    """Return the prompt-only curve and the cascade's settings under one classifier."""
    weights = CLASSIFIERS[name]
    scorer = load(weights)
    scores = _scores(scorer, asked.questions)
    spread = np.linspace(0, 1, THRESHOLDS)
    thresholds = np.unique(
        [0.0, scorer.threshold, 1.0, *np.quantile(scores, spread), *np.quantile(scores[asked.is_complex], spread)]
    ).tolist()
    curve = [asked.above(scores, threshold) for threshold in thresholds]
    chosen = {"use": "linear", "weights": str(weights)}
    say(f"{name}: prompt only")
    checked = await run(asked.questions, {"use": "threshold"}, classifier=chosen, stream=True)
    settings = dict[str, object]()
    judged = list[Run]()
    for setting, keys in SETTINGS.items():
        say(f"{name}: cascade, {setting}")
        tried = await run(asked.questions, {"use": "cascade", **keys}, classifier=chosen, stream=True)
        judged.append(tried)
        found = match(tried.answered, curve, counts=asked.is_complex, resamples=RESAMPLES, seed=seed)
        settings[setting] = {**asdict(found), **_spent(tried)}
    return {
        "suggested_threshold": scorer.threshold,
        "prompt_only": [
            {"threshold": threshold, **_point(each, asked.is_complex)}
            for threshold, each in zip(thresholds, curve, strict=True)
        ],
        "prompt_only_run": {
            "as_run": _point(checked.answered, asked.is_complex),
            "as_derived": _point(asked.above(scores, scorer.threshold), asked.is_complex),
        },
        "cascade": settings,
        "auroc_mini_wrong": _signals(asked, scores, judged[0]),
    }


def _scores(scorer: Classifier, questions: Sequence[Question]) -> NDArray[np.float64]:
    return np.array([scorer.score(Prompt((Turn("user", question.text),))).value for question in questions])


def _signals(asked: _Asked, scores: NDArray[np.float64], judged: Run) -> dict[str, object]:
    """Return how well the score, and what was verified, tell that Mini is wrong."""
    wrong = asked.mini.answered.right < 1
    told = np.array([np.nan if row["p_wrong"] is None else row["p_wrong"] for row in judged.rows])
    seen = ~np.isnan(told)
    return {
        "score": auroc(scores, wrong),
        "score_complex": auroc(scores[asked.is_complex], wrong[asked.is_complex]),
        "verified": int(seen.sum()),
        "score_of_verified": auroc(scores[seen], wrong[seen]),
        "p_wrong_of_verified": auroc(told[seen], wrong[seen]),
        "p_wrong_of_verified_complex": auroc(told[seen & asked.is_complex], wrong[seen & asked.is_complex]),
    }


def _point(answered: Answered, is_complex: NDArray[np.bool_]) -> dict[str, float]:
    return {"accuracy": float(answered.right[is_complex].mean()), "spend": float(answered.cost.sum())}


def _accuracy(answered: Answered, counted: NDArray[np.bool_]) -> dict[str, object]:
    right = answered.right[counted]
    accuracy = Accuracy(int(right.sum()), right.size)
    return {"n": accuracy.asked, "right": accuracy.right, "interval_95": list(accuracy.interval())}


def _spent(tried: Run) -> dict[str, object]:
    """Return where the money of a cascade went, and how its requests were decided."""
    spent, calls = Counter[str](), Counter[str]()
    for row in tried.rows:
        for attempt in row["attempts"]:
            name = f"{attempt['kind']} {attempt['tier']}"
            calls[name] += 1
            spent[name] += attempt["cost"]
    reasons = Counter(row["reason"] for row in tried.rows)
    return {"spend_by_attempt": dict(spent), "attempts": dict(calls), "reasons": dict(reasons)}


def _goal(name: str, told: Mapping[str, object]) -> Goal:
    settings = told["cascade"]
    if not isinstance(settings, Mapping):
        raise TypeError("settings of a cascade are told by name")
    first = settings[next(iter(SETTINGS))]
    high = first["high"] / first["matched"]
    return Goal(f"cascade_spend_change_at_most_{name}", high, "most", 0.0, met=high < 0)  # an equal spend saves nothing
