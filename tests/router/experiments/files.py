"""Experiment files, and what units brought, for tests; needs no ledger."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from router.experiments.definition import Experiment
from router.experiments.overrides import Plan
from router.experiments.reading import read_experiment
from router.ledger.experiments import Exposed
from tests.router.conftest import config_of

Reals = NDArray[np.float64]

USUAL = """\
id: half
unit: user
arms:
  usual: {weight: 0.5}
  lower: {weight: 0.5, threshold: 0.3}
complex_from: 0.6
margin: 0.02
"""


def plan_of(folder: Path, text: str = USUAL, env: Mapping[str, str] | None = None, **config: object) -> Plan:
    """Return the plan of a file with this text."""
    path = folder / "half.yaml"
    path.write_text(text)
    return read_experiment(path, config_of(folder, **config), env or {})


def experiment_of(**more: object) -> Experiment:
    """Return a definition; `more` replaces its parts."""
    parts: dict[str, object] = {
        "id": "half",
        "unit": "user",
        "arms": {"usual": {"weight": 0.5}, "lower": {"weight": 0.5, "threshold": 0.3}},
        "complex_from": 0.6,
        "margin": 0.05,
    }
    return Experiment.model_validate({**parts, **more})


def seen_of(units: int, *, cheaper: float = 0.0, better: float = 0.0, seed: int = 0) -> Exposed:
    """Return what so many units of each of two arms brought; the second one differs by what is said."""
    chance = np.random.default_rng(seed)
    arm = np.repeat(np.array([0, 1], np.intp), units)
    requests = 1.0 + chance.poisson(2.0, 2 * units)
    cost = 1e6 * requests * chance.lognormal(0, 0.8, 2 * units) * np.where(arm, 1 - cheaper, 1.0)
    resolved = (chance.random(2 * units) < 0.85 + better * arm).astype(float)
    nothing, ones = np.zeros(2 * units), np.ones(2 * units)
    sums = {
        "requests": requests, "answered": requests, "failed": nothing, "cost": cost, "large_n": nothing,
        "assessed": requests, "repetitive": nothing, "refused": nothing, "empty": nothing, "truncated": nothing,
        "overhead": 0.001 * requests, "timed": requests, "conversations": ones, "resolved": resolved,
    }  # fmt: skip
    rows = np.repeat(np.arange(2 * units), 3)
    overheads = 0.001 * chance.lognormal(0, 0.3, 6 * units)
    return Exposed(("usual", "lower"), arm, sums, overheads=overheads, overhead_rows=rows)
