"""The words of telling whether two texts mean the same. No I/O.

A text is read once; two readings are compared. What must be equal is in `facts`, what may be said otherwise in the
vector and in the words. A reading holds no text.
"""

from typing import Final, Protocol

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

Vector = NDArray[np.float32]

EQUAL: Final = 1.0
"""The similarity of texts with the same words in the same order, politeness aside."""


class Reading(Protocol):
    """What is remembered of a text."""

    @property
    def facts(self) -> bytes:
        """Return the digest of all that must be equal."""
        ...

    @property
    def vector(self) -> Vector:
        """Return the text's direction, of length 1."""
        ...

    @property
    def words(self) -> bytes:
        """Return the words that have synonyms, in order, two bytes each: places in the vocabulary."""
        ...


class Meaning(Struct, frozen=True, eq=False, gc=False):
    """A `Reading`."""

    facts: bytes
    vector: Vector
    words: bytes = b""


class Embedder(Protocol):
    """Text -> vector, where another model than ours gives it."""

    @property
    def source(self) -> str:
        """Return "name@version": vectors of two sources do not compare."""
        ...

    async def embed(self, text: str) -> Vector | None:
        """Return the vector, of any length; None where none can be had in time."""
        ...
