"""Folder -> an encoder's graph, tokenizer and figures, checked.

Three files: `model.onnx`, `tokenizer.json` and `encoder.json`, which holds the digests of the other two; nothing is
pickled. Knows neither how the graph is run nor how it was made.
"""

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from classifier.base import WeightsError
from classifier.calibrating.maps import Platt
from classifier.regular_files import read_regular

FORMAT = "tandem-encoder-1"
MODEL, TOKENIZER, FIGURES, CARD = "model.onnx", "tokenizer.json", "encoder.json", "CARD.md"
LARGEST = 2 << 30  # bytes of a graph: no message of protobuf, which ONNX is written in, is longer
LONGEST = 4096  # tokens; the window that is looked at holds fewer bytes than that
_AGAIN = "make the folder again with ./tandem train-encoder"

_Token = Annotated[int, Meta(ge=0)]
_Probability = Annotated[float, Meta(ge=0, le=1)]


@dataclass(frozen=True, slots=True)
class Figures:
    """What `encoder.json` says beside its format and digests.

    Attributes:
        name: what the encoder is for.
        version: part of each score's source; ends in the first digits of the graph's digest.
        longest: tokens of the longest sequence, the three special ones included.
        start, separator, pad: ids of the special tokens.
        calibration: logit -> probability.
        prior: share of rows for which Mini was not enough; the score of a conversation without any text.
        threshold: the score from which Large was worth its price on the rows that it was chosen on.
        fitted_on: rows, seed and measures, for people.
    """

    name: str
    version: str
    longest: Annotated[int, Meta(ge=8, le=LONGEST)]
    start: _Token
    separator: _Token
    pad: _Token
    calibration: Platt
    prior: _Probability
    threshold: _Probability
    fitted_on: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Folder:
    """An encoder as it lies on the disk; `model` is an ONNX graph, `tokenizer` the text of a `tokenizer.json`."""

    figures: Figures
    model: bytes
    tokenizer: bytes


def read_folder(path: Path) -> Folder:
    """Return what a folder holds.

    Raises:
        WeightsError: a file is missing or damaged, or of another format; the message names it.
    """
    content = _read(path / FIGURES)
    try:
        head = msgspec.json.decode(content, type=dict[str, Any])
        if head.get("format") != FORMAT:
            raise WeightsError(
                f"{path / FIGURES}: format is {head.get('format')!r}, this code reads {FORMAT}; {_AGAIN}"
            )
        figures = msgspec.convert(head, Figures)
        digests = msgspec.convert(head.get("sha256"), dict[str, str])
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise WeightsError(f"{path / FIGURES}: is damaged: {error}; {_AGAIN}") from error
    if not all(
        map(math.isfinite, (figures.calibration.slope, figures.calibration.offset, *figures.calibration.spread))
    ):
        raise WeightsError(f"{path / FIGURES}: is damaged: a number is not finite; {_AGAIN}")
    model, tokenizer = (_checked(path / name, digests) for name in (MODEL, TOKENIZER))
    return Folder(figures, model, tokenizer)


def write_folder(folder: Folder, path: Path, *, card: str) -> None:
    """Write the folder's files and its card; the figures come last, as without them no folder is read."""
    path.mkdir(parents=True, exist_ok=True)
    (path / FIGURES).unlink(missing_ok=True)
    parts = {MODEL: folder.model, TOKENIZER: folder.tokenizer}
    for name, content in parts.items():
        (path / name).write_bytes(content)
    (path / CARD).write_text(card, encoding="utf-8")
    digests = {name: digest(content) for name, content in parts.items()}
    said = {"format": FORMAT, "sha256": digests, **msgspec.to_builtins(folder.figures)}
    (path / FIGURES).write_bytes(msgspec.json.format(msgspec.json.encode(said), indent=1) + b"\n")


def digest(content: bytes) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def _read(path: Path) -> bytes:
    try:
        return read_regular(path, most=LARGEST)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror or type(error).__name__}; {_AGAIN}") from error


def _checked(path: Path, digests: dict[str, str]) -> bytes:
    content = _read(path)
    if path.name not in digests:
        raise WeightsError(f"{path}: {FIGURES} names no sha256 for it; {_AGAIN}")
    if (found := digest(content)) != digests[path.name]:
        said = digests[path.name]
        raise WeightsError(f"{path}: sha256 is {found[:12]}..., {FIGURES} says {said[:12]}...; {_AGAIN}")
    return content
