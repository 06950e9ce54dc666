"""Tests router/certifying/suites/long.py."""

import pytest

from router.certifying.base import Plan, Said
from router.certifying.suites.long import DEPTHS, LongInputs
from tests.router.certifying.answering import knowing, replies_to

PLANS = {plan.name: plan for plan in LongInputs((2_000, 300)).plans()}


def test_there_are_three_slices_for_each_length_that_speak_for_inputs_as_long() -> None:
    assert list(PLANS) == [f"long_{kind}_{n}" for n in (300, 2_000) for kind in ("needle", "facts", "stable")]
    assert {plan.guards.tokens for plan in PLANS.values()} == {300, 2_000}
    (first, *_) = LongInputs().plans()
    assert (first.name, first.guards.tokens, first.tokens) == ("long_needle_16k", 16_384, 16_384)


@pytest.mark.parametrize("plan", PLANS.values(), ids=lambda plan: plan.name)
def test_inputs_are_as_long_as_said_and_who_knows_is_right(plan: Plan) -> None:
    brain = knowing([plan], 0, 4)
    for case in plan.cases(0, 4):
        for body in case.bodies:
            assert plan.tokens <= len(body["messages"][0]["content"].split()) < plan.tokens + 120
        assert case.check is not None
        assert case.check([Said(str(said)) for said in replies_to(case, brain)]).score == 1.0
        assert case.check([Said("I cannot say.") for _ in case.bodies]).score == 0.0
    assert [case.bodies for case in plan.cases(0, 4)] == [case.bodies for case in plan.cases(0, 4)]


def test_a_needle_stands_at_each_depth_in_turn() -> None:
    found = []
    for case in PLANS["long_needle_300"].cases(0, len(DEPTHS)):
        text = case.bodies[0]["messages"][0]["content"]
        found.append(text.index("The access code") / len(text))
    assert found == sorted(found)
    assert found[0] == 0.0
    assert found[-1] > 0.8


def test_several_facts_are_worth_the_share_that_was_found() -> None:
    plan = PLANS["long_facts_300"]
    (case,) = plan.cases(0, 1)
    (whole,) = replies_to(case, knowing([plan], 0, 1))
    assert case.check is not None
    assert case.check([Said("\n".join(str(whole).splitlines()[:3]))]).score == pytest.approx(0.5)
    assert case.check([Said(str(whole).replace("\n", " "))]).score == 1.0
    shuffled = "\n".join(f"{line.split(':')[0]}: 00000" for line in str(whole).splitlines())
    assert case.check([Said(shuffled)]).score == 0.0


def test_stable_is_the_same_code_in_both_orders_of_the_text_and_nothing_else() -> None:
    (case,) = PLANS["long_stable_300"].cases(0, 1)
    one, two = (body["messages"][0]["content"] for body in case.bodies)
    assert one != two
    assert one.split("\n\n")[1] == two.split("\n\n")[1]
    assert case.check is not None
    assert case.check([Said("12345"), Said("It is 12345.")]).score == 1.0
    for said in (("12345", "12346"), ("none", "none"), ("12345 12346", "12345")):
        assert case.check([Said(each) for each in said]).score == 0.0


def test_two_codes_in_a_reply_are_no_needle() -> None:
    (case,) = PLANS["long_needle_300"].cases(0, 1)
    assert case.check is not None
    assert case.check([Said(f"{case.wanted}")]).score == 1.0
    assert case.check([Said(f"{case.wanted} or 11111")]).score == 0.0
    assert case.check([Said(f"9{case.wanted}")]).score == 0.0
