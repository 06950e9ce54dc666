"""Weights fitted on questions to the shop, for tests: complex ones need Large, simple ones do not."""

import pytest

from backends.engines.desk.questions import Difficulty, Question, seen, unseen
from classifier.base import Prompt, Turn
from classifier.pairs import Pair
from classifier.training import Fitted, fit


def asked(question: Question) -> Pair:
    """Return the question as a pair in which Mini fails on everything complex."""
    simple = question.difficulty is Difficulty.SIMPLE
    return Pair(Prompt((Turn("user", question.text),)), 1.0, 1.0 if simple else 0.0, question.text)


@pytest.fixture(scope="session")
def seen_pairs() -> list[Pair]:
    return [asked(question) for difficulty in Difficulty for question in seen("fit", difficulty, 300)]


@pytest.fixture(scope="session")
def unseen_pairs() -> list[Pair]:
    return [asked(question) for difficulty in Difficulty for question in unseen("fit", difficulty, 200)]


@pytest.fixture(scope="session")
def fitted(seen_pairs: list[Pair]) -> Fitted:
    return fit(seen_pairs, seed=0, version="test-1", name="test")
