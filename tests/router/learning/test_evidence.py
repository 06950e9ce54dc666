"""Tests router/learning/evidence.py and router/learning/losses.py, by simulation with a seed."""

import math
import random
from collections.abc import Iterator

import pytest

from router.base import Price, Tier
from router.learning.evidence import ALPHA, MOST, STAKES, Evidence, Verdict
from router.learning.losses import large_cost, loss, shortfall

RUNS = 200
LOOKS = 500  # requests in a run; the evidence is looked at after each


def differences(chance: random.Random, *, champion: float, rival: float) -> Iterator[float]:
    """Yield what two routers lose more or less than one another; each is right with a probability of its own."""
    while True:
        is_hard = chance.random() < 0.3
        right, wrong = (Tier.LARGE, Tier.MINI) if is_hard else (Tier.MINI, Tier.LARGE)
        lost = [
            loss(
                right if chance.random() < skill else wrong,
                strong_score=1.0,
                weak_score=0.0 if is_hard else 1.0,
                large_cost=0.27,
            )
            for skill in (champion, rival)
        ]
        yield lost[0] - lost[1]


def ends(*, champion: float, rival: float, seed: int, runs: int = RUNS) -> list[Verdict]:
    """Return how each of many contests ended, or stood after the last look."""
    chance, found = random.Random(seed), []
    for _ in range(runs):
        evidence = Evidence()
        source = differences(chance, champion=champion, rival=rival)
        for _ in range(LOOKS):
            evidence = evidence.after(next(source))
            if evidence.verdict is not Verdict.OPEN:
                break
        found.append(evidence.verdict)
    return found


def test_where_neither_is_better_a_false_promotion_is_as_rare_as_promised() -> None:
    found = ends(champion=0.8, rival=0.8, seed=1)
    assert found.count(Verdict.BETTER) / RUNS <= ALPHA
    assert found.count(Verdict.WORSE) / RUNS <= ALPHA


def test_a_rare_great_loss_against_many_small_gains_promises_the_same() -> None:
    chance, promoted = random.Random(2), 0
    for _ in range(RUNS):
        evidence = Evidence()
        for _ in range(LOOKS):  # of mean zero: 0.99 * 0.01 less 0.01 * 0.99
            evidence = evidence.after(-0.99 if chance.random() < 0.01 else 0.01)
            if evidence.verdict is Verdict.BETTER:
                promoted += 1
                break
    assert promoted / RUNS <= ALPHA


def test_a_truly_better_one_is_promoted_and_a_worse_one_dropped() -> None:
    assert ends(champion=0.75, rival=0.9, seed=3, runs=60).count(Verdict.BETTER) >= 54
    assert ends(champion=0.9, rival=0.75, seed=4, runs=60).count(Verdict.WORSE) >= 54


def test_the_wealth_is_that_of_the_formula() -> None:
    evidence = Evidence().after(0.5).after(-0.2)
    expected = sum((1 + stake * 0.5) * (1 - stake * 0.2) for stake in STAKES) / len(STAKES)
    assert math.exp(evidence.log_better) == pytest.approx(expected)
    other_side = sum((1 - stake * 0.5) * (1 + stake * 0.2) for stake in STAKES) / len(STAKES)
    assert math.exp(evidence.log_worse) == pytest.approx(other_side)
    assert evidence.n == 2
    assert evidence.mean == pytest.approx(0.15)
    assert Evidence().mean is None


def test_equal_losses_move_nothing_and_end_without_a_result() -> None:
    evidence = Evidence(n=MOST - 2).after(0.0)
    assert evidence.verdict is Verdict.OPEN
    evidence = evidence.after(0.0)
    assert (evidence.log_better, evidence.verdict) == (0.0, Verdict.NO_RESULT)


def test_a_thousand_times_sure_is_still_a_number() -> None:
    evidence = Evidence()
    for _ in range(5_000):
        evidence = evidence.after(1.0)
    assert math.isfinite(evidence.log_better)
    assert evidence.verdict is Verdict.BETTER


def test_a_difference_that_cannot_be_one_is_refused() -> None:
    for difference in (1.1, -1.1, math.nan):
        with pytest.raises(ValueError, match="losses lie between"):
            Evidence().after(difference)


def test_mini_loses_what_it_lacks_and_large_its_price_where_it_was_not_needed() -> None:
    assert shortfall(1.0, 0.25) == 0.75
    assert shortfall(0.0, 1.0) == 0.0
    assert loss(Tier.MINI, strong_score=1.0, weak_score=0.25, large_cost=0.3) == 0.75
    assert loss(Tier.LARGE, strong_score=1.0, weak_score=0.25, large_cost=0.3) == 0.0
    assert loss(Tier.LARGE, strong_score=1.0, weak_score=1.0, large_cost=0.3) == 0.3
    assert loss(Tier.LARGE, strong_score=0.0, weak_score=1.0, large_cost=0.3) == 0.3


def test_a_needless_call_costs_what_mini_would_have_saved() -> None:
    large, mini = Price("l", "v", 100, 10, 1_000), Price("m", "v", 10, 1, 100)
    assert large_cost(0.3, large=large, mini=mini) == pytest.approx(0.27)
    assert large_cost(0.3, large=mini, mini=large) == 0.0
    assert large_cost(0.3, large=None, mini=mini) == large_cost(0.3, large=large, mini=None) == 0.3
