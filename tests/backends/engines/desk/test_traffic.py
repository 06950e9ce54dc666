"""Tests backends/engines/desk/traffic.py: a customer asks about few products, and tests ask what training never saw."""

from backends.engines.desk.questions import Difficulty, is_held_out
from backends.engines.desk.shop import catalogue
from backends.engines.desk.traffic import ABOUT_FAVOURITES, COMPLEX, FAVOURITES, Customer


def test_most_complex_questions_are_about_the_favourites_alone() -> None:
    customer = Customer(0)
    favourites = {product.name for product in customer.favourites}
    others = {product.name for product in catalogue()} - favourites
    assert len(favourites) == FAVOURITES
    asked = customer.unseen(Difficulty.COMPLEX, 400)
    strange = [question for question in asked if any(name in question.text for name in others)]
    assert abs(len(strange) / len(asked) - (1 - ABOUT_FAVOURITES)) < 0.05


def test_what_is_learnt_and_what_is_asked_never_meet_and_a_seed_is_one_customer() -> None:
    customer = Customer(3)
    learnt = customer.seen(200)
    assert sum(question.difficulty is Difficulty.COMPLEX for question in learnt) == 200 * COMPLEX
    assert len({question.text for question in learnt}) == 200
    assert not any(is_held_out(question.text) for question in learnt)
    for difficulty in Difficulty:
        asked = customer.unseen(difficulty, 100)
        assert all(is_held_out(question.text) and question.difficulty is difficulty for question in asked)
    assert Customer(3).seen(200) == learnt
    assert Customer(4).favourites != customer.favourites


def test_answers_about_chosen_products_follow_from_their_facts() -> None:
    by_name = {product.name: product for product in catalogue()}
    for question in Customer(1).unseen(Difficulty.COMPLEX, 200):
        if question.kind == "sent_back":
            name = question.answer.split(":")[0].split("：")[0]
            assert str(by_name[name].price) in question.answer
            assert str(by_name[name].returns) in question.answer
