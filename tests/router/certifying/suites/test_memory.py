"""Tests router/certifying/suites/memory.py."""

import pytest

from router.certifying.base import Plan, Said
from router.certifying.suites.memory import TURNS, Memory

PLANS = Memory().plans()


def test_a_slice_speaks_for_conversations_that_are_as_long() -> None:
    assert [plan.name for plan in PLANS] == [f"memory_{turns}" for turns in TURNS]
    assert [plan.guards.messages for plan in PLANS] == [5, 11, 21, 41]
    for plan in PLANS:
        for case in plan.cases(0, 3):
            messages = case.bodies[0]["messages"]
            assert len(messages) == plan.guards.messages
            assert [each["role"] for each in messages] == ["user", "assistant"] * (len(messages) // 2) + ["user"]


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.name)
def test_what_was_told_is_asked_for_and_one_thing_alone_is_right(plan: Plan) -> None:
    places = set()
    for case in plan.cases(0, 25):
        told = [each["content"] for each in case.bodies[0]["messages"] if each["content"].startswith("Please")]
        (place,) = (at for at, each in enumerate(told) if f"{_asked(case.asked)} is {case.wanted}." in each)
        places.add(place)
        assert case.check is not None
        assert case.check([Said(f"It is {case.wanted.upper()}.")]).score == 1.0
        assert case.check([Said("Noted.")]).score == 0.0
        other = next((text.rsplit(" ", 1)[1][:-1] for text in told if not text.endswith(f" {case.wanted}.")), None)
        if other is not None:
            assert case.check([Said(f"{case.wanted} or {other}")]).score == 0.0
    assert places == set(range(plan.guards.messages // 2))
    assert len({case.id for case in plan.cases(0, 50)}) == 50


def _asked(question: str) -> str:
    return question.removeprefix("What is ").partition("?")[0]
