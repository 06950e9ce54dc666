"""Tests classifier/measures.py."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifier.measures import FIGURES, RECOVERED, Outcomes, Reals, apgr, curve, figures, rank

# Six rows, by hand. Gains are 1, 0, 1, -1, 1, 0, so that PGR is 0, .5, .5, .5, 1, 1 at 0, 1, 2, 4, 5, 6 calls of six.
SCORES = np.array([0.9, 0.8, 0.7, 0.7, 0.3, 0.1])
STRONG = [1, 1, 1, 0, 1, 0]
WEAK = [0, 1, 0, 1, 0, 0]
BY_HAND = {
    "apgr": 3.5 / 6,  # trapezoids of .25, .5, 1 (two calls wide), .75 and 1 sixths
    "apgr_11": 3.5 / 6,  # its cuts fall on the same points
    "cpt50": 1 / 6,  # though PGR is .5 until the fourth call
    "cpt80": 4.6 / 6,
    "cpt95": 4.9 / 6,
    "auroc_needed": 5.5 / 9,  # rows 1, 3, 5 against 2, 4, 6: 3 won, 1 won and a tie, 1 won
    "auroc_weak_fails": 2.5 / 8,  # rows 1, 3, 5, 6 against 2, 4: 2 won, a tie, none, none
    "brier": (0.01 + 0.64 + 0.09 + 0.49 + 0.49 + 0.81) / 6,
    "ece": (0.1 + 0.8 + (0.7 - 0.3) + 0.7 + 0.9) / 6,  # bins of .9, .8, .7, .3, .1
}


def outcomes(strong: list[int] | Reals, weak: list[int] | Reals) -> Outcomes:
    """Return outcomes of rows that are all about another question."""
    return Outcomes.of(np.array(strong, float), np.array(weak, float), [str(at) for at in range(len(strong))])


def measured(scores: Reals, found: Outcomes) -> dict[str, float]:
    """Return the figures of unweighted rows."""
    values = figures(rank(scores, found), np.ones((1, found.group_count)))[0].tolist()
    return dict(zip(FIGURES, values, strict=True))


def drawn(seed: int, rows: int, *, levels: int) -> tuple[Reals, Outcomes]:
    """Return scores of so many levels and outcomes that they tell something about; rows share groups."""
    rng = np.random.default_rng(seed)
    weak = rng.choice([0.0, 0.25, 0.5, 1.0], rows)
    strong = np.maximum(rng.choice([0.0, 0.5, 1.0, 1.0], rows), weak * rng.integers(0, 2, rows))
    strong[0], weak[0] = 1.0, 0.0
    scores = np.floor((0.6 * rng.random(rows) + 0.4 * (1 - weak)) * levels) / levels
    return scores, Outcomes.of(strong, weak, [f"g{at}" for at in rng.integers(0, rows // 2 + 1, rows)])


cases = st.tuples(st.integers(0, 10_000), st.integers(2, 60), st.sampled_from([2, 5, 1000])).map(
    lambda case: drawn(case[0], case[1], levels=case[2])
)


def has_gap(found: Outcomes) -> bool:
    return bool(found.gain.sum() > 1e-6)


@pytest.mark.parametrize("figure", FIGURES)
def test_six_rows_measured_by_hand(figure: str) -> None:
    assert measured(SCORES, outcomes(STRONG, WEAK))[figure] == pytest.approx(BY_HAND[figure], abs=1e-12)


def test_the_order_of_the_rows_does_not_matter() -> None:
    for order in itertools.islice(itertools.permutations(range(6)), 0, 720, 37):
        rows = list(order)
        found = measured(SCORES[rows], outcomes(np.array(STRONG)[rows], np.array(WEAK)[rows]))
        assert found == pytest.approx(BY_HAND)


def test_ties_count_as_the_mean_over_all_their_orders() -> None:
    gains = np.array([1, 0, 1, -1, 1])
    tied = measured(np.array([0.9, 0.5, 0.5, 0.5, 0.1]), outcomes(np.maximum(gains, 0), np.maximum(-gains, 0)))
    areas = []
    for middle in itertools.permutations((1, 2, 3)):
        heights = np.concatenate(([0], gains[[0, *middle, 4]].cumsum())) / gains.sum()
        areas.append(np.trapezoid(heights, dx=1 / 5))
    assert tied["apgr"] == pytest.approx(np.mean(areas), abs=1e-12)


def test_a_constant_score_is_exactly_half_and_its_curve_the_diagonal() -> None:
    _, found = drawn(1, 5000, levels=5)
    values = measured(np.full(5000, 0.3), found)
    halves = ("apgr", "apgr_11", "cpt50", "auroc_needed", "auroc_weak_fails")
    assert [values[figure] for figure in halves] == pytest.approx([0.5] * 5, abs=1e-12)
    assert (values["cpt80"], values["cpt95"]) == pytest.approx((0.8, 0.95))


def test_the_oracle_by_its_definition() -> None:
    found = outcomes([1, 1, 1, 0], [0, 0, 1, 1])  # gains of 1, 1, 0 and -1: PGR rises to 2 and falls back to 1
    values = measured(found.gain, found)
    assert values["apgr"] == pytest.approx((0.5 + 1.5 + 2 + 1.5) / 4)
    assert values["cpt50"] == pytest.approx(1 / 8)
    assert values["auroc_needed"] == 1.0


@given(cases)
def test_no_score_beats_the_oracle(case: tuple[Reals, Outcomes]) -> None:
    scores, found = case
    if has_gap(found):
        best, own = measured(found.gain, found), measured(scores, found)
        assert best["apgr"] >= own["apgr"] - 1e-9
        assert all(best[goal] <= own[goal] + 1e-9 for goal in RECOVERED)


@given(cases)
def test_only_the_order_of_the_scores_counts(case: tuple[Reals, Outcomes]) -> None:
    scores, found = case
    own, other = measured(scores, found), measured(np.exp(3 * scores) - 7, found)
    for figure in FIGURES[:-2]:
        assert other[figure] == pytest.approx(own[figure], abs=1e-9, nan_ok=True)


@given(cases)
def test_the_reversed_score_has_what_is_left(case: tuple[Reals, Outcomes]) -> None:
    scores, found = case
    own, reverse = measured(scores, found), measured(-scores, found)
    for figure in ("apgr", "auroc_needed", "auroc_weak_fails"):
        assert reverse[figure] == pytest.approx(1 - own[figure], abs=1e-6, nan_ok=True)


@given(cases)
def test_more_quality_takes_more_calls(case: tuple[Reals, Outcomes]) -> None:
    values = measured(*case)
    calls = [values[goal] for goal in RECOVERED]
    assert all(map(math.isnan, calls)) or 0 < calls[0] <= calls[1] <= calls[2] <= 1


@given(cases)
def test_calls_at_a_goal_are_where_the_curve_first_reaches_it(case: tuple[Reals, Outcomes]) -> None:
    scores, found = case
    line = curve(scores, found)
    if line is None:
        assert not has_gap(found)
        return
    values = measured(scores, found)
    for name, goal in RECOVERED.items():
        assert np.interp(values[name], *line) == pytest.approx(goal, abs=1e-6)
        assert all(pgr < goal + 1e-6 for share, pgr in zip(*line, strict=True) if share < values[name] - 1e-9)
    assert values["apgr"] == pytest.approx(np.trapezoid(line[1], line[0]))
    assert (line[0][0], line[1][0], line[0][-1], line[1][-1]) == (0, 0, 1, 1)


@given(cases)
def test_the_auroc_is_the_share_of_pairs_in_the_right_order(case: tuple[Reals, Outcomes]) -> None:
    scores, found = case
    for figure, positive in (("auroc_needed", found.gain > 0), ("auroc_weak_fails", found.weak < 0.5)):
        above = scores[positive][:, None] - scores[~positive][None, :]
        expected = ((above > 0) + 0.5 * (above == 0)).mean() if above.size else float("nan")
        assert measured(scores, found)[figure] == pytest.approx(expected, nan_ok=True)


@given(cases, st.integers(0, 1000))
def test_a_weight_of_a_group_means_so_many_copies_of_its_rows(case: tuple[Reals, Outcomes], seed: int) -> None:
    scores, found = case
    counts = np.random.default_rng(seed).integers(0, 4, (3, found.group_count)).astype(float)
    counts[:, 0] += 1
    together = figures(rank(scores, found), counts)
    for row, weights in zip(together, counts, strict=True):
        copies = np.repeat(np.arange(len(scores)), weights[found.groups].astype(int))
        copied = Outcomes(found.strong[copies], found.weak[copies], found.groups[copies])
        alone = figures(rank(scores[copies], copied), np.ones((1, found.group_count)))[0]
        assert row.tolist() == pytest.approx(alone.tolist(), abs=1e-6, nan_ok=True)


def eleven_points(scores: Reals, found: Outcomes) -> float:
    """Return RouteLLM's APGR: a threshold at each tenth, rows at or above it to Large, above the highest none."""
    cuts = np.unique(np.quantile(scores, np.linspace(0, 1, 11)))
    routed = [scores >= cut for cut in cuts[:-1]] + [scores > cuts[-1]]
    share = [one.mean() for one in routed][::-1]
    quality = np.array([np.where(one, found.strong, found.weak).mean() for one in routed][::-1])
    weak, strong = found.weak.mean(), found.strong.mean()
    return float(np.trapezoid((quality - weak) / (strong - weak), share))


@pytest.mark.parametrize("rows", [13, 72, 237, 1319])
@pytest.mark.parametrize("levels", [7, 100_000])
def test_the_eleven_points_are_those_of_routellm(rows: int, levels: int) -> None:
    scores, found = drawn(rows, rows, levels=levels)
    scores[np.argmax(scores)] += 0.1  # no tie at the highest score, whose step RouteLLM drops
    assert measured(scores, found)["apgr_11"] == pytest.approx(eleven_points(scores, found), abs=1e-12)


def test_a_tie_at_the_highest_score_keeps_its_step_in_the_eleven_points() -> None:
    found = outcomes([1, 1, 1, 1], [0, 1, 0, 1])
    assert measured(np.array([0.9, 0.9, 0.9, 0.1]), found)["apgr_11"] == pytest.approx(0.5 * 0.75 + 0.25)


def test_where_large_is_no_better_nothing_can_be_recovered() -> None:
    for strong in ([0, 1, 0, 1], [0, 0, 0, 1]):
        found = outcomes(strong, [1, 0, 1, 0] if sum(strong) == 2 else [1, 1, 0, 0])
        values = measured(np.array([0.4, 0.3, 0.2, 0.1]), found)
        assert all(math.isnan(values[figure]) for figure in ("apgr", "apgr_11", *RECOVERED))
        assert not math.isnan(values["auroc_needed"])
        assert math.isnan(apgr(np.array([0.4, 0.3, 0.2, 0.1]), found))
        assert curve(np.array([0.4, 0.3, 0.2, 0.1]), found) is None


def test_with_one_class_there_is_no_auroc() -> None:
    values = measured(np.array([0.2, 0.6]), outcomes([1, 1], [0, 0]))
    assert math.isnan(values["auroc_weak_fails"])
    assert math.isnan(values["auroc_needed"])
    assert values["apgr"] == 0.5


@pytest.mark.parametrize("scores", [[-0.1, 0.5], [0.5, 1.1]])
def test_a_score_beyond_0_and_1_is_no_probability(scores: list[float]) -> None:
    values = measured(np.array(scores), outcomes([1, 1], [0, 1]))
    assert math.isnan(values["brier"])
    assert math.isnan(values["ece"])
    assert not math.isnan(values["apgr"])


def test_scores_of_0_and_1_lie_in_the_outer_bins() -> None:
    assert measured(np.array([1.0, 0.0, 0.95, 0.05]), outcomes([1] * 4, [1, 1, 0, 0]))["ece"] == pytest.approx(0.475)


def test_one_row_has_figures_too() -> None:
    assert measured(np.array([0.25]), outcomes([1], [0]))["apgr"] == 0.5


def test_a_slice_counts_its_own_groups_only() -> None:
    found = Outcomes.of([1, 1, 0], [0, 1, 0], ["c", "a", "c"])
    assert found.group_count == 2
    part = found.take(np.array([False, True, False]))
    assert (part.group_count, part.strong.tolist(), part.groups.tolist()) == (1, [1.0], [0])
