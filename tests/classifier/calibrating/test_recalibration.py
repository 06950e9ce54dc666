"""Tests classifier/calibrating/recalibration.py."""

import numpy as np
import pytest

from classifier.calibrating.calibration import fit_platt
from classifier.calibrating.maps import Beta, Isotonic, Platt
from classifier.calibrating.recalibration import FOLDS, Labelled, calibrate, ece, folds_of
from classifier.pairs import PairsError


def labelled(count: int, *, seed: int, shape: str = "line", group_size: int = 1) -> Labelled:
    """Return rows whose scores are far too sure; `shape` is of what would calibrate them."""
    chance = np.random.default_rng(seed)
    logits = chance.normal(0.5, 3.0, count // group_size).repeat(group_size)
    truth = {
        "line": 0.4 * logits - 0.6,
        "steps": np.where(logits < -1, -2.5, np.where(logits < 2, 0.0, 2.5)),
    }[shape]
    target = chance.random(count // group_size).repeat(group_size) < 1 / (1 + np.exp(-truth))
    return Labelled(logits, target, [str(row // group_size) for row in range(count)])


@pytest.mark.parametrize(("count", "words"), [(0, "add 100"), (60, "add 40"), (99, "got 99; add 1")])
def test_too_few_rows_are_refused_with_how_many_are_missing(count: int, words: str) -> None:
    with pytest.raises(PairsError, match=words):
        calibrate(labelled(count, seed=0), kind="auto", seed=0)


def test_one_class_only_is_refused() -> None:
    rows = labelled(200, seed=0)
    for target in (np.zeros(200, bool), np.ones(200, bool)):
        with pytest.raises(PairsError, match="one class only"):
            calibrate(Labelled(rows.logits, target, rows.groups), kind="auto", seed=0)


def test_a_hundred_rows_are_enough_for_every_kind() -> None:
    for kind, expected in (("platt", Platt), ("beta", Beta), ("isotonic", Isotonic)):
        found, report = calibrate(labelled(100, seed=1), kind=kind, seed=0)  # type: ignore[arg-type]  # all are kinds
        assert type(found.pooled) is expected
        assert report.kind == kind
        assert set(report.log_losses) == {"none", kind}


@pytest.mark.parametrize(("shape", "kind"), [("line", "platt"), ("steps", "isotonic")])
def test_auto_takes_the_simplest_kind_that_is_as_good(shape: str, kind: str) -> None:
    _, report = calibrate(labelled(3_000, seed=2, shape=shape), kind="auto", seed=0)
    assert report.kind == kind
    assert set(report.log_losses) == {"none", "platt", "beta", "isotonic"}
    assert report.log_losses[kind] < report.log_losses["none"]


def test_the_report_shows_the_error_before_after_and_by_chance() -> None:
    _, report = calibrate(labelled(2_000, seed=3), kind="auto", seed=0)
    assert report.ece_before > 0.15
    assert report.ece_after < 0.04
    assert 0.005 < report.ece_chance < 0.03
    assert (report.rows, report.groups) == (2_000, 2_000)


def test_two_hundred_labels_calibrate_what_comes_later() -> None:
    later = labelled(20_000, seed=99)
    errors = []
    for seed in range(20):
        found, _ = calibrate(labelled(200, seed=seed), kind="auto", seed=0)
        errors.append(ece(found.pooled.probabilities(later.logits), later.target))
    assert np.mean(errors) <= 0.04


def test_every_row_is_measured_by_a_map_that_had_not_seen_its_group() -> None:
    rows = labelled(400, seed=4, group_size=2)
    _, report = calibrate(rows, kind="platt", seed=0)
    folds, chances = folds_of(rows.groups, rows.target, seed=0), np.empty(400)
    for fold in range(FOLDS):
        unseen = folds == fold
        chances[unseen] = fit_platt(rows.logits[~unseen], rows.target[~unseen]).probabilities(rows.logits[unseen])
    assert report.ece_after == pytest.approx(ece(chances, rows.target), abs=1e-12)
    assert report.log_losses["platt"] == pytest.approx(-np.log(np.where(rows.target, chances, 1 - chances)).mean())


def test_rows_of_a_group_share_a_fold_and_each_fold_has_its_part() -> None:
    rows = labelled(1_000, seed=5, group_size=4)
    folds = folds_of(rows.groups, rows.target, seed=0)
    assert (folds.reshape(-1, 4) == folds[::4, None]).all()
    shares = [rows.target[folds == fold].mean() for fold in range(FOLDS)]
    assert max(shares) - min(shares) < 0.05
    assert set(np.bincount(folds)) == {200}


def test_equal_arguments_give_an_equal_calibration() -> None:
    rows = labelled(300, seed=6, shape="steps")
    assert calibrate(rows, kind="isotonic", seed=3) == calibrate(rows, kind="isotonic", seed=3)


def test_tenants_are_told_apart_where_they_are_named() -> None:
    chance = np.random.default_rng(7)
    names = ["a", "b"] * 1_000
    logits = chance.normal(0, 1.5, 2_000)
    target = chance.random(2_000) < 1 / (1 + np.exp(-logits - np.tile([1.5, -1.5], 1_000)))
    groups = [str(row) for row in range(2_000)]
    together, pooled = calibrate(Labelled(logits, target, groups), kind="platt", seed=0)
    apart, report = calibrate(Labelled(logits, target, groups, names), kind="platt", seed=0)
    assert together.tenants == {}
    assert apart.probability(0.0, "a") > 0.75
    assert apart.probability(0.0, "b") < 0.25
    assert report.log_losses["platt"] < pooled.log_losses["platt"] - 0.1


def test_the_calibration_error_is_that_of_the_definition() -> None:
    chances, target = np.array([0.05, 0.05, 0.95, 1.0]), np.array([False, True, True, True])
    assert ece(chances, target) == pytest.approx((abs(0.1 - 1) + abs(1.95 - 2)) / 4)
    assert ece(np.full(4, 0.75), target) == 0.0


def test_rows_of_too_few_groups_are_refused() -> None:
    logits = np.linspace(-2, 2, 200)
    with pytest.raises(PairsError, match="4 groups; calibration needs at least 5"):
        calibrate(Labelled(logits, logits > 0, [str(row % 4) for row in range(200)]), kind="auto", seed=0)
