"""Tests classifier/calibrating/guarantee.py: its promises are tried on simulated traffic whose true risk is known.

The traffic: a quarter of the requests are complex, their score is higher by 1.81 (AUROC .90), and Mini loses with
probability .35 on them and .03 on the others.
"""

import math
from collections.abc import Callable
from itertools import pairwise
from statistics import NormalDist

import numpy as np
import pytest

from classifier.calibrating.guarantee import (
    Bound,
    Reals,
    betting,
    binomial_cdf,
    certify,
    exact,
    fewest_pairs,
    hoeffding_bentkus,
    losses_allowed,
    one_of_each,
    outlook,
    pairs_needed,
)

NORMAL = NormalDist()
APART = NORMAL.inv_cdf(0.9) * math.sqrt(2)


def traffic(chance: np.random.Generator, count: int, *, graded: bool = False) -> tuple[Reals, Reals]:
    """Return scores and losses of new requests; graded losses have the same means."""
    complex_ = chance.random(count) < 0.25
    mean = np.where(complex_, 0.35, 0.03)
    losses = chance.beta(2 * mean, 2 * (1 - mean)) if graded else (chance.random(count) < mean).astype(float)
    return chance.normal(APART * complex_, 1.0), losses


def risk(threshold: float) -> float:
    """Return the true mean loss of this traffic at a threshold."""
    return 0.25 * 0.35 * NORMAL.cdf(threshold - APART) + 0.75 * 0.03 * NORMAL.cdf(threshold)


def share(threshold: float) -> float:
    return 0.25 * NORMAL.cdf(threshold - APART) + 0.75 * NORMAL.cdf(threshold)


def plug_in(scores: Reals, losses: Reals, loss: float) -> float:
    """Return the highest threshold at which the rows themselves keep the promise."""
    order = np.argsort(scores)
    kept = np.flatnonzero(np.cumsum(losses[order]) / len(scores) <= loss)
    return float(scores[order][min(kept[-1] + 1, len(scores) - 1)])


def broken(
    runs: int, *, count: int, loss: float, bound: Bound = "exact", graded: bool = False
) -> tuple[float, float, float]:
    """Return how often the promise and the plug-in threshold are broken, and the true share on Mini."""
    chance, certified, naive, mini = np.random.default_rng(11), 0, 0, 0.0
    for seed in range(runs):
        scores, losses = traffic(chance, count, graded=graded)
        found = certify(scores, losses, loss=loss, confidence=0.9, seed=seed, bound=bound)
        naive += risk(plug_in(scores, losses, loss)) > loss
        if found.threshold is not None:
            certified += risk(found.threshold) > loss
            mini += share(found.threshold)
    return certified / runs, naive / runs, mini / runs


@pytest.mark.parametrize(
    ("loss", "count", "at_least_on_mini"), [(0.02, 500, 0.28), (0.02, 2_000, 0.38), (0.05, 500, 0.64)]
)
def test_the_promise_is_kept_where_the_plug_in_threshold_breaks_it(
    loss: float, count: int, at_least_on_mini: float
) -> None:
    runs = 400
    certified, naive, mini = broken(runs, count=count, loss=loss)
    assert certified <= 0.1 + 2 * math.sqrt(0.09 / runs)
    assert naive > 0.4
    assert mini >= at_least_on_mini


@pytest.mark.parametrize(
    ("bound", "at_least_on_mini"), [("exact", 0.28), ("betting", 0.28), ("hoeffding-bentkus", 0.2)]
)
def test_the_promise_is_kept_for_graded_losses(bound: Bound, at_least_on_mini: float) -> None:
    runs = 150
    certified, naive, mini = broken(runs, count=500, loss=0.02, bound=bound, graded=True)
    assert certified <= 0.1 + 2 * math.sqrt(0.09 / runs)
    assert naive > 0.4
    assert mini >= at_least_on_mini


@pytest.mark.parametrize("test", [exact, betting, hoeffding_bentkus])
def test_a_true_hypothesis_is_rejected_as_seldom_as_stated(test: Callable[[Reals, float], float]) -> None:
    chance, runs = np.random.default_rng(5), 500
    rejected = sum(test((chance.random(300) < 0.05).astype(float), 0.05) <= 0.1 for _ in range(runs))
    assert rejected / runs <= 0.1 + 2 * math.sqrt(0.09 / runs)
    assert test(np.zeros(300), 0.05) < 0.001
    assert test(np.ones(300), 0.05) == 1.0


@pytest.mark.parametrize("test", [exact, betting, hoeffding_bentkus])
def test_no_p_value_falls_when_a_loss_rises(test: Callable[[Reals, float], float]) -> None:
    chance = np.random.default_rng(6)
    for _ in range(50):
        scores, losses = traffic(chance, 150, graded=test is not exact)
        along = [test(np.where(scores < step, losses, 0.0), 0.04) for step in np.sort(scores)[::10]]
        assert all(one <= other + 1e-12 for one, other in pairwise(along))


@pytest.mark.parametrize("bound", ["exact", "betting", "hoeffding-bentkus"])
def test_bisection_ends_where_the_walk_ends(bound: Bound) -> None:
    test = {"exact": exact, "betting": betting, "hoeffding-bentkus": hoeffding_bentkus}[bound]
    chance = np.random.default_rng(7)
    for seed in range(10):
        scores, losses = traffic(chance, 300)
        found = certify(scores, losses, loss=0.05, confidence=0.9, seed=seed, bound=bound)
        order = np.random.default_rng(seed).permutation(300)
        last = None
        for step in np.append(np.sort(scores)[1:], np.inf):
            if test(np.where(scores[order] < step, losses[order], 0.0), 0.05) > 0.1:
                break
            last = step
        assert last is not None
        assert found.threshold == (np.nextafter(scores.max(), np.inf) if last == np.inf else last)


def test_hoeffding_and_bentkus_are_those_of_the_theorem() -> None:
    losses = np.array([0.5, 0.25, 0.25, *[1.0] * 4, *[0.0] * 93])
    tail = sum(math.comb(100, k) * 0.1**k * 0.9 ** (100 - k) for k in range(6))
    hoeffding = math.exp(-100 * (0.05 * math.log(0.05 / 0.1) + 0.95 * math.log(0.95 / 0.9)))
    assert hoeffding_bentkus(losses, 0.1) == pytest.approx(min(hoeffding, math.e * tail))
    assert math.e * tail < hoeffding
    assert hoeffding_bentkus(np.zeros(100), 0.1) == pytest.approx(0.9**100)


def test_a_graded_loss_counts_in_full_with_its_own_probability() -> None:
    scores, losses = np.arange(400, dtype=np.float64), np.full(400, 0.25)
    found = [certify(scores, losses, loss=0.1, confidence=0.9, seed=seed) for seed in range(200)]
    shares = [each.share_mini for each in found]
    assert len(set(shares)) > 20
    assert np.mean([share * 0.25 > 0.1 for share in shares]) <= 0.1 + 2 * math.sqrt(0.09 / 200)
    assert all(each.risk == pytest.approx(0.25 * each.share_mini) for each in found)


def test_binomial_chances_are_those_of_counting() -> None:
    for count, pairs, chance in ((3, 20, 0.1), (0, 114, 0.02), (20, 20, 0.5), (7, 60, 0.0)):
        counted = sum(math.comb(pairs, k) * chance**k * (1 - chance) ** (pairs - k) for k in range(count + 1))
        assert binomial_cdf(count, pairs, chance) == pytest.approx(counted, rel=1e-9)
    assert binomial_cdf(-1, 10, 0.5) == 0.0


def test_the_fewest_pairs_are_those_of_the_table() -> None:
    for confidence, expected in ((0.9, (230, 114, 45)), (0.95, (299, 149, 59))):
        found = tuple(fewest_pairs(loss=loss, confidence=confidence) for loss in (0.01, 0.02, 0.05))
        assert found == expected
        for loss, pairs in zip((0.01, 0.02, 0.05), expected, strict=True):
            assert losses_allowed(pairs, loss=loss, confidence=confidence) == 0
            assert losses_allowed(pairs - 1, loss=loss, confidence=confidence) == -1


@pytest.mark.parametrize(
    ("loss", "expected"), [(0.01, (670, 2_200, 9_400)), (0.02, (340, 1_100, 4_700)), (0.05, (140, 380, 1_900))]
)
def test_planned_pairs_are_those_of_the_table(loss: float, expected: tuple[int, ...]) -> None:
    for part, pairs in zip((0.25, 0.5, 0.75), expected, strict=True):
        found = pairs_needed(part * loss, loss=loss, confidence=0.9)
        assert found == pytest.approx(pairs, rel=0.1)
        assert found is not None
        allowed = losses_allowed(found, loss=loss, confidence=0.9)
        assert binomial_cdf(allowed, found, part * loss) >= 0.9
    assert pairs_needed(loss, loss=loss, confidence=0.9) is None
    assert pairs_needed(0.999 * loss, loss=loss, confidence=0.9) is None
    assert pairs_needed(0.0, loss=loss, confidence=0.9) == fewest_pairs(loss=loss, confidence=0.9)


def test_too_few_pairs_are_refused_with_how_many_are_missing() -> None:
    found = certify(np.arange(60, dtype=np.float64), np.zeros(60), loss=0.02, confidence=0.9, seed=0)
    assert (found.threshold, found.bound, found.share_mini, found.needed) == (None, None, 0.0, 54)
    enough = certify(np.arange(114, dtype=np.float64), np.zeros(114), loss=0.02, confidence=0.9, seed=0)
    assert enough.threshold == np.nextafter(113.0, np.inf)
    assert (enough.share_mini, enough.risk, enough.needed, enough.pairs) == (1.0, 0.0, 0, 114)
    assert enough.bound == pytest.approx(0.02, abs=2e-4)


def test_a_loss_on_the_very_easiest_row_asks_for_more_pairs() -> None:
    losses = np.zeros(120)
    losses[0] = 1.0
    found = certify(np.arange(120, dtype=np.float64), losses, loss=0.02, confidence=0.9, seed=0)
    assert found.threshold is None
    assert found.needed is not None
    assert 200 < found.needed < 1_000


def test_where_the_easiest_rows_lose_too_much_no_number_of_pairs_helps() -> None:
    losses = np.tile([1.0, 0.0, 0.0, 0.0], 100)
    assert certify(np.zeros(400), losses, loss=0.05, confidence=0.9, seed=0).needed is None
    assert outlook(np.zeros(400), losses, loss=0.05, confidence=0.9) is None


def test_equal_scores_go_the_same_way() -> None:
    scores, losses = np.repeat(np.arange(10, dtype=np.float64), 50), np.zeros(500)
    losses[250] = losses[251] = 1.0
    found = certify(scores, losses, loss=0.01, confidence=0.9, seed=0)
    assert found.threshold in set(np.arange(10, dtype=np.float64)) | {np.nextafter(9.0, np.inf)}
    assert found.share_mini == 0.5


def test_a_rising_map_of_the_scores_moves_the_threshold_along() -> None:
    scores, losses = traffic(np.random.default_rng(8), 1_000)
    found = certify(scores, losses, loss=0.02, confidence=0.9, seed=0)
    moved = certify(1 / (1 + np.exp(-scores)), losses, loss=0.02, confidence=0.9, seed=0)
    assert found.threshold is not None
    assert moved.threshold == pytest.approx(1 / (1 + math.exp(-found.threshold)))
    assert (moved.share_mini, moved.risk, moved.bound) == (found.share_mini, found.risk, found.bound)


def test_the_bound_lies_between_what_was_seen_and_what_is_promised() -> None:
    scores, losses = traffic(np.random.default_rng(9), 1_000)
    strict, loose = (certify(scores, losses, loss=loss, confidence=0.9, seed=0) for loss in (0.01, 0.05))
    for found in (strict, loose):
        assert found.bound is not None
        assert found.risk < found.bound <= found.loss
    assert strict.threshold is not None
    assert loose.threshold is not None
    assert strict.threshold < loose.threshold


def test_the_outlook_plans_for_half_the_loss() -> None:
    scores, losses = traffic(np.random.default_rng(10), 2_000)
    found = outlook(scores, losses, loss=0.02, confidence=0.9)
    assert found is not None
    assert 0.008 < found.risk <= 0.01
    assert 0.15 < found.share_mini < 0.35
    assert 700 < found.pairs < 1_300


def test_one_row_of_each_group_is_drawn_by_the_seed() -> None:
    groups = ["a", "b", "a", "c", "a"]
    drawn = [one_of_each(groups, seed=seed) for seed in range(30)]
    assert all(len(rows) == 3 and rows == sorted(rows) and {1, 3} < set(rows) for rows in drawn)
    assert {min(set(rows) - {1, 3}) for rows in drawn} == {0, 2, 4}
    assert one_of_each(groups, seed=4) == one_of_each(groups, seed=4)


def test_groups_of_alike_rows_break_the_promise_unless_one_of_each_is_drawn() -> None:
    chance, runs = np.random.default_rng(12), 200
    all_rows = drawn = 0
    for seed in range(runs):
        scores, losses = (each.repeat(8) for each in traffic(chance, 200))
        groups = [str(row // 8) for row in range(1_600)]
        chosen = one_of_each(groups, seed=seed)
        for rows, is_drawn in ((range(1_600), False), (chosen, True)):
            found = certify(scores[rows], losses[rows], loss=0.02, confidence=0.9, seed=seed)
            is_broken = found.threshold is not None and risk(found.threshold) > 0.02
            drawn, all_rows = drawn + (is_broken and is_drawn), all_rows + (is_broken and not is_drawn)
    assert drawn / runs <= 0.1 + 2 * math.sqrt(0.09 / runs)
    assert all_rows / runs > 0.2
