"""Tests router/certifying/suites/tools.py."""

import json

import pytest

from router.certifying.base import Case, Plan, Said
from router.certifying.suites.tools import Tools, parsed

TOOLS, SCHEMA, OBJECT = Tools().plans()


def marked(case: Case, said: Said) -> float:
    assert case.check is not None
    return case.check([said]).score


def test_slices_speak_for_requests_that_ask_for_the_same() -> None:
    assert [plan.guards.features for plan in Tools().plans()] == [("tools",), ("json_schema",), ("json_object",)]
    assert TOOLS.floor == 0.5
    (body,) = next(SCHEMA.cases(0, 1)).bodies
    assert body["response_format"]["json_schema"]["schema"]["required"] == ["order", "customer", "state", "lines"]


def test_half_of_the_requests_want_a_call_and_half_want_none() -> None:
    cases = list(TOOLS.cases(0, 60))
    wanted = [case for case in cases if case.id.startswith("call/")]
    assert len(wanted) == 30
    assert {case.wanted.split()[0] for case in wanted} == {"get_weather", "order_goods", "send_message"}
    for case in cases:
        name, _, arguments = case.wanted.partition(" ")
        call = Said("", ((name, arguments),))
        assert marked(case, call) == (1.0 if case in wanted else 0.0)
        assert marked(case, Said("An answer.")) == (0.0 if case in wanted else 1.0)
        assert marked(case, Said("")) == 0.0


def test_a_call_is_right_with_the_right_arguments_alone() -> None:
    case = next(case for case in TOOLS.cases(0, 60) if case.wanted.startswith("order_goods"))
    right = json.loads(case.wanted.partition(" ")[2])
    for arguments, score in (
        ({**right, "what": f" {right['what'].upper()} "}, 1.0),
        ({**right, "number": right["number"] + 1}, 0.0),
        ({**right, "number": str(right["number"])}, 0.0),
        ({**right, "note": "x"}, 0.0),
        ({"what": right["what"]}, 0.0),
    ):
        assert marked(case, Said("", (("order_goods", json.dumps(arguments)),))) == score
    assert marked(case, Said("", (("get_weather", json.dumps(right)),))) == 0.0
    warm = next(case for case in TOOLS.cases(0, 60) if case.wanted.startswith("get_weather"))
    for written, score in ((warm.wanted, 1.0), (warm.wanted.upper(), 0.0)):  # none of the units in capital letters
        told = written.partition(" ")[2].replace("TOWN", "town").replace("UNIT", "unit")
        assert marked(warm, Said("", (("get_weather", told),))) == score
    assert marked(case, Said("", (("order_goods", "{"),))) == 0.0
    assert marked(case, Said("", (("order_goods", json.dumps(right)),) * 2)) == 0.0


@pytest.mark.parametrize("plan", [SCHEMA, OBJECT], ids=lambda plan: plan.name)
def test_json_is_right_where_it_fits_and_says_what_the_text_said(plan: Plan) -> None:
    for case in plan.cases(0, 20):
        right = json.loads(case.wanted)
        assert str(right["order"]) in case.asked
        assert marked(case, Said(json.dumps({**right, "lines": right["lines"][::-1]}, indent=2))) == 1.0
        assert marked(case, Said(json.dumps({**right, "state": "lost"}))) == 0.0
        assert marked(case, Said(json.dumps({**right, "order": right["order"] + 1}))) == 0.0
        assert marked(case, Said(f"Here: {case.wanted}")) == 0.0


def test_what_is_no_json_is_nothing() -> None:
    assert parsed('{"a": 1}') == {"a": 1}
    assert parsed("[" * 100_000) is parsed("") is parsed("1" * 10_000) is None
