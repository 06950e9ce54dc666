"""Words -> vectors, from one file that ships with the package.

The file is a NumPy archive without pickled objects: the vocabulary, a small vector and a weight for each word, and
words that are mostly names. How it was made stands in `weights/meaning.md`.
"""

import io
import json
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from classifier.base import WeightsError
from classifier.meaning.base import EQUAL, Vector
from classifier.regular_files import read_regular

FORMAT: Final = "tandem-meaning-1"
SHIPPED: Final = Path(__file__).parents[1] / "weights" / "meaning.npz"

_SUFFIXES: Final = (("ies", "y"), ("es", ""), ("s", ""), ("ing", ""), ("ing", "e"), ("ed", ""), ("d", ""))
_LONGEST: Final = 4  # characters of a Chinese word


class Vocabulary:
    """Words with their vectors; safe to share between threads.

    Attributes:
        source: "name@version" of the vectors.
    """

    def __init__(
        self,
        source: str,
        *,
        words: Sequence[str],
        names: Iterable[str],
        vectors: NDArray[np.int8],
        weights: NDArray[np.uint8],
        thresholds: Sequence[tuple[float, float]] = (),
    ) -> None:
        if not len(words) == len(vectors) == len(weights):
            raise ValueError(f"{len(words)} words do not fit {len(vectors)} vectors and {len(weights)} weights")
        self.source = source
        self._thresholds = tuple(thresholds)
        self._places = {word: place for place, word in enumerate(words)}
        self._names = frozenset(names)
        lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float32))
        self._vectors = vectors
        self._scales: NDArray[np.float32] = (1.0 / np.maximum(lengths, 1.0)[:, None]).astype(np.float32)
        self._weights: NDArray[np.float32] = (weights / np.float32(255.0)).astype(np.float32)

    def threshold(self, false_hits: float) -> float:
        """Return the lowest similarity that was calibrated for at most this share of false hits.

        Where none was calibrated for so few: that of texts with the same words.
        """
        return min((least for bound, least in self._thresholds if bound <= false_hits), default=EQUAL)

    def __len__(self) -> int:
        return len(self._places)

    @property
    def dimensions(self) -> int:
        """Return the length of a vector."""
        return int(self._vectors.shape[1])

    def is_name(self, word: str) -> bool:
        """Tell whether a word, in lower case, mostly names somebody or something."""
        return word in self._names

    def words(self) -> tuple[str, ...]:
        """Return all words, in the order of their places."""
        return tuple(self._places)

    def place(self, word: str) -> int | None:
        """Return where a word stands, in lower case; an inflected one that is not there is found by its stem."""
        places = self._places
        found = places.get(word)
        if found is None and word.isascii():
            for suffix, ending in _SUFFIXES:
                if word.endswith(suffix) and len(word) > len(suffix) + 2:
                    found = places.get(word[: -len(suffix)] + ending)
                    if found is not None:
                        return found
        return found

    def longest(self, text: str, at: int) -> int:
        """Return the length of the longest Chinese word that begins here; 1 where none is known."""
        for size in range(min(_LONGEST, len(text) - at), 1, -1):
            if text[at : at + size] in self._places:
                return size
        return 1

    def units(self, places: NDArray[np.uint16]) -> NDArray[np.float32]:
        """Return the vectors of these words, of length 1; shape (n, dimensions)."""
        units: NDArray[np.float32] = self._vectors[places] * self._scales[places]
        return units

    def mean(self, places: NDArray[np.uint16]) -> Vector:
        """Return the direction of these words together; one word or more, rare ones count for more."""
        total: Vector = self._weights[places] @ self.units(places)
        return (total / max(float(np.linalg.norm(total)), 1e-6)).astype(np.float32)


def load(path: Path = SHIPPED) -> Vocabulary:
    """Return the vocabulary of a file.

    Raises:
        WeightsError: it is missing, damaged or of another version.
    """
    try:
        with np.load(io.BytesIO(read_regular(path)), allow_pickle=False) as held:
            head = json.loads(bytes(held["head"]))
            if head["format"] != FORMAT:
                raise WeightsError(f"{path}: its format is {head['format']}, and {FORMAT} is needed")
            vocabulary = Vocabulary(
                head["source"],
                words=bytes(held["words"]).decode().split("\n"),
                names=bytes(held["names"]).decode().split("\n"),
                vectors=_unpacked(held["packed"]),
                weights=held["weights"],
                thresholds=[(float(bound), float(least)) for bound, least in head["thresholds"]],
            )
    except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile, zlib.error) as error:
        raise WeightsError(f"{path}: cannot be read: {error}") from error
    return vocabulary


def written(
    source: str,
    *,
    words: Sequence[str],
    names: Sequence[str],
    vectors: NDArray[np.int8],
    weights: NDArray[np.uint8],
    thresholds: Sequence[tuple[float, float]] = (),
) -> bytes:
    """Return the bytes of a file that `load` reads."""
    head = json.dumps({"format": FORMAT, "source": source, "thresholds": [list(each) for each in thresholds]}).encode()
    out = io.BytesIO()
    np.savez_compressed(
        out,
        head=np.frombuffer(head, np.uint8),
        words=np.frombuffer("\n".join(words).encode(), np.uint8),
        names=np.frombuffer("\n".join(names).encode(), np.uint8),
        packed=_packed(vectors),
        weights=weights,
    )
    return out.getvalue()


def _packed(vectors: NDArray[np.int8]) -> NDArray[np.uint8]:
    """Return two numbers from -8 to 7 in a byte; the width is even."""
    shifted = (vectors + 8).astype(np.uint8)
    packed: NDArray[np.uint8] = np.bitwise_or(shifted[:, ::2] << 4, shifted[:, 1::2]).astype(np.uint8)
    return packed


def _unpacked(packed: NDArray[np.uint8]) -> NDArray[np.int8]:
    vectors = np.empty((len(packed), 2 * packed.shape[1]), np.int8)
    vectors[:, ::2] = packed >> 4
    vectors[:, 1::2] = packed & 15
    return vectors - np.int8(8)
