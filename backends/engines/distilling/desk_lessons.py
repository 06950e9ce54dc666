"""One customer's questions, answered by the local Large -> examples for the local Mini, and its examination.

The examples are what a ledger of this customer would hold; the examination asks questions that neither model was
trained on, and the shop's own facts say what is right.
"""

from collections.abc import Sequence
from typing import Final

from backends.base import Backend
from backends.engines.desk.accuracy import Accuracy
from backends.engines.desk.asking import ANSWER_TOKENS
from backends.engines.desk.questions import Difficulty, Question, unseen
from backends.engines.desk.traffic import Customer
from backends.engines.distilling.base import Case, Exam, Example, Message, Part, Say
from backends.engines.distilling.examining import Ask, answers_of
from backends.engines.distilling.examples import group_of
from backends.engines.options import LocalOptions

TEACHER: Final = "desk-large"

_TOLD_EVERY: Final = 1_000  # questions


async def lessons(*, customer: int, count: int, asked: int, say: Say) -> tuple[list[Example], Exam]:
    """Return what Mini shall learn from this customer, and what it is asked before and after.

    Args:
        customer: the seed that its products and questions are drawn by.
        count: questions of the customer that Large answers.
        asked: questions of each part of the examination.

    Raises:
        BackendError: the local Large does not start, or does not answer.
    """
    one = Customer(customer)
    questions, parts = one.seen(count), _parts(one, asked)
    large = LocalOptions(use="local", name=TEACHER, slots=8).build()
    try:
        answers = await _answers(large, questions, say)
        examples = [_example(*pair) for pair in zip(questions, answers, strict=True) if pair[1].strip()]
        say(f"asking Large the {sum(map(len, parts.values()))} questions of the examination")
        teacher = {part: await _accuracy(large, asked_now) for part, asked_now in parts.items()}
    finally:
        await large.aclose()
    return examples, Exam([_case(part, question) for part in parts for question in parts[part]], teacher)


def _parts(customer: Customer, asked: int) -> dict[Part, tuple[Question, ...]]:
    return {
        Part.SIMPLE: customer.unseen(Difficulty.SIMPLE, asked),
        Part.COMPLEX: customer.unseen(Difficulty.COMPLEX, asked),
        Part.ELSEWHERE: tuple(unseen(f"distilling/{customer.seed}", Difficulty.COMPLEX, asked)),
    }


async def _answers(large: Backend, questions: Sequence[Question], say: Say) -> list[str]:
    found: list[str] = []
    for start in range(0, len(questions), _TOLD_EVERY):
        found += await answers_of(large, TEACHER, list(map(_ask, questions[start : start + _TOLD_EVERY])))
        say(f"Large answered {len(found)} of {len(questions)} questions")
    return found


async def _accuracy(large: Backend, questions: Sequence[Question]) -> Accuracy:
    answers = await answers_of(large, TEACHER, list(map(_ask, questions)))
    right = sum(question.is_answered_by(answer) for question, answer in zip(questions, answers, strict=True))
    return Accuracy(right, len(questions))


def _example(question: Question, answer: str) -> Example:
    messages = (Message("user", question.text),)
    return Example(messages, answer.strip(), question.difficulty is Difficulty.SIMPLE, group_of(messages))


def _ask(question: Question) -> Ask:
    return (Message("user", question.text),), ANSWER_TOKENS


def _case(part: Part, question: Question) -> Case:
    return Case(part, (Message("user", question.text),), question.answer, question.is_answered_by)
