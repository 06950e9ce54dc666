"""Tests classifier/evaluation.py."""

import time

import numpy as np
import pytest

from classifier.evaluation import REPORTED, Estimate, baselines, evaluate
from classifier.measures import Outcomes, Reals


def drawn(rows: int = 400, *, groups: int = 300, seed: int = 3) -> tuple[Reals, Outcomes]:
    """Return scores that tell something, and outcomes of rows that share some groups."""
    rng = np.random.default_rng(seed)
    hard = rng.random(rows)
    weak, strong = (rng.random(rows) > hard).astype(float), (rng.random(rows) > 0.3 * hard).astype(float)
    return np.clip(hard + 0.2 * rng.standard_normal(rows), 0, 1), Outcomes.of(
        strong, weak, [f"g{at}" for at in rng.integers(0, groups, rows)]
    )


def held(found: Estimate, value: float) -> bool:
    """Tell whether the interval holds the value."""
    return found.low is not None and found.high is not None and found.low <= value <= found.high


def test_every_score_has_every_figure_with_an_interval_around_it() -> None:
    scores, drawn_outcomes = drawn()
    weak = drawn_outcomes.weak
    outcomes = Outcomes(np.maximum(drawn_outcomes.strong, weak), weak, drawn_outcomes.groups)
    report = evaluate({"router": scores, **baselines(outcomes, scores)}, outcomes, resamples=100)
    assert set(report) == {"router", "length", "constant", "oracle", "random", "all_large", "all_mini"}
    for name in ("router", "length", "constant", "oracle", "random"):
        assert tuple(report[name]) == REPORTED
        for figure, found in report[name].items():
            if name in {"length", "oracle"} and figure in {"brier", "ece"}:
                assert found == Estimate(None, None, None, "the score is no probability")
            else:
                assert found.value is not None
                assert held(found, found.value), (name, figure, found)
    apgr = report["router"]["apgr"]
    assert apgr.low is not None
    assert apgr.low > 0.55
    assert apgr.high is not None
    assert apgr.high - apgr.low > 0.02


def test_chance_and_a_constant_are_worth_one_half() -> None:
    scores, outcomes = drawn()
    for seed in range(5):
        report = evaluate(baselines(outcomes, scores), outcomes, resamples=60, seed=seed)
        assert held(report["random"]["apgr"], 0.5)
        assert held(report["random"]["auroc_needed"], 0.5)
        constant = report["constant"]["apgr"]
        assert [constant.value, constant.low, constant.high] == pytest.approx([0.5] * 3, abs=1e-12)


def test_the_interval_of_chance_is_how_far_random_scores_reach() -> None:
    _, outcomes = drawn(72, groups=72)
    found = evaluate({}, outcomes, resamples=400)["random"]["apgr"]
    rng = np.random.default_rng(9)
    values = [evaluate({"r": rng.random(72)}, outcomes, resamples=0)["r"]["apgr"].value for _ in range(400)]
    spread = np.std([value for value in values if value is not None])
    assert found.low is not None
    assert found.high is not None
    assert (found.high - found.low) / 3.92 == pytest.approx(spread, rel=0.2)


def test_the_constant_says_how_often_mini_fails() -> None:
    scores, outcomes = drawn()
    report = evaluate(baselines(outcomes, scores), outcomes, resamples=20)
    share = float((outcomes.weak < 0.5).mean())
    assert report["constant"]["brier"].value == pytest.approx(share * (1 - share))
    assert report["constant"]["ece"].value == pytest.approx(0, abs=1e-12)


def test_the_saving_is_the_calls_not_made_and_their_price() -> None:
    scores, outcomes = drawn()
    found = evaluate({"router": scores}, outcomes, resamples=50, large_cost_ratio=4.0)["router"]
    calls, saved, cost = (found[figure] for figure in ("cpt95", "saved_at_95", "cost_saved_at_95"))
    assert None not in (calls.value, calls.low, calls.high)
    assert saved.value == pytest.approx(1 - (calls.value or 0))
    assert (saved.low, saved.high) == pytest.approx((1 - (calls.high or 0), 1 - (calls.low or 0)))
    assert cost.value == pytest.approx((saved.value or 0) * 0.75)


def test_the_quality_of_either_model_alone_stands_beside() -> None:
    scores, outcomes = drawn()
    report = evaluate({"router": scores}, outcomes, resamples=50)
    assert report["all_large"]["quality"].value == pytest.approx(outcomes.strong.mean())
    assert report["all_mini"]["quality"].value == pytest.approx(outcomes.weak.mean())
    assert held(report["all_mini"]["quality"], float(outcomes.weak.mean()))


def test_equal_seeds_give_equal_reports_and_others_do_not() -> None:
    scores, outcomes = drawn()
    first, again, other = (evaluate({"router": scores}, outcomes, resamples=30, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first["router"]["apgr"] != other["router"]["apgr"]
    assert first["router"]["apgr"].value == other["router"]["apgr"].value


def test_copies_of_a_question_make_no_interval_narrower() -> None:
    scores, outcomes = drawn(groups=10**6)
    copies = np.repeat(np.arange(len(scores)), 4)
    copied = Outcomes(outcomes.strong[copies], outcomes.weak[copies], outcomes.groups[copies])
    once = evaluate({"router": scores}, outcomes, resamples=50)["router"]
    often = evaluate({"router": scores[copies]}, copied, resamples=50)["router"]
    for figure in ("apgr", "auroc_needed", "brier", "ece"):
        assert often[figure].low == pytest.approx(once[figure].low)
        assert often[figure].high == pytest.approx(once[figure].high)


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    hits = 0
    for seed in range(40):
        scores, outcomes = drawn(300, groups=10**6, seed=1000 + seed)
        hits += held(evaluate({"router": scores}, outcomes, resamples=80)["router"]["auroc_weak_fails"], TRUE_AUROC)
    assert hits >= 33


TRUE_AUROC = 0.7766  # of `drawn`: mean over 40 draws of 100,000 rows


def test_where_something_is_not_defined_the_reason_is_given() -> None:
    scores, outcomes = drawn()
    even = Outcomes(outcomes.weak, outcomes.weak, outcomes.groups)
    found = evaluate({"router": scores}, even, resamples=20)["router"]
    assert found["apgr"].value is None
    assert "is not above mean weak_score" in found["apgr"].reason
    assert found["cost_saved_at_95"].value is None
    assert found["auroc_needed"] == Estimate(None, None, None, "one class only: Large is better on no row")
    assert found["auroc_weak_fails"].value is not None
    failing = Outcomes(np.ones(400), np.zeros(400), outcomes.groups)
    found = evaluate({"router": scores}, failing, resamples=20)["router"]
    assert found["auroc_needed"].reason == "one class only: Large is better on every row"
    assert found["auroc_weak_fails"].reason == "one class only: Mini fails on every row"


def test_few_groups_and_no_resamples_give_values_without_intervals() -> None:
    scores, outcomes = drawn(40, groups=4)
    found = evaluate({"router": scores}, outcomes, resamples=20)
    assert found["router"]["apgr"].value is not None
    assert found["router"]["apgr"].low is None
    assert found["router"]["apgr"].reason == "too few groups: 4; an interval needs 5"
    assert found["all_large"]["quality"].reason == "too few groups: 4; an interval needs 5"
    scores, outcomes = drawn(40)
    assert evaluate({"r": scores}, outcomes, resamples=0)["r"]["apgr"].reason == "no resamples were asked for"


def test_a_gap_that_comes_and_goes_with_the_rows_gives_no_interval() -> None:
    strong, weak = np.array([1.0, 1, 0, 0, 0, 1, 0, 1]), np.array([0.0, 0, 1, 0, 0, 1, 0, 1])
    outcomes = Outcomes.of(strong, weak, list("abcdefgh"))
    found = evaluate({"r": np.linspace(0, 1, 8)}, outcomes, resamples=200)["r"]["apgr"]
    assert found.value is not None
    assert (found.low, found.high) == (None, None)
    assert "of 200 resamples" in found.reason


def test_figures_are_written_for_people() -> None:
    assert (Estimate(0.5, 0.25, 0.75).words(), Estimate(0.5, 0.25, 0.75).interval_words()) == (
        "0.500",
        "[0.250, 0.750]",
    )
    assert (Estimate(None, None, None).words(), Estimate(0.5, None, None).interval_words()) == ("-", "")


def test_many_rows_are_resampled_quickly() -> None:
    scores, outcomes = drawn(46_000, groups=15_000)
    begun = time.process_time()
    evaluate({"router": scores}, outcomes, resamples=20)
    assert time.process_time() - begun < 2.0  # so that 500 take less than 50 s on a slow machine; 0.15 s here
