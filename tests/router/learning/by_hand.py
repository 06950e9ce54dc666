"""Real weights, written by hand: what asks for a sum is too much for Mini."""

from pathlib import Path

import numpy as np

from classifier.base import Prompt, Turn
from classifier.calibrating.maps import Platt
from classifier.features import NUMBERS, featurise
from classifier.linear import COLUMNS, Weights, dump

HARD, EASY = "add up and compare the totals", "where is my order"


def write_weights(folder: Path, version: str, *, threshold: float = 0.5, sign: int = 1) -> Path:
    """Write a weights' file of a version and its card; `sign` -1 takes the hard for the easy."""
    values = np.zeros(COLUMNS, np.float32)
    for text, weight in ((HARD, 1.0), (EASY, -1.0)):
        found = featurise(Prompt((Turn("user", text),)))
        values[found.indices[: -len(NUMBERS)]] = weight * sign
    bound = np.zeros(len(NUMBERS), np.float32)
    weights = Weights(
        name="hand",
        version=version,
        values=values,
        intercept=0.0,
        calibration=Platt(slope=1.0, offset=0.0),
        lowest=bound,
        highest=bound,
        threshold=threshold,
        fitted_on={},
    )
    path = folder / f"weights-{version}-{threshold}-{sign}.json"
    path.write_text(dump(weights))
    path.with_suffix(".md").write_text(f"# card of {version}\n")
    return path
