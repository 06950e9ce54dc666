"""The weights in backends/engines/models, asked through the engine that serves them: what the card promises.

backends/engines/desk/asking.py
"""

import asyncio
from pathlib import Path

import pytest

from backends.base import Backend
from backends.engines.desk.accuracy import Accuracy
from backends.engines.desk.asking import answer_of
from backends.engines.desk.questions import Difficulty, unseen
from backends.engines.options import LocalOptions

MODELS = Path(__file__).parents[4] / "backends" / "engines" / "models"
_ASKED = 120


async def accuracy_of(engine: Backend, difficulty: Difficulty) -> Accuracy:
    questions = list(unseen("shipped", difficulty, _ASKED))
    right = 0
    for start in range(0, _ASKED, 4):
        some = questions[start : start + 4]
        answers = await asyncio.gather(*(answer_of(engine, question) for question in some))
        right += sum(question.is_answered_by(answer) for question, answer in zip(some, answers, strict=True))
    return Accuracy(right, _ASKED)


@pytest.fixture(scope="module")
def measured() -> dict[tuple[str, Difficulty], Accuracy]:
    async def measure() -> dict[tuple[str, Difficulty], Accuracy]:
        found = {}
        for name in ("desk-large", "desk-mini"):
            engine = LocalOptions(use="local", name=name).build()
            for difficulty in Difficulty:
                found[name, difficulty] = await accuracy_of(engine, difficulty)
            await engine.aclose()
        return found

    return asyncio.run(measure())


def test_both_answer_simple_questions(measured: dict[tuple[str, Difficulty], Accuracy]) -> None:
    assert measured["desk-large", Difficulty.SIMPLE].share >= 0.95
    assert measured["desk-mini", Difficulty.SIMPLE].share >= 0.95


def test_only_large_answers_complex_ones(measured: dict[tuple[str, Difficulty], Accuracy]) -> None:
    large, mini = measured["desk-large", Difficulty.COMPLEX], measured["desk-mini", Difficulty.COMPLEX]
    assert large.interval()[1] >= 0.80
    assert large.share - mini.share >= 0.30


def test_together_they_are_at_most_twelve_megabytes() -> None:
    assert sum(path.stat().st_size for path in MODELS.glob("*.gguf")) <= 12e6
