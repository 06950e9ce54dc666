"""Tests router/guards/limits/pacing.py; how spending follows it, router/bench/numbers/pacing.py says."""

from math import inf

import pytest

from router.guards.limits.base import Allowance, Span, Use
from router.guards.limits.pacing import END, WIDTH, price_of


def use(*, spent: int, budget: int | None = 1_000_000, elsewhere: int = 0, ends: float = 1_000.0) -> Use:
    allowance = Allowance(budget=budget, span=Span.DAY)
    return Use("shop", allowance, allowance, spent=spent, elsewhere=elsewhere, begins=0.0, ends=ends)


def test_money_is_worth_nothing_while_spending_keeps_to_the_plan() -> None:
    assert price_of(use(spent=0), 0.0, most=1.0) == 0.0
    assert price_of(use(spent=400_000), 500.0, most=1.0) == 0.0


def test_the_price_rises_with_what_is_spent_ahead_and_ends() -> None:
    cheap, dear = (price_of(use(spent=spent), 500.0, most=1.0) for spent in (510_000, 530_000))
    assert 0.0 < cheap < dear < 1.0
    assert price_of(use(spent=900_000), 500.0, most=1.0) == 1.0
    assert price_of(use(spent=900_000), 500.0, most=2.0) == 2.0


def test_at_first_a_tenth_of_the_budget_is_the_whole_way() -> None:
    assert price_of(use(spent=int((WIDTH + END) * 500_000)), 0.0, most=1.0) == pytest.approx(0.5)


@pytest.mark.parametrize("most", [1.0, 2.0])
def test_at_the_end_the_price_ends_just_when_the_money_does(most: float) -> None:
    assert price_of(use(spent=1_000_000), 1_000.0, most=most) == pytest.approx(most)
    assert price_of(use(spent=int(1_000_000 * (1 - most * END))), 1_000.0, most=most) == pytest.approx(0.0, abs=1e-6)


def test_what_other_workers_have_spent_counts() -> None:
    assert price_of(use(spent=100_000, elsewhere=430_000), 500.0, most=1.0) == price_of(
        use(spent=530_000), 500.0, most=1.0
    )


def test_a_budget_without_an_end_or_no_budget_has_no_price() -> None:
    assert price_of(use(spent=999_999, ends=inf), 500.0, most=1.0) == 0.0
    assert price_of(use(spent=999_999, budget=None), 500.0, most=1.0) == 0.0
    assert price_of(use(spent=0, budget=0), 500.0, most=1.0) == 0.0


def test_a_clock_outside_the_window_is_taken_as_its_edge() -> None:
    assert price_of(use(spent=10_000), -50.0, most=1.0) == price_of(use(spent=10_000), 0.0, most=1.0)
    assert price_of(use(spent=10_000), 5_000.0, most=1.0) == price_of(use(spent=10_000), 1_000.0, most=1.0)
