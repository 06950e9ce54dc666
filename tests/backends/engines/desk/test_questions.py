"""The shop and its questions: the same on each machine, right by construction, held out by text.

backends/engines/desk/shop.py, backends/engines/desk/questions.py, backends/engines/desk/workload.py
"""

import hashlib
import random

import pytest

from backends.engines.desk import shop
from backends.engines.desk.questions import Difficulty, Question, is_held_out, sample, seen, unseen
from backends.engines.desk.workload import GAP, workload


def test_the_catalogue_is_the_one_that_the_models_learnt() -> None:
    told = "\n".join(str(product) for product in shop.catalogue())
    assert hashlib.sha256(told.encode()).hexdigest().startswith("9904a778a5e90b58")
    assert len({product.name for product in shop.catalogue()}) == shop.PRODUCTS


@pytest.mark.parametrize("difficulty", Difficulty)
def test_answers_follow_from_the_facts(difficulty: Difficulty) -> None:
    by_name = {product.name: product for product in shop.catalogue()}
    for question in unseen("facts", difficulty, 300):
        if question.kind == "total":
            left, total = question.answer.rstrip("欧元。euro. ").split(" = ")
            names = [part.rsplit(" ", 1) for part in left.split(" + ")]
            assert sum(by_name[name].price for name, _ in names) == int(total)
            assert all(str(by_name[name].price) == price for name, price in names)
        if question.kind == "covered":
            name, rest = question.answer.split(": ")
            bought, years = rest.split(" = ")[0].split(" + ")
            assert by_name[name].warranty == int(years)
            assert bought in question.text
        if question.kind in ("order", "cancel", "ticket", "invoice"):
            number = "".join(filter(str.isdigit, question.text))[:3]
            assert number in question.answer


def test_a_comparison_names_the_smaller_price_or_says_that_there_is_none() -> None:
    by_name = {product.name: product for product in shop.catalogue()}
    for question in (
        q for q in unseen("compare", Difficulty.COMPLEX, 600) if q.kind == "cheaper" and q.language == "en"
    ):
        prices, verdict = question.answer.split(": ")
        (a, _), (b, _) = (part.rsplit(" ", 1) for part in prices.split(", "))
        if by_name[a].price == by_name[b].price:
            assert verdict == "same price."
        else:
            assert verdict == f"{min((a, b), key=lambda name: by_name[name].price)} is cheaper."


def test_what_training_may_see_and_what_tests_ask_never_meet() -> None:
    for difficulty in Difficulty:
        trained = {question.text for question in seen("x", difficulty, 500)}
        asked = {question.text for question in unseen("x", difficulty, 500)}
        assert len(trained) == len(asked) == 500
        assert not trained & asked
        assert not any(map(is_held_out, trained))
        assert all(map(is_held_out, asked))


def test_the_whole_answer_must_be_right() -> None:
    question = Question("?", "A 45 + B 15 = 60 euro.", "total", Difficulty.COMPLEX, "en")
    assert question.is_answered_by(" A 45 + B 15 = 60 euro.\n")
    assert not question.is_answered_by("A 45 + B 15 = 65 euro.")
    assert not question.is_answered_by("A 45 + B 15 = 60 euro. Bye.")


def test_no_question_is_cut_off_from_either_language() -> None:
    rng = random.Random(1)
    drawn = [sample(rng, difficulty) for difficulty in Difficulty for _ in range(500)]
    assert {(question.kind, question.language) for question in drawn} == {
        (question.kind, language) for question in drawn for language in ("en", "zh")
    }


def test_the_workload_repeats_a_quarter_and_has_a_quarter_of_complex_ones() -> None:
    questions = workload(200, seed=3)
    distinct = set(questions)
    assert len(questions) == 200
    assert len(distinct) == 150
    assert sum(question.difficulty is Difficulty.COMPLEX for question in distinct) == 38
    assert all(is_held_out(question.text) for question in distinct)
    assert workload(200, seed=3) == questions
    assert workload(200, seed=4) != questions
    for question in distinct:
        places = [index for index, other in enumerate(questions) if other == question]
        assert len(places) == 1 or places[1] - places[0] >= GAP
