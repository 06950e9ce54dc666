"""Tests classifier/calibrating/net.py: its promises are tried on simulated traffic whose true net loss is known."""

import math
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from classifier.calibrating.guarantee import Certificate, Reals, certify, fewest_pairs
from classifier.calibrating.maps import LIMIT
from classifier.calibrating.net import (
    GRID,
    certify_net,
    chernoff,
    fewest_pairs_net,
    most_active,
    outlook_net,
    p_value,
    tail,
)

GAINS = {"none": 0.0, "balanced": 0.06, "heavy": 0.3}
CLASSES = np.linspace(-2.0, 2.0, 21)  # scores of equal probability, where they are tied
APART = 0.1


def chances(logits: Reals, gains: str) -> tuple[Reals, Reals]:
    """Return the chances that Mini loses and that it gains: it loses 3 % more often on the easy, 53 % on the hard."""
    gain = np.full(len(logits), GAINS[gains])
    return np.minimum(1.0, gain + 0.01 + 0.5 / (1.0 + np.exp(2.0 - 2.0 * logits))), gain


def traffic(
    chance: np.random.Generator, count: int, gains: str, *, tied: bool = False, graded: bool = False
) -> tuple[Reals, Reals]:
    """Return logits and signed losses of new requests; graded ones are halves and wholes, with 3/4 of the mean."""
    logits = CLASSES[chance.integers(0, len(CLASSES), count)] + (0.0 if tied else APART * (chance.random(count) - 1.0))
    lose, gain = chances(logits, gains)
    drawn = chance.random(count)
    losses = np.where(drawn < lose, 1.0, np.where(drawn < lose + gain, -1.0, 0.0))
    return logits, losses * chance.choice([0.5, 1.0], count) if graded else losses


def net_loss(threshold: float, gains: str, *, tied: bool = False, graded: bool = False) -> float:
    """Return the true mean at a threshold."""
    within = np.zeros(1) if tied else APART * (np.arange(200) / 200 - 1.0)
    logits = (CLASSES[:, None] + within).ravel()
    lose, gain = chances(logits, gains)
    return float(np.where(logits < threshold, lose - gain, 0.0).mean()) * (0.75 if graded else 1.0)


def share(threshold: float) -> float:
    return float(np.clip((threshold + 2.0 + APART) / (4.0 + 0.2), 0.0, 1.0))


@pytest.fixture
def only_thresholds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the bound, whose search takes most of the time, where nothing but the threshold is looked at."""
    monkeypatch.setattr("classifier.calibrating.net._Walk.bound", lambda *_, **__: None)


@pytest.mark.usefixtures("only_thresholds")
@pytest.mark.parametrize(
    ("gains", "count", "runs", "tied", "graded"),
    [
        ("none", 300, 100, False, False),
        ("none", 2_000, 30, False, False),
        ("balanced", 300, 100, True, False),
        ("balanced", 1_000, 40, False, True),
        ("balanced", 2_000, 40, False, False),
        ("heavy", 300, 100, False, True),
        ("heavy", 1_000, 100, True, False),
        ("heavy", 2_000, 20, False, False),
    ],
)
def test_the_promise_is_kept(gains: str, count: int, runs: int, *, tied: bool, graded: bool) -> None:
    chance, broken, made = np.random.default_rng(count), 0, 0
    for seed in range(runs):
        logits, losses = traffic(chance, count, gains, tied=tied, graded=graded)
        found = certify_net(logits, losses, loss=0.03, confidence=0.9, seed=seed)
        if found.threshold is not None:
            made += 1
            broken += net_loss(found.threshold, gains, tied=tied, graded=graded) > 0.03 + 1e-3
    assert broken / runs <= 0.1 + 2 * math.sqrt(0.09 / runs)
    assert made / runs > 0.75


@pytest.mark.usefixtures("only_thresholds")
def test_gains_send_more_to_mini_than_what_is_lost_allows() -> None:
    chance = np.random.default_rng(1)
    lost, net = list[float](), list[float]()
    for seed in range(12):
        logits, losses = traffic(chance, 2_000, "balanced")
        for made, shares in (
            (certify(logits, np.maximum(losses, 0.0), loss=0.03, confidence=0.9, seed=seed), lost),
            (certify_net(logits, losses, loss=0.03, confidence=0.9, seed=seed), net),
        ):
            assert made.threshold is not None
            shares.append(share(made.threshold))
    assert np.mean(net) > 1.4 * np.mean(lost)


@pytest.mark.usefixtures("only_thresholds")
def test_without_gains_it_promises_nearly_as_much_as_the_stronger_promise() -> None:
    chance = np.random.default_rng(2)
    shares = []
    for seed in range(12):
        logits, losses = traffic(chance, 2_000, "none")
        shares.append(
            [made(logits, losses, loss=0.03, confidence=0.9, seed=seed).share_mini for made in (certify, certify_net)]
        )
    lost, net = np.mean(shares, axis=0)
    assert 0.95 * lost < net <= lost


# --- the test --------------------------------------------------------------------------------------


def added(net: int, rows: int, mean: float, activity: float) -> float:
    """Return P(the sum of so many steps <= net) by adding one step after another."""
    chances: NDArray[np.floating] = np.ones(1)
    for _ in range(rows):
        chances = np.convolve(chances, [(activity - mean) / 2, 1 - activity, (activity + mean) / 2])
    return float(chances[: rows + net + 1].sum())


@pytest.mark.parametrize(
    ("net", "rows", "mean", "activity"),
    [
        (-1, 40, 0.05, 0.3),
        (1, 100, 0.03, 0.2),
        (-3, 30, 0.1, 0.9),
        (0, 7, 0.02, 0.02),
        (10, 60, 0.3, 1),
        (5, 5, 0, 0.5),
    ],
)
def test_tails_are_those_of_adding_steps(net: int, rows: int, mean: float, activity: float) -> None:
    counted = added(net, rows, mean, activity)
    assert tail(net, rows, mean=mean, activity=activity) == pytest.approx(counted, abs=1e-12)
    assert chernoff(np.array([net]), rows, mean=mean, activity=np.array([activity]))[0] >= counted - 1e-12


def test_below_the_mean_no_lower_activity_has_a_heavier_tail() -> None:
    for rows, mean in ((57, 0.03), (200, 0.1), (2_000, 0.03)):
        for net in (math.floor((rows - 1) * mean) - 1 - less for less in (0, 1, 7)):
            along = [tail(net, rows, mean=mean, activity=each) for each in np.linspace(mean, (1 + mean * mean) / 2, 25)]
            assert all(one <= other + 1e-12 for one, other in pairwise(along))


def test_chernoff_rises_with_the_activity_where_the_tail_does_not() -> None:
    nets, activities = np.full(100, -10), np.linspace(0.5, 1.0, 100)
    tails = [tail(-10, 57, mean=0.03, activity=float(each)) for each in activities]
    bounds = chernoff(nets, 57, mean=0.03, activity=activities)
    assert min(other - one for one, other in pairwise(tails)) < -1e-4
    assert all(one <= other + 1e-12 for one, other in pairwise(bounds))
    assert (bounds >= tails).all()


@pytest.mark.parametrize("activity", [0.04, 0.2, 0.45, 0.6, 0.95])
@pytest.mark.parametrize("rows", [60, 300])
def test_a_true_hypothesis_is_rejected_as_seldom_as_stated(rows: int, activity: float) -> None:
    mean, runs = 0.03, 1_000
    steps = np.random.default_rng(3).multinomial(
        rows, [(activity + mean) / 2, (activity - mean) / 2, 1 - activity], runs
    )
    rejected = sum(
        p_value(int(up - down), int(up + down), rows, mean=mean, doubt=0.005) <= 0.1 for up, down, _ in steps
    )
    assert rejected / runs <= 0.1 + 2 * math.sqrt(0.09 / runs)


def test_the_test_is_nearly_as_sharp_as_if_the_activity_were_known() -> None:
    rows, mean, activity = 2_000, 0.03, 0.09
    last = max(net for net in range(60) if tail(net, rows, mean=mean, activity=activity) <= 0.1)
    lasts = [net for net in range(60) if p_value(net, 180, rows, mean=mean, doubt=0.005) <= 0.1]
    assert last - 2 <= lasts[-1] <= last
    assert lasts == list(range(lasts[-1] + 1))


def test_the_doubt_about_the_activity_is_added_to_the_tail_at_its_limit() -> None:
    limit = most_active(180, 2_000, doubt=0.005)
    known = tail(40, 2_000, mean=0.03, activity=limit)
    assert p_value(40, 180, 2_000, mean=0.03, doubt=0.005) == pytest.approx(0.005 + known)


@pytest.mark.parametrize(("net", "moved"), [(-10, 57), (-10, 50), (-9, 30), (-2, 10), (-1, 3), (0, 4)])
def test_no_activity_below_its_limit_has_a_heavier_tail_than_was_counted(net: int, moved: int) -> None:
    limit = most_active(moved, 57, doubt=0.005)
    tails = [tail(net, 57, mean=0.03, activity=float(each)) for each in np.linspace(0.03, limit, 200)]
    assert p_value(net, moved, 57, mean=0.03, doubt=0.005) >= 0.005 + max(tails) - 1e-12


def test_a_sum_near_the_mean_tells_nothing() -> None:
    near = math.floor(1_999 * 0.03)
    assert p_value(near, 180, 2_000, mean=0.03, doubt=0.005) == 1.0
    assert p_value(near - 1, 180, 2_000, mean=0.03, doubt=0.005) < 0.6


def test_where_hardly_anything_differs_only_the_doubt_is_left() -> None:
    assert p_value(3, 3, 2_000, mean=0.03, doubt=0.005) == 0.005
    assert p_value(0, 0, 30, mean=0.17, doubt=0.005) == 0.005
    assert p_value(300, 300, 2_000, mean=0.03, doubt=0.005) == 1.0


def test_the_activity_has_an_exact_limit() -> None:
    for moved, rows in ((0, 100), (5, 100), (180, 2_000)):
        limit = most_active(moved, rows, doubt=0.005)
        below = sum(math.comb(rows, k) * limit**k * (1 - limit) ** (rows - k) for k in range(moved + 1))
        assert below == pytest.approx(0.005, rel=1e-2)
        assert below <= 0.005
    assert most_active(100, 100, doubt=0.005) == 1.0


# --- the walk --------------------------------------------------------------------------------------


def stepwise(logits: Reals, losses: Reals, mean: float) -> float | None:
    """Return the last threshold of the grid before the first that does not pass, one after another."""
    last = None
    for threshold in GRID[(logits.min() - 0.1 < GRID) & (logits.max() + 0.1 > GRID)]:
        steps = np.where(logits < threshold, losses, 0.0)
        if p_value(int(steps.sum()), int(np.abs(steps).sum()), len(steps), mean=mean, doubt=0.005) > 0.1:
            return last
        last = float(threshold)
    return LIMIT


@pytest.mark.usefixtures("only_thresholds")
@pytest.mark.parametrize("gains", list(GAINS))
def test_the_walk_ends_at_the_first_threshold_that_fails(gains: str) -> None:
    chance = np.random.default_rng(4)
    for _ in range(3):
        logits, losses = traffic(chance, 400, gains)
        found = certify_net(logits, losses, loss=0.03, confidence=0.9, seed=0)
        assert found.threshold == stepwise(logits, losses, 0.03)


def test_no_gains_later_on_make_up_for_a_threshold_that_fails() -> None:
    logits = np.arange(2_000) / 1_000
    losses = np.zeros(2_000)
    losses[500:700], losses[700:] = 1.0, -1.0
    found = certify_net(logits, losses, loss=0.03, confidence=0.9, seed=0)
    assert found.threshold is not None
    assert 0.5 < found.threshold < 0.56
    assert certify_net(logits, np.where(losses > 0, 0.0, losses), loss=0.03, confidence=0.9, seed=0).share_mini == 1.0


def test_thresholds_are_fixed_before_any_row_is_seen() -> None:
    logits, losses = traffic(np.random.default_rng(5), 500, "balanced")
    found = certify_net(logits, losses, loss=0.05, confidence=0.9, seed=0)
    assert found.threshold in set(GRID.tolist())
    assert not found.share_mini * 500 % 1
    assert found.share_mini == np.mean(logits < (found.threshold or -np.inf))


def test_rows_at_the_very_end_of_the_scale_go_to_large() -> None:
    found = certify_net(np.repeat([-LIMIT, 0.0, LIMIT], 200), np.zeros(600), loss=0.03, confidence=0.9, seed=0)
    assert found.threshold == LIMIT
    assert found.share_mini == pytest.approx(2 / 3)


@pytest.mark.usefixtures("only_thresholds")
def test_a_graded_loss_counts_in_full_with_its_own_probability() -> None:
    logits, losses = np.arange(1_000) / 1_000, np.tile([0.5, -0.25], 500)  # .125 on average
    found = [certify_net(logits, losses, loss=0.05, confidence=0.9, seed=seed) for seed in range(60)]
    shares = [each.share_mini for each in found]
    assert len(set(shares)) > 20
    assert np.mean([share * 0.125 > 0.05 for share in shares]) <= 0.1 + 2 * math.sqrt(0.09 / 60)
    assert np.mean(shares) > 0.2
    assert all(each.risk == pytest.approx(0.125 * each.share_mini, abs=6e-4) for each in found)


def test_bound_and_activity_lie_above_what_was_seen() -> None:
    logits, losses = traffic(np.random.default_rng(6), 2_000, "balanced")
    strict, loose = (certify_net(logits, losses, loss=loss, confidence=0.9, seed=0) for loss in (0.01, 0.05))
    for found in (strict, loose):
        assert found.threshold is not None
        assert found.bound is not None
        assert found.activity is not None
        assert found.risk < found.bound <= found.loss
        seen = np.where(logits < found.threshold, np.abs(losses), 0.0).mean()
        assert seen < found.activity < seen + 0.03
        again = certify_net(logits, losses, loss=found.bound, confidence=0.9, seed=0)
        assert again.share_mini >= found.share_mini
        less = certify_net(logits, losses, loss=found.bound - 1e-4, confidence=0.9, seed=0)
        assert less.share_mini < found.share_mini
    assert strict.share_mini < loose.share_mini


def test_where_mini_is_better_throughout_everything_goes_to_it() -> None:
    found = certify_net(np.arange(500) / 100, np.full(500, -1.0), loss=0.02, confidence=0.9, seed=0)
    assert (found.threshold, found.share_mini, found.risk, found.activity) == (LIMIT, 1.0, -1.0, 1.0)
    assert found.bound is not None
    assert found.bound < 0.01  # as little as rows that tell nothing can promise: the walk begins with such


# --- refusing --------------------------------------------------------------------------------------


def refused(logits: Reals, losses: Reals, *, loss: float = 0.02) -> Certificate:
    found = certify_net(logits, losses, loss=loss, confidence=0.9, seed=0)
    assert (found.threshold, found.bound, found.activity, found.share_mini) == (None, None, None, 0.0)
    return found


def test_too_few_pairs_are_refused_with_how_many_are_missing() -> None:
    fewest = fewest_pairs_net(loss=0.02, confidence=0.9)
    assert 1.2 * fewest_pairs(loss=0.02, confidence=0.9) < fewest < 1.6 * fewest_pairs(loss=0.02, confidence=0.9)
    assert refused(np.arange(60) / 10, np.zeros(60)).needed == fewest - 60
    refused(np.arange(fewest - 1) / 10, np.zeros(fewest - 1))
    enough = certify_net(np.arange(fewest) / 10, np.zeros(fewest), loss=0.02, confidence=0.9, seed=0)
    assert (enough.threshold, enough.share_mini, enough.needed) == (LIMIT, 1.0, 0)


def test_many_losses_among_the_easiest_rows_ask_for_more_pairs_or_cannot_be_helped() -> None:
    unclear = refused(np.zeros(400), np.repeat([1.0, 0.0], [9, 391]))
    assert unclear.needed is not None
    assert 200 < unclear.needed < 3_000
    assert refused(np.zeros(400), np.repeat([1.0, 0.0], [100, 300])).needed is None


@pytest.mark.usefixtures("only_thresholds")
def test_the_outlook_plans_for_half_the_loss() -> None:
    logits, losses = traffic(np.random.default_rng(7), 2_000, "balanced")
    found = outlook_net(logits, losses, loss=0.02, confidence=0.9)
    assert found is not None
    assert 0.008 < found.risk <= 0.01
    assert 0.1 < found.share_mini < 0.4
    assert 1_500 < found.pairs < 6_000
    likely = [
        certify_net(
            *traffic(np.random.default_rng(seed), found.pairs, "balanced"), loss=0.02, confidence=0.9, seed=seed
        )
        for seed in range(8)
    ]
    assert np.mean([each.share_mini >= 0.8 * found.share_mini for each in likely]) > 0.6
    assert outlook_net(np.zeros(400), np.tile([1.0, 0.0], 200), loss=0.05, confidence=0.9) is None
