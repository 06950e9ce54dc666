"""Prompt -> calibrated score, by one weight a feature.

The weights are a JSON file: arrays in base64, never pickled objects, checked whole before use. What they say is a
logit that only ranks; a map that was fitted beside them turns it into a probability.
Knows nothing of how they were fitted, and loads numpy alone.
"""

import base64
import binascii
import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from operator import mul
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from classifier.base import Contribution, Prompt, Score, WeightsError
from classifier.calibrating.maps import Beta, Isotonic, Platt
from classifier.features import BUCKETS, NUMBERS, Features, digest, featurise
from classifier.openings import mark_of
from classifier.pairs import marks_of
from classifier.regular_files import read_regular

FORMAT = "tandem-linear-2"
COLUMNS = BUCKETS + len(NUMBERS)
_NEAR = 0.25  # logits
_OF_OPENINGS = ("openings", "opening_sizes", "opening_columns", "opening_values")


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """What was fitted.

    Attributes:
        name: what they are for, such as "desk".
        version: changes whenever any other field does; part of each score's source.
        values: shape (COLUMNS,), float32, in the order of `classifier.features.names()`; each is one that float16 has,
            too, which is what a file holds.
        intercept: in logits, before calibration.
        calibration: logit -> probability.
        lowest, highest: shape (len(NUMBERS),), float32: range of the numbers when fitted; others are cut to it, so that
            no straight line is drawn out far beyond what was seen.
        threshold: the score from which Large was worth its price on the data they were fitted on.
        fitted_on: rows, seed and measures, for people.
        groups: marks of the groups that they were fitted on (`classifier.pairs.marks_of`), distinct.
        openings: by mark of how a prompt begins (`classifier.openings.mark_of`), what is added to the values of words
            there; shape (BUCKETS,), float32, as float16 has them.
    """

    name: str
    version: str
    values: NDArray[np.float32]
    intercept: float
    calibration: Platt | Beta | Isotonic
    lowest: NDArray[np.float32]
    highest: NDArray[np.float32]
    threshold: float
    fitted_on: dict[str, Any]
    groups: NDArray[np.uint32] = field(default_factory=lambda: np.empty(0, np.uint32))
    openings: Mapping[int, NDArray[np.float32]] = field(default_factory=dict)


class LinearClassifier:
    """Scores with one set of weights; safe to share between threads."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self._source = f"linear@{weights.version}"
        self._hashed = weights.values[:BUCKETS]
        self._within = {mark: self._hashed + added for mark, added in weights.openings.items()}
        self._calibrated = weights.calibration.probability
        of_numbers = (weights.values[BUCKETS:], weights.lowest, weights.highest)
        self._of_numbers = list(zip(*(array.tolist() for array in of_numbers), strict=True))

    @property
    def threshold(self) -> float:
        """Return the threshold that fitting suggested."""
        return self.weights.threshold

    def score(self, prompt: Prompt) -> Score:
        """Return the score of the conversation as a whole; never raises."""
        return Score(self._calibrated(self.decide(prompt)), self._source)

    def interval(self, prompt: Prompt) -> tuple[float, float]:
        """Return the ends of the 90 % interval of the calibration at this prompt."""
        return self.weights.calibration.interval(self.decide(prompt))

    def has_seen(self, groups: Iterable[str]) -> NDArray[np.bool_]:
        """Tell of each group whether the weights were fitted on it, shape (n,); wrong once in 100,000 groups."""
        return np.isin(marks_of(groups), self.weights.groups)

    def explain(self, prompt: Prompt, *, top: int) -> tuple[Contribution, ...]:
        """Return the `top` features that moved the score most; words are named by their text, in quotes.

        A number's part is that of its distance from the middle of what it was when fitted.
        """
        found = featurise(prompt)
        values = found.values
        values[-len(NUMBERS) :].clip(self.weights.lowest, self.weights.highest, values[-len(NUMBERS) :])
        values[-len(NUMBERS) :] -= (self.weights.lowest + self.weights.highest) / 2
        parts: defaultdict[str, float] = defaultdict(float)
        own = np.concatenate((self._of_words(found), self.weights.values[BUCKETS:]))
        weights = self._steepness(prompt) * own[found.indices] * values
        for text, weight in zip(found.texts(), weights.tolist(), strict=True):
            parts[text] += weight
        strongest = sorted(parts.items(), key=lambda part: (-abs(part[1]), part[0]))[:top]
        return tuple(Contribution(text, weight) for text, weight in strongest if weight)

    def _steepness(self, prompt: Prompt) -> float:
        """Return by how many calibrated logits one of ours counts at this prompt."""
        middle, line = self.decide(prompt), self.weights.calibration.line
        return (line(middle + _NEAR) - line(middle - _NEAR)) / (2 * _NEAR)

    def decide(self, prompt: Prompt) -> float:
        """Return the logit before calibration."""
        found = featurise(prompt)
        logit = self.weights.intercept
        for number, (weight, lowest, highest) in zip(found.numbers, self._of_numbers, strict=True):
            within = highest if number > highest else number  # noqa: FURB136 - a call of `min` costs more than the rest
            logit += weight * (lowest if number < lowest else within)
        if len(found.hashed):
            weights = (self._of_words(found) if self._within else self._hashed)[found.hashed]
            if len(found.runs) == 1:
                logit += found.runs[0][1] * float(np.add.reduce(weights))  # `dot` would give up the interpreter's lock
            else:
                logit += math.fsum(map(mul, *_sums(weights, found.runs)))
        return logit

    def _of_words(self, found: Features) -> NDArray[np.float32]:
        """Return the weights of words in a prompt that begins so, shape (BUCKETS,)."""
        return self._within.get(mark_of(found.text), self._hashed)


def _sums(weights: NDArray[np.float32], runs: tuple[tuple[int, float], ...]) -> tuple[list[float], list[float]]:
    """Return for each run that is not empty the sum of its weights, and its value."""
    starts, values, start = [], [], 0
    for size, value in runs:
        if size:
            starts.append(start)
            values.append(value)
            start += size
    sums: list[float] = np.add.reduceat(weights, starts).tolist()
    return sums, values


def dump(weights: Weights) -> str:
    """Return the text of a weights file; equal weights give equal text."""
    columns = np.flatnonzero(weights.values).astype("<u2")
    arrays = {
        "columns": _packed(columns),
        "values": _packed(weights.values[columns].astype("<f2")),
        "lowest": _packed(weights.lowest.astype("<f4")),
        "highest": _packed(weights.highest.astype("<f4")),
        "groups": _packed(np.unique(weights.groups).astype("<u4")),
        **(_packed_openings(weights.openings) if weights.openings else {}),
    }
    content = {
        "format": FORMAT,
        "name": weights.name,
        "version": weights.version,
        "features": digest(),
        "buckets": BUCKETS,
        "numbers": NUMBERS,
        "intercept": weights.intercept,
        "calibration": msgspec.to_builtins(weights.calibration),
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
        content = json.loads(read_regular(path))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise WeightsError(f"{path}: weights cannot be read: {reason}; fit them with ./tandem train") from error
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{path}: weights are not JSON; fit them again with ./tandem train") from error
    try:
        return LinearClassifier(_weights(content))
    except (KeyError, TypeError, ValueError, OverflowError, msgspec.ValidationError) as error:
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
    columns = _unpacked(content["columns"], "<u2")
    values = np.zeros(COLUMNS, np.float32)
    if columns.size and int(columns.max()) >= COLUMNS:
        raise ValueError(f"column {columns.max()} does not exist")
    values[columns] = _unpacked(content["values"], "<f2", size=columns.size)
    scalars = [float(content[key]) for key in ("intercept", "threshold")]
    ranges = [_unpacked(content[key], "<f4", size=len(NUMBERS)) for key in ("lowest", "highest")]
    if not (
        np.isfinite(values).all() and all(map(math.isfinite, scalars)) and all(np.isfinite(r).all() for r in ranges)
    ):
        raise ValueError("a number is not finite")
    calibration: Platt | Beta | Isotonic = msgspec.convert(content["calibration"], Platt | Beta | Isotonic)
    if not all(map(math.isfinite, (*calibration.interval(0.0), *calibration.ends(0.0)))):
        raise ValueError("a number of the calibration is not finite")
    intercept, threshold = scalars
    if not 0.0 <= threshold <= 1.0:
        raise ValueError(f"the threshold is {threshold:g}, outside of 0 to 1")
    return Weights(
        name=str(content["name"]),
        version=str(content["version"]),
        values=values,
        intercept=intercept,
        calibration=calibration,
        lowest=ranges[0],
        highest=ranges[1],
        threshold=threshold,
        fitted_on=dict(content["fitted_on"]),
        groups=_unpacked(content["groups"], "<u4"),
        openings=_unpacked_openings(content) if _OF_OPENINGS[0] in content else {},
    )


def _packed_openings(openings: Mapping[int, NDArray[np.float32]]) -> dict[str, str]:
    marks = sorted(openings)
    columns = [np.flatnonzero(openings[mark]) for mark in marks]
    values = [openings[mark][of_one] for mark, of_one in zip(marks, columns, strict=True)]
    sizes = [len(of_one) for of_one in columns]
    arrays = (
        np.array(marks, "<u4"),
        np.array(sizes, "<u4"),
        np.concatenate(columns).astype("<u2"),
        np.concatenate(values).astype("<f2"),
    )
    return dict(zip(_OF_OPENINGS, map(_packed, arrays), strict=True))


def _unpacked_openings(content: dict[str, Any]) -> dict[int, NDArray[np.float32]]:
    marks, sizes = (_unpacked(content[key], "<u4").tolist() for key in _OF_OPENINGS[:2])
    columns, values = (
        _unpacked(content[key], kind) for key, kind in zip(_OF_OPENINGS[2:], ("<u2", "<f2"), strict=True)
    )
    if len(sizes) != len(marks) or not sum(sizes) == len(columns) == len(values):
        raise ValueError("the openings' arrays differ in size")
    if columns.size and int(columns.max()) >= BUCKETS:
        raise ValueError(f"column {columns.max()} of an opening does not exist")
    if not np.isfinite(values).all():
        raise ValueError("a number of an opening is not finite")
    found, ends = {}, np.cumsum(sizes).tolist()
    for mark, size, end in zip(marks, sizes, ends, strict=True):
        found[mark] = np.zeros(BUCKETS, np.float32)
        found[mark][columns[end - size : end]] = values[end - size : end]
    return found


def _checksum(content: dict[str, Any]) -> str:
    """Return a fingerprint of the arrays: one damaged character in base64 would pass unseen."""
    keys = ("columns", "values", "lowest", "highest", "groups", *_OF_OPENINGS)
    arrays = "\n".join(content[key] for key in keys if key in content)
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
