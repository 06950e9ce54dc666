"""The words of finding a kept reply by what was meant. No I/O.

Knows nothing of languages: what a text means, and how alike two texts are, is told by a `Reader`, which is handed in.
"""

from typing import Protocol

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from cache.base import KeptReply

Vector = NDArray[np.float32]


class Reading(Protocol):
    """What is remembered of a text; never the text."""

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
        """Return what else the reader needs to compare."""
        ...


class Reader(Protocol):
    """Text -> reading; two readings -> how alike they are."""

    @property
    def source(self) -> str:
        """Return "name@version": readings of two sources do not compare."""
        ...

    async def read(self, text: str) -> Reading | None:
        """Return what a text means; None where that cannot be told. Never raises."""
        ...

    def similarity(self, one: Reading, other: Reading) -> float:
        """Return -1.0 to 1.0, at most the cosine of both vectors; 0.0 where facts differ."""
        ...


class Entry(Struct, frozen=True, eq=False, gc=False):
    """One answered text: a `Reading` with the name under which its reply is kept.

    Attributes:
        name: 16 bytes, the same for the same reading.
    """

    name: bytes
    facts: bytes
    vector: Vector
    words: bytes


class Found(Struct, frozen=True):
    """A kept reply to another text that means the same.

    Attributes:
        similarity: of both texts, 0.0 to 1.0.
        name: of the entry.
    """

    reply: KeptReply
    similarity: float
    name: bytes


class Look(Struct, frozen=True):
    """One look-up; carries what was read, so that it is not read again when the reply is kept.

    Attributes:
        partition: everything of the request but the text, and whose it is; 32 bytes that nobody can guess.
        found: None where nothing means the same.
    """

    partition: bytes
    reading: Reading
    found: Found | None
