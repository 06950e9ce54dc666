"""A student that learns in a second: the shipped Mini, and few questions about one product."""

import random
from pathlib import Path
from typing import Any

import pytest

from backends.engines.desk.questions import Difficulty, Question, sample
from backends.engines.desk.shop import catalogue
from backends.engines.distilling.base import Example, Message
from backends.engines.distilling.examples import group_of

MINI = Path(__file__).resolve().parents[4] / "backends/engines/models/desk-mini.gguf"


@pytest.fixture(scope="session")
def mini() -> Path:
    return MINI


@pytest.fixture
def student() -> Any:
    pytest.importorskip("torch", reason="the extra [train] is not installed, see deploy/locks")
    from backends.engines.distilling.students import open_student  # noqa: PLC0415 - holds torch

    return open_student(MINI)


@pytest.fixture(scope="session")
def questions() -> list[Question]:
    rng, pair = random.Random(5), catalogue()[:2]
    drawn = {
        question.text: question for question in (sample(rng, Difficulty.COMPLEX, products=pair) for _ in range(90))
    }
    return list(drawn.values())[:60]


@pytest.fixture(scope="session")
def examples(questions: list[Question]) -> list[Example]:
    asked = [((Message("user", question.text),), question.answer) for question in questions]
    return [Example(messages, answer, is_simple=False, group=group_of(messages)) for messages, answer in asked]
