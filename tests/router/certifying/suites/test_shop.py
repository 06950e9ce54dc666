"""Tests router/certifying/suites/shop.py."""

from backends.engines.desk.questions import is_held_out
from router.certifying.base import Said
from router.certifying.suites.shop import Shop


def test_questions_are_of_the_part_that_no_training_has_seen_and_whole_answers_are_right() -> None:
    simple, complex_ones = Shop().plans()
    assert [simple.name, complex_ones.name] == ["shop_simple", "shop_complex"]
    for plan in (simple, complex_ones):
        cases = list(plan.cases(0, 20))
        assert len({case.id for case in cases}) == 20
        for case in cases:
            assert is_held_out(case.bodies[0]["messages"][0]["content"])
            assert case.check is not None
            assert case.check([Said(f"{case.wanted}\n")]).score == 1.0
            assert case.check([Said(f"{case.wanted} And more.")]).score == 0.0
        assert str(plan.guards) == ""
