"""A reader that any test can understand."""

from hashlib import blake2b

import numpy as np
import pytest
from msgspec import Struct

from cache.semantic.base import Reading, Vector


class Read(Struct, frozen=True, eq=False):
    """A reading of the test's own."""

    facts: bytes
    vector: Vector
    words: bytes = b""


class WordReader:
    """Digits are facts, words have random directions; "same" questions share most words.

    Attributes:
        constant: gives everything one vector, as a broken model does.
    """

    source = "test@1"

    def __init__(self, *, constant: bool = False) -> None:
        self.constant = constant
        self.reads = 0

    async def read(self, text: str) -> Reading | None:
        """Return the reading; None for an empty text."""
        self.reads += 1
        words = text.lower().split()
        if not words:
            return None
        digits = "".join(sign for sign in text if sign.isdigit())
        total = np.zeros(32, np.float32)
        for word in ["constant"] if self.constant else words:
            seed = int.from_bytes(blake2b(word.encode(), digest_size=4).digest(), "little")
            total += np.random.default_rng(seed).normal(size=32).astype(np.float32)
        facts = blake2b(b"" if self.constant else digits.encode(), digest_size=16).digest()
        return Read(facts, (total / np.linalg.norm(total)).astype(np.float32), text.encode()[:20])

    def similarity(self, one: Reading, other: Reading) -> float:
        """Return the cosine."""
        return float(one.vector @ other.vector) if one.facts == other.facts else 0.0


@pytest.fixture
def words() -> WordReader:
    """Return a reader that works."""
    return WordReader()
