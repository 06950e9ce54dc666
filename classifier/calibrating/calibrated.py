"""Calibration file <-> a classifier that scores by it.

The file lies over weights that stay as they are: a calibration, and the thresholds that were certified for it. It
names the weights that it belongs to and is refused over any others. Thresholds stand in logits of the scores beneath,
where no calibration can move them; `Overlay.threshold` gives the score of a tenant that means the same.
"""

import hashlib
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from classifier.base import Classifier, Contribution, Prompt, Score, WeightsError
from classifier.calibrating.guarantee import Count
from classifier.calibrating.maps import Calibration, logit_of
from classifier.regular_files import open_regular, read_regular

FORMAT = "tandem-calibration-1"
_AGAIN = "make it again with ./tandem calibrate"


class Level(Struct, frozen=True):
    """One promise, certified on its own; see `classifier.calibrating.guarantee.Certificate`.

    Attributes:
        loss: how much quality is lost on average at most, 0.0 to 1.0.
        confidence: share of all draws of the pairs in which that is true.
        logit: Large from it on.
        share_mini, risk, bound, activity, pairs: what the rows showed there.
    """

    loss: float
    confidence: float
    logit: float
    share_mini: float
    risk: float
    bound: float
    activity: float
    pairs: int


class Overlay(Struct, frozen=True):
    """What a calibration file holds.

    Attributes:
        source: of the scores that it was fitted on, "name@version".
        weights: digest of the weights' file, or of a folder's files; "" for a classifier without any.
        count: what the levels promise, all of them; see `classifier.calibrating.guarantee.Count`.
        levels: none where nothing could be promised.
        fitted_on: rows, seed and measures, for people.
    """

    source: str
    weights: str
    calibration: Calibration
    count: Count
    levels: tuple[Level, ...]
    fitted_on: dict[str, Any]
    format: str = FORMAT

    @property
    def digest(self) -> str:
        """Return 64 hexadecimal digits that change with anything in the file."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()

    @property
    def scorer(self) -> str:
        """Return the source of scores that this calibration gives."""
        return f"{self.source}+{self.digest[:8]}"

    def threshold(self, level: Level, tenant: str = "") -> float:
        """Return the score from which Large keeps this promise for a tenant."""
        return self.calibration.probability(level.logit, tenant)


class Calibrated:
    """A classifier whose scores pass through a calibration; safe to share between threads.

    Raises:
        WeightsError: the calibration belongs to other weights.
    """

    def __init__(self, inner: Classifier, overlay: Overlay, *, weights: str) -> None:
        found = inner.score(Prompt(())).source
        if (found, weights) != (overlay.source, overlay.weights):
            seen = f"the scores of {overlay.source}, weights {overlay.weights[:12] or 'none'}"
            raise WeightsError(
                f"the calibration belongs to {seen}, and not to {found}, weights {weights[:12] or 'none'}; {_AGAIN}"
            )
        self.overlay = overlay
        self._inner, self._calibration, self._source = inner, overlay.calibration, overlay.scorer

    @property
    def threshold(self) -> float:
        """Return what the weights suggest, calibrated."""
        return self._calibration.probability(logit_of(self._inner.threshold))

    def score(self, prompt: Prompt) -> Score:
        """Return the score of the conversation as a whole, calibrated for its tenant; see `Classifier.score`."""
        found = self._inner.score(prompt).value
        return Score(self._calibration.probability(logit_of(found), prompt.tenant), self._source)

    def interval(self, prompt: Prompt) -> tuple[float, float]:
        """Return the ends of the 90 % interval of the calibration at this score."""
        return self._calibration.interval(logit_of(self._inner.score(prompt).value), prompt.tenant)

    def explain(self, prompt: Prompt, *, top: int) -> tuple[Contribution, ...]:
        """Return the features that moved the score most, in logits before this calibration."""
        return self._inner.explain(prompt, top=top)


def lay(path: Path, inner: Classifier, *, weights: str) -> Calibrated:
    """Return a classifier with the calibration of a file.

    Args:
        weights: digest of what `inner` scores by.

    Raises:
        WeightsError: the calibration cannot be used, or belongs to other weights.
    """
    overlay = load(path)
    try:
        return Calibrated(inner, overlay, weights=weights)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error


def digest_of(weights: Path) -> str:
    """Return the digest of a file of weights, or of all files of a folder and their names.

    Raises:
        WeightsError: it cannot be read.
    """
    files = sorted(weights.rglob("*")) if weights.is_dir() else [weights]
    digest = hashlib.sha256()
    try:
        for file in files:
            if file.is_file() or file == weights:
                name = file.relative_to(weights).as_posix() if file != weights else ""
                with open_regular(file) as opened:
                    digest.update(f"{name}\n{hashlib.file_digest(opened, 'sha256').hexdigest()}\n".encode())
    except OSError as error:
        raise WeightsError(f"{weights}: weights cannot be read: {error.strerror or type(error).__name__}") from error
    return digest.hexdigest()


def dump(overlay: Overlay) -> str:
    """Return the text of a calibration file; equal overlays give equal text."""
    content: dict[str, Any] = msgspec.to_builtins(overlay, order="deterministic")
    text = msgspec.json.encode({"format": FORMAT, **content, "sha256": overlay.digest})
    return msgspec.json.format(text, indent=1).decode() + "\n"


def load(path: Path) -> Overlay:
    """Return what a calibration file holds.

    Raises:
        WeightsError: it is missing, damaged or of another version; the message names file and reason.
    """
    try:
        content = read_regular(path)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise WeightsError(f"{path}: the calibration cannot be read: {reason}; make it with ./tandem calibrate") from (
            error
        )
    try:
        said = msgspec.json.decode(content, type=_Said)
        if said.format != FORMAT:
            raise WeightsError(f"{path}: the format is {said.format!r}, this code reads {FORMAT}; {_AGAIN}")
        overlay = msgspec.json.decode(content, type=Overlay)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WeightsError(f"{path}: the calibration is damaged: {error}; {_AGAIN}") from error
    if overlay.digest != said.sha256:
        raise WeightsError(f"{path}: the calibration is damaged: the checksum does not match; {_AGAIN}")
    return overlay


class _Said(Struct):
    """What a file says about itself."""

    format: str
    sha256: str
