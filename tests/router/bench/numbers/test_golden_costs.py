"""Tests router/bench/numbers/golden_costs.py and router/bench/numbers/golden_cases.py."""

from dataclasses import replace

import pytest

from router.bench.numbers import golden_costs
from router.bench.numbers.golden_cases import CASES, Case
from router.bench.numbers.golden_costs import goals


def values(cases: tuple[Case, ...], monkeypatch: pytest.MonkeyPatch) -> list[float]:
    monkeypatch.setattr(golden_costs, "CASES", cases)
    return [goal.value for goal in goals(seed=1, quick=True)]


def test_every_public_case_costs_what_its_report_says() -> None:
    found = goals(seed=0, quick=False)
    assert [goal.name for goal in found if not goal.met] == []
    assert found[0].value == len(CASES) >= 25


def test_a_case_that_is_off_by_two_nano_usd_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    off = replace(CASES[1], usd="0.005564902")
    assert values((CASES[0], off), monkeypatch) == [2, 1, 2.0, 0, 0]
    never = replace(CASES[1], usd="unpriced")
    assert values((never,), monkeypatch)[1:3] == [1, float("inf")]


def test_the_three_reports_that_were_named_are_among_them() -> None:
    exact = {case.source: case.usd for case in CASES}
    assert exact["BerriAI/litellm#14849"] == "0.184918125"
    assert exact["earendil-works/pi#2148"] == "0.0055649"
    assert exact["BerriAI/litellm#26016"] == "0.01474688"
