"""Tests router/experiments/bandit.py."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from router.experiments.bandit import next_epoch, rewards, reweigh
from router.experiments.folder import Folder
from router.experiments.running import assigner_of
from router.ledger.place import SqlitePlace
from router.quality.fates import fates_of
from tests.router.conftest import config_of
from tests.router.experiments.files import USUAL, experiment_of, plan_of, seen_of

MOVING = f"{USUAL}allocation: thompson\nevery: 60\nfloor: 0.03\n"


def test_the_cheaper_arm_gets_more_and_the_other_no_less_than_the_floor(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, MOVING)
    standing = Folder(tmp_path / "e").start(plan, now=0.0)
    moved = next_epoch(plan.experiment, standing, seen_of(800, cheaper=0.5), at=61.0)
    assert moved.weights == (Decimal("0.03"), Decimal("0.97"))
    assert moved.epochs[-1].why.startswith("cost: usual -")
    assert next_epoch(plan.experiment, moved, seen_of(800), at=100.0) is moved
    fixed = experiment_of()
    assert next_epoch(fixed, standing, seen_of(800), at=1e9) is standing


def test_an_arm_that_is_hardly_tried_is_tried(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, MOVING)
    standing = Folder(tmp_path / "e").start(plan, now=0.0)
    assert next_epoch(plan.experiment, standing, seen_of(0), at=61.0).weights == (Decimal("0.5"), Decimal("0.5"))
    seen = seen_of(800)
    rare = np.flatnonzero((seen.arm == 0) | (np.arange(1_600) > 1_596))
    few = replace(seen, arm=seen.arm[rare], sums={name: values[rare] for name, values in seen.sums.items()})
    assert rewards(plan.experiment, few)[1][1] == np.inf
    assert next_epoch(plan.experiment, standing, few, at=61.0).weights == (Decimal("0.03"), Decimal("0.97"))


def test_each_epoch_draws_anew(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, MOVING)
    first = Folder(tmp_path / "e").start(plan, now=0.0)
    second = next_epoch(plan.experiment, first, seen_of(0), at=61.0)
    one, other = assigner_of(plan, first), assigner_of(plan, second)
    same = sum(one.arm(str(unit)) == other.arm(str(unit)) for unit in range(4_000)) / 4_000
    assert same == pytest.approx(0.5, abs=0.04)


def test_a_ledger_that_is_away_leaves_the_weights(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    plan, folder = plan_of(tmp_path, MOVING), Folder(tmp_path / "e")
    standing = folder.start(plan, now=0.0)
    config = config_of(tmp_path)
    reweigh(folder, SqlitePlace(tmp_path / "none.db"), lambda *at: fates_of(config, *at), plan, standing)
    assert "half keeps its weights" in caplog.text
    assert folder.standing("half") == standing
