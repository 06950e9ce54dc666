"""Prompt -> calibrated score, by one weight a feature.

The weights are a JSON file: arrays in base64, never pickled objects, checked whole before use. The score is
1 / (1 + exp(-(slope * logit + offset))), where logit is what the logistic regression says.
Knows nothing of how they were fitted, and loads numpy alone.

Source: Platt 1999, "Probabilistic Outputs for Support Vector Machines", for slope and offset.
"""

import base64
import binascii
import hashlib
import json
import math
from collections import defaultdict
from dataclasses import dataclass
from operator import mul
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifier.base import Contribution, Prompt, Score, WeightsError
from classifier.features import BUCKETS, NUMBERS, digest, featurise

FORMAT = "tandem-linear-1"
COLUMNS = BUCKETS + len(NUMBERS)


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """What was fitted.

    Attributes:
        name: what they are for, such as "desk".
        version: changes whenever any other field does; part of each score's source.
        values: shape (COLUMNS,), float32, in the order of `classifier.features.names()`.
        intercept: in logits, before calibration.
        slope, offset: calibration of the logit.
        lowest, highest: shape (len(NUMBERS),), float32: range of the numbers when fitted; others are cut to it, so that
            no straight line is drawn out far beyond what was seen.
        threshold: the score from which Large was worth its price on the data they were fitted on.
        fitted_on: rows, seed and measures, for people.
    """

    name: str
    version: str
    values: NDArray[np.float32]
    intercept: float
    slope: float
    offset: float
    lowest: NDArray[np.float32]
    highest: NDArray[np.float32]
    threshold: float
    fitted_on: dict[str, Any]


class LinearClassifier:
    """Scores with one set of weights; safe to share between threads."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self._source = f"linear@{weights.version}"
        of_numbers = (weights.values[BUCKETS:], weights.lowest, weights.highest)
        self._of_numbers = list(zip(*(array.tolist() for array in of_numbers), strict=True))

    @property
    def threshold(self) -> float:
        """Return the threshold that fitting suggested."""
        return self.weights.threshold

    def score(self, prompt: Prompt) -> Score:
        """Return the score of the conversation as a whole; never raises."""
        weights = self.weights
        return Score(logistic(weights.slope * self.decide(prompt) + weights.offset), self._source)

    def explain(self, prompt: Prompt, *, top: int) -> tuple[Contribution, ...]:
        """Return the `top` features that moved the score most; an n-gram is named by its text, in quotes."""
        found = featurise(prompt)
        values = found.values
        values[-len(NUMBERS) :].clip(self.weights.lowest, self.weights.highest, values[-len(NUMBERS) :])
        parts: defaultdict[str, float] = defaultdict(float)
        weights = self.weights.slope * self.weights.values[found.indices] * values
        for text, weight in zip(found.texts(), weights.tolist(), strict=True):
            parts[text] += weight
        strongest = sorted(parts.items(), key=lambda part: (-abs(part[1]), part[0]))[:top]
        return tuple(Contribution(text, weight) for text, weight in strongest if weight)

    def decide(self, prompt: Prompt) -> float:
        """Return the logit before calibration."""
        found = featurise(prompt)
        logit = self.weights.intercept
        for number, (weight, lowest, highest) in zip(found.numbers, self._of_numbers, strict=True):
            logit += weight * min(max(number, lowest), highest)
        starts, scales, start = [], [], 0
        for size, scale in found.runs:
            if size:
                starts.append(start)
                scales.append(scale)
                start += size
        if starts:  # one sum a run, in place of one value a column; `take` would give up the interpreter's lock
            sums: list[float] = np.add.reduceat(self.weights.values[found.hashed], starts).tolist()
            logit += math.fsum(map(mul, sums, scales))
        return logit


def logistic(logit: float) -> float:
    """Return the probability of a logit, also where `exp` would overflow."""
    return 1.0 / (1.0 + math.exp(-max(-700.0, min(700.0, logit))))


def dump(weights: Weights) -> str:
    """Return the text of a weights file; equal weights give equal text."""
    columns = np.flatnonzero(weights.values).astype("<u4")
    arrays = {
        "columns": _packed(columns),
        "values": _packed(weights.values[columns].astype("<f4")),
        "lowest": _packed(weights.lowest.astype("<f4")),
        "highest": _packed(weights.highest.astype("<f4")),
    }
    content = {
        "format": FORMAT,
        "name": weights.name,
        "version": weights.version,
        "features": digest(),
        "buckets": BUCKETS,
        "numbers": NUMBERS,
        "intercept": weights.intercept,
        "slope": weights.slope,
        "offset": weights.offset,
        "threshold": weights.threshold,
        "fitted_on": weights.fitted_on,
        "sha256": _checksum(arrays),
        **arrays,
    }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def load(path: Path) -> LinearClassifier:
    """Return a classifier with the weights of a file.

    Raises:
        WeightsError: the file is missing, damaged, or fitted on other features.
    """
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise WeightsError(f"{path}: weights cannot be read: {reason}; fit them with ./tandem train") from error
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{path}: weights are not JSON; fit them again with ./tandem train") from error
    try:
        return LinearClassifier(_weights(content))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise WeightsError(f"{path}: weights are damaged: {reason}; fit them again with ./tandem train") from error
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error


def _weights(content: dict[str, Any]) -> Weights:
    if content["format"] != FORMAT:
        raise WeightsError(f"format is {content['format']!r}, this code reads {FORMAT}; fit the weights again")
    if content["features"] != digest():
        raise WeightsError("weights were fitted on other features than this code computes; fit them again")
    if content["sha256"] != _checksum(content):
        raise ValueError("the checksum does not match")
    columns = _unpacked(content["columns"], "<u4")
    values = np.zeros(COLUMNS, np.float32)
    if columns.size and int(columns.max()) >= COLUMNS:
        raise ValueError(f"column {columns.max()} does not exist")
    values[columns] = _unpacked(content["values"], "<f4", size=columns.size)
    scalars = [float(content[key]) for key in ("intercept", "slope", "offset", "threshold")]
    ranges = [_unpacked(content[key], "<f4", size=len(NUMBERS)) for key in ("lowest", "highest")]
    if not (
        np.isfinite(values).all() and all(map(math.isfinite, scalars)) and all(np.isfinite(r).all() for r in ranges)
    ):
        raise ValueError("a number is not finite")
    intercept, slope, offset, threshold = scalars
    return Weights(
        name=str(content["name"]),
        version=str(content["version"]),
        values=values,
        intercept=intercept,
        slope=slope,
        offset=offset,
        lowest=ranges[0],
        highest=ranges[1],
        threshold=threshold,
        fitted_on=dict(content["fitted_on"]),
    )


def _checksum(content: dict[str, Any]) -> str:
    """Return a fingerprint of the arrays: one damaged character in base64 would pass unseen."""
    arrays = "\n".join(content[key] for key in ("columns", "values", "lowest", "highest"))
    return hashlib.sha256(arrays.encode()).hexdigest()


def _packed(array: NDArray[Any]) -> str:
    return base64.b64encode(array.tobytes()).decode("ascii")


def _unpacked(text: str, kind: str, *, size: int | None = None) -> NDArray[Any]:
    try:
        array = np.frombuffer(base64.b64decode(text, validate=True), kind)
    except binascii.Error as error:
        raise ValueError("an array is not base64") from error
    if size is not None and array.size != size:
        raise ValueError(f"an array holds {array.size} numbers where {size} belong")
    return array.astype(array.dtype.newbyteorder("="))
