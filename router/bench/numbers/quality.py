"""Texts and simulated judges -> how rightly and how fast quality is told.

Loops are told on texts of a part that nothing was tuned on, beside the definition that is usual, on the same texts. So
are refusals. A judge that leans is simulated, and corrected by labels of some pairs.
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterable
from typing import Final

import msgspec
import numpy as np

from classifier.base import Prompt, Turn
from router.base import Assessment, Request, Tier
from router.bench.goals import Goal, at_least, at_most, stated
from router.bench.numbers.quality_set import Case, repetition_cases
from router.bench.numbers.quality_texts import Teller, seeds_of
from router.bench.numbers.refusal_fitting import refusal_cases
from router.quality.assessor import Assessor, Budget
from router.quality.refusals import is_refusal
from router.quality.repetition import repetition_flag, repetition_of, repetitive_by_thresholds
from router.quality.win_rates import corrected_mean

GOAL: Final = 0.95  # precision and recall
MOST_SECONDS: Final = 0.005  # for an answer of 400 words
MOST_TOLD: Final = 3e-6  # seconds of the loop, for each request

_PAIRS, _LABELS, _TRUTH = 1_000, 120, 0.5
_WRONG, _LEANS = 0.15, 0.2  # of the judge's verdicts: by chance, and always for Mini


def goals(*, seed: int, quick: bool) -> list[Goal]:
    """Return what was measured; `quick` takes a tenth of the texts and of the runs."""
    each, runs = (4, 60) if quick else (40, 600)
    loops = list(repetition_cases("judging", seed=seed, each=each))
    found = [
        *_told("repetition", loops, repetition_flag, at_least),
        *_told(
            "repetition as usually defined", loops, repetitive_by_thresholds, lambda name, value, _: stated(name, value)
        ),
        *_told(
            "refusal",
            refusal_cases("judging", seed=seed, each=max(1, each // 8)),
            is_refusal,
            lambda name, value, _: stated(name, value),
        ),
    ]
    seconds = _seconds(seed=seed, texts=max(4, each))
    found += [
        at_most("repetition, seconds for 400 words, median", float(np.median(seconds)), MOST_SECONDS),
        stated("repetition, seconds for 400 words, slowest", max(seconds)),
        at_most(
            "telling of a reply, seconds on the loop", asyncio.run(_told_in(20_000 if quick else 200_000)), MOST_TOLD
        ),
    ]
    covered, bias = _judge(seed=seed, runs=runs)
    return [
        *found,
        at_least("judge corrected by labels, coverage of 95 %", covered, 0.92),
        stated("judge, bias before", bias),
    ]


def _told(
    name: str, cases: Iterable[Case], tells: Callable[[str], bool], goal: Callable[[str, float, float], Goal]
) -> list[Goal]:
    said = [(case.is_so, tells(case.text)) for case in cases]
    hits, alarms = said.count((True, True)), said.count((False, True))
    missed = said.count((True, False))
    return [
        goal(f"{name}, precision", hits / max(1, hits + alarms), GOAL),
        goal(f"{name}, recall", hits / max(1, hits + missed), GOAL),
    ]


def _seconds(*, seed: int, texts: int) -> list[float]:
    """Return the CPU seconds that texts of 400 words take, both languages."""
    found = []
    for language, seeds in seeds_of("judging").items():
        teller = Teller(language, seeds, random.Random(seed))
        for _ in range(texts):
            text = teller.prose(60)
            text = " ".join(text.split()[:400]) if teller.is_english else text[:800]  # two characters are a word
            begun = time.thread_time()
            repetition_of(text)
            found.append(time.thread_time() - begun)
    return found


class _Nowhere:
    """A ledger that keeps nothing."""

    def assess(self, assessment: Assessment) -> None:
        """Take it."""


async def _told_in(times: int) -> float:
    """Return the seconds that telling an assessor of a reply takes."""
    request = Request(
        id="r", caller_id="", tenant="t", path="/chat/completions", model="auto", wanted=None,
        prompt=Prompt((Turn("user", "x"),)), stream=False, wants_usage=False,
        fields={"messages": msgspec.Raw(b"[]")}, cacheable=False, received=0.0, deadline=0.0,
    )  # fmt: skip
    body = b'{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}]}'
    assessor = Assessor(
        Budget(waiting=1 << 30, waiting_bytes=1 << 40), ledger=_Nowhere(), loop=asyncio.get_running_loop()
    )
    begun = time.thread_time()
    for _ in range(times):
        assessor.tell(request, Tier.MINI, body)
    took = time.thread_time() - begun
    await assessor.aclose()
    return took / times


def _judge(*, seed: int, runs: int) -> tuple[float, float]:
    """Return how often the interval held the truth, and by how much the judge alone was off."""
    rng = np.random.default_rng(seed)
    units = [str(each) for each in range(_PAIRS)]
    covered, off = 0, 0.0
    for _ in range(runs):
        truth = rng.choice([0.0, 0.5, 1.0], _PAIRS, p=[0.35, 0.3, 0.35])
        verdicts = np.where(rng.random(_PAIRS) < _WRONG, rng.choice([0.0, 0.5, 1.0], _PAIRS), truth)
        verdicts[rng.random(_PAIRS) < _LEANS] = 1.0
        values = np.full(_PAIRS, np.nan)
        seen = rng.choice(_PAIRS, _LABELS, replace=False)
        values[seen] = truth[seen]
        found = corrected_mean(verdicts, values, units)
        covered += found.low <= _TRUTH <= found.high
        off += float(verdicts.mean()) - _TRUTH
    return covered / runs, off / runs
