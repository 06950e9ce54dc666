"""Labelled beginnings of replies -> the weights of the classifier that tells refusals.

    python -m router.bench.numbers.refusal_fitting    writes them anew, the same each time

Sentences come from `refusal_seeds.json`, in two parts that share none. What a reply goes on to say is prose that is
neither, and how it greets its caller neither.
"""

import json
import random
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from router.bench.numbers.quality_set import Case
from router.bench.numbers.quality_texts import Teller, seeds_of
from router.quality.refusals import SLOTS, cue_names, features_of

ROUNDS: Final = 150
STEP: Final = 1.0
PENALTY: Final = (0.02, 0.002)  # of squared weights: of slots, and of cues, which are few and hold everywhere
SMALLEST: Final = 0.005  # weight that is kept

_OPENINGS: Final = {
    "en": ("", "", "", "Hi! ", "Hello. ", "Thank you for your message. "),
    "zh": ("", "", "", "您好！", "你好。", "感谢您的来信。"),
}


def refusal_cases(part: str, *, seed: int, each: int) -> Iterator[Case]:
    """Yield each labelled sentence as the beginning of `each` replies, and as many replies of prose."""
    stored: Any = json.loads(files("router.bench.numbers").joinpath("refusal_seeds.json").read_text(encoding="utf-8"))
    prose = seeds_of(part)
    for language, kinds in stored[part].items():
        rng = random.Random(f"{part}/{language}/{seed}")
        teller = Teller(language, prose[language], rng)
        for kind, sentences in kinds.items():
            for sentence in sentences:
                for _ in range(each):
                    opening, rest = rng.choice(_OPENINGS[language]), teller.prose(rng.randint(1, 3))
                    rest = rng.choice(("", teller.glue + rest))
                    yield Case(f"{kind}, {language}", opening + sentence + rest, kind == "refusals")
        for _ in range(each * 10):
            yield Case(f"prose, {language}", teller.prose(rng.randint(1, 4)), is_so=False)


def fitted(part: str = "tuning", *, seed: int = 1, each: int = 3) -> dict[str, Any]:
    """Return weights by penalised logistic regression, classes of equal weight; the same for the same cases."""
    names = cue_names()
    cases = list(refusal_cases(part, seed=seed, each=each))
    rows = np.zeros((len(cases), SLOTS + len(names)), dtype=np.float64)
    for row, case in zip(rows, cases, strict=True):
        for found in features_of(case.text):
            row[SLOTS + names.index(found) if isinstance(found, str) else found] = 1.0
    truth = np.array([case.is_so for case in cases], dtype=np.float64)
    used = np.flatnonzero(rows.sum(axis=0) > 1)
    weights, bias = _descended(rows[:, used], truth, np.where(used < SLOTS, *PENALTY))
    learnt = {int(at): float(weight) for at, weight in zip(used, weights, strict=True)}
    slots = {at: weight for at, weight in learnt.items() if at < SLOTS and abs(weight) >= SMALLEST}
    return {
        "slots": {str(at): round(weight * 1_000) for at, weight in slots.items()},
        "cues": {name: round(learnt.get(SLOTS + at, 0.0), 3) for at, name in enumerate(names)},
        "bias": round(bias, 3),
    }


def _descended(
    rows: NDArray[np.float64], truth: NDArray[np.float64], penalty: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """Return weights and bias after so many steps down the slope, with momentum."""
    shares = np.where(truth > 0, 0.5 / truth.mean(), 0.5 / (1 - truth.mean())) / len(truth)
    weights, bias = np.zeros(rows.shape[1]), 0.0
    speed, bias_speed = np.zeros_like(weights), 0.0
    for _ in range(ROUNDS):
        missed = (1.0 / (1.0 + np.exp(-(rows @ weights + bias))) - truth) * shares
        speed = 0.9 * speed - STEP * (rows.T @ missed + penalty * weights)
        bias_speed = 0.9 * bias_speed - STEP * float(missed.sum())
        weights, bias = weights + speed, bias + bias_speed
    return weights, bias


if __name__ == "__main__":
    Path(str(files("router.quality"))).joinpath("refusal_weights.json").write_text(
        json.dumps(fitted(), sort_keys=True) + "\n", encoding="utf-8"
    )
