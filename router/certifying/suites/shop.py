"""Seed -> questions to the shop that the shipped models know, simple ones and complex ones.

They know nothing else, so on them the other suites tell that something cannot be done. Questions are of the part that
no training has seen; right is the whole answer. No request can be told to be one of these: the score does that.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

from backends.engines.desk.asking import ANSWER_TOKENS
from backends.engines.desk.questions import Difficulty, Question, unseen
from router.certificate import Guards
from router.certifying.base import Case, Mark, Plan, Said, is_right, spoken

_NAMES: Final = {difficulty: f"shop_{difficulty.value}" for difficulty in Difficulty}


class Shop:
    """The suite."""

    name = "shop"
    data = "built in"

    def plans(self) -> Sequence[Plan]:
        """Return a slice for each difficulty."""
        return [Plan(_NAMES[each], Guards(), partial(_cases, each)) for each in Difficulty]


def _cases(difficulty: Difficulty, seed: int, count: int) -> Iterator[Case]:
    for number, question in enumerate(unseen(f"certify/{seed}", difficulty, count)):
        yield _case(number, question)


def _case(number: int, question: Question) -> Case:
    def check(said: Sequence[Said]) -> Mark:
        return is_right(question.is_answered_by(said[0].text))

    body = {"messages": spoken(question.text), "max_tokens": ANSWER_TOKENS}
    return Case(f"{question.kind}/{number}", (body,), check, wanted=question.answer)
