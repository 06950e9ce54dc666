"""Tests classifier/calibrating/promises.py."""

import numpy as np
import pytest

from classifier.base import Prompt, Turn
from classifier.calibrating.guarantee import Count
from classifier.calibrating.maps import Platt
from classifier.calibrating.net import outlook_net
from classifier.calibrating.promises import Aim, Promises, Scored, overlay_of, promise
from classifier.calibrating.recalibration import Kind
from classifier.pairs import Pair, PairsError

LOSSES = (0.01, 0.02, 0.05, 0.1)


def scored(count: int, *, seed: int = 0, group_size: int = 1, graded: bool = False, gains: float = 0.0) -> Scored:
    """Return pairs of two tenants; Mini fails on 3 % of the simple and 35 % of the complex quarter.

    Args:
        gains: share of the pairs on which Large fails and Mini does not.
    """
    chance = np.random.default_rng(seed)
    complex_ = (chance.random(count // group_size) < 0.25).repeat(group_size)
    fails = chance.random(count) < np.where(complex_, 0.35, 0.03)
    weak = np.where(fails, 0.3, 1.0) if graded else np.where(fails, 0.0, 1.0)
    strong = np.where((chance.random(count) < gains) & ~fails, 0.0, 1.0)
    pairs = [
        Pair(Prompt((Turn("user", str(row)),), tenant="ab"[row % 2]), float(one), float(other), str(row // group_size))
        for row, (one, other) in enumerate(zip(strong, weak, strict=True))
    ]
    return Scored(pairs, chance.normal(1.8 * complex_, 1.0), "test@1", "ab" * 32)


def promised(
    rows: Scored,
    *,
    loss: float = 0.02,
    count: Count = "lost",
    kind: Kind = "platt",
    by_tenant: bool = False,
    seed: int = 0,
) -> Promises:
    return promise(rows, Aim(loss, LOSSES, 0.9, count), kind=kind, by_tenant=by_tenant, seed=seed)


def test_each_loss_is_a_promise_of_its_own() -> None:
    found = promised(scored(2_000))
    assert tuple(level.loss for level in found.levels) == LOSSES
    assert found.wanted is found.levels[1]
    thresholds = [found.threshold(level) for level in found.levels]
    assert all(isinstance(threshold, float) for threshold in thresholds)
    assert thresholds == sorted(thresholds)  # type: ignore[type-var]  # none is None
    assert found.outlook is None


def test_a_promise_rests_on_one_row_of_each_group() -> None:
    found = promised(scored(4_000, group_size=4))
    assert {level.pairs for level in found.levels} == {1_000}
    assert found.report is not None
    assert (found.report.rows, found.report.groups) == (4_000, 1_000)


def test_graded_scores_lose_by_the_part_that_lacks() -> None:
    whole, part = (promised(scored(2_000, graded=graded)).wanted for graded in (False, True))
    assert part.share_mini > whole.share_mini


def test_a_net_promise_counts_what_mini_does_better() -> None:
    rows = scored(2_000, gains=0.05)
    lost, net = promised(rows), promised(rows, count="net")
    assert (lost.count, net.count) == ("lost", "net")
    assert net.wanted.share_mini > 1.2 * lost.wanted.share_mini
    assert net.calibration is not None
    held = overlay_of(rows, net.calibration, net, seed=0)
    assert held.count == "net"
    assert all(level.risk < level.bound < level.activity for level in held.levels)
    assert promised(scored(2_000), count="net").wanted.share_mini <= promised(scored(2_000)).wanted.share_mini


def test_a_refused_net_promise_has_an_outlook_of_its_own() -> None:
    rows = scored(150, gains=0.05, seed=1)
    found = promised(rows, count="net")
    assert (found.wanted.threshold, found.wanted.needed) == (None, 18)
    signed = np.array([pair.strong_score - pair.weak_score for pair in rows.pairs])
    assert found.outlook is not None
    assert found.outlook == outlook_net(rows.logits, signed, loss=0.02, confidence=0.9)


def test_too_few_pairs_are_told_how_many_are_missing_for_both_needs() -> None:
    counted: list[tuple[int, int, Count]] = [(60, 54, "lost"), (99, 15, "lost"), (60, 108, "net")]
    for rows, needed, count in counted:
        found = promised(scored(rows), count=count)
        assert found.count == count
        assert (found.wanted.threshold, found.wanted.needed, found.levels) == (None, needed, ())
        assert (found.calibration, found.report, found.outlook) == (None, None, None)
    assert promised(scored(60), loss=0.1).wanted.needed == 40


def test_a_hundred_pairs_calibrate_but_promise_nothing_strict() -> None:
    found = promised(scored(110, seed=3))
    assert found.calibration is not None
    assert found.wanted.threshold is None
    assert found.wanted.needed == 4
    assert found.threshold(found.wanted) is None


def test_the_file_holds_the_certified_levels_only_in_logits() -> None:
    rows = scored(200, seed=5)
    found = promised(rows)
    assert found.calibration is not None
    held = overlay_of(rows, found.calibration, found, seed=7)
    certified = [level for level in found.levels if level.threshold is not None]
    assert 0 < len(certified) < len(LOSSES)
    assert [level.logit for level in held.levels] == [level.threshold for level in certified]
    assert (held.source, held.weights, held.fitted_on["seed"]) == ("test@1", "ab" * 32, 7)
    assert held.fitted_on["rows"] == 200
    assert held.count == "lost"
    assert all(level.activity == level.bound for level in held.levels)
    assert held.threshold(held.levels[-1]) == found.threshold(certified[-1])


def test_the_threshold_does_not_hang_on_the_calibration() -> None:
    rows = scored(1_000)
    chosen: list[tuple[Kind, bool]] = [("platt", False), ("beta", False), ("isotonic", False), ("platt", True)]
    kinds = [promised(rows, kind=kind, by_tenant=by_tenant) for kind, by_tenant in chosen]
    assert len({found.wanted.threshold for found in kinds}) == 1
    assert len({found.threshold(found.wanted) for found in kinds}) == 3  # tenants stand beside the pooled one


def test_tenants_are_calibrated_where_they_are_told_apart() -> None:
    together, apart = promised(scored(600)), promised(scored(600), by_tenant=True)
    assert together.calibration is not None
    assert apart.calibration is not None
    assert isinstance(together.calibration.pooled, Platt)
    assert (set(together.calibration.tenants), set(apart.calibration.tenants)) == (set(), {"a", "b"})


def test_one_class_only_is_refused() -> None:
    rows = scored(400)
    pairs = [Pair(pair.prompt, 1.0, 1.0, pair.group) for pair in rows.pairs]
    with pytest.raises(PairsError, match="one class only"):
        promised(Scored(pairs, rows.logits, rows.source, rows.weights))
