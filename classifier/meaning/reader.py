"""Text -> what it means, and two meanings -> how alike they are.

Guards first: where they differ the similarity is 0.0. Then every word of either text must have one in the other that is
near it: the farthest decides, because one word is enough to ask for something else. Words that both have must come in
the same order. Some 100 microseconds a text, on the loop; no text is kept.
"""

from hashlib import blake2b
from typing import Final

import numpy as np
from numpy.typing import NDArray

from classifier.meaning.base import EQUAL, Embedder, Meaning, Reading
from classifier.meaning.guards import FIXED, Parsed, parse
from classifier.meaning.vectors import Vocabulary

_FACTS_BYTES: Final = 16
_MOST_WORDS: Final = 64  # that vectors compare
_PLACE: Final = np.dtype("<u2")


class StaticReader:
    """Reads with the vectors of words alone.

    Attributes:
        source: "name@version"; readings of two sources do not compare.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self.source = vocabulary.source
        self._alone = np.zeros(vocabulary.dimensions, np.float32)
        self._alone[0] = 1.0  # of a text in which every word must be equal

    async def read(self, text: str) -> Meaning | None:
        """Return what a text means; None where it is too long or too empty to tell."""
        return self.read_now(text)

    def read_now(self, text: str) -> Meaning | None:
        """Do the same without a loop."""
        parsed = parse(text, self._vocabulary)
        if parsed is None or len(parsed.soft) > _MOST_WORDS:
            return None
        words = np.array(parsed.soft, _PLACE)
        plain = words[words != FIXED]
        vector = self._vocabulary.mean(plain) if len(plain) else self._alone
        return Meaning(_facts(parsed), vector, words.tobytes())

    def plain_words(self) -> tuple[str, ...]:
        """Return the words whose vectors are known."""
        return self._vocabulary.words()

    def similarity(self, one: Reading, other: Reading) -> float:
        """Return how alike two texts are, -1.0 to 1.0; the same whichever comes first."""
        if one.facts != other.facts:
            return 0.0
        if one.words == other.words:
            return EQUAL
        mine, theirs = np.frombuffer(one.words, _PLACE), np.frombuffer(other.words, _PLACE)
        if not _in_one_order(mine, theirs):
            return 0.0
        mine, theirs = mine[mine != FIXED], theirs[theirs != FIXED]
        if not len(mine) or not len(theirs):
            return 0.0
        near = self._vocabulary.units(mine) @ self._vocabulary.units(theirs).T
        farthest = min(float(near.max(axis=1).min()), float(near.max(axis=0).min()))
        return min(farthest, float(one.vector @ other.vector))


class EmbeddedReader:
    """Reads with the same guards and the vectors of another model.

    Args:
        embedder: stays the caller's.
    """

    def __init__(self, vocabulary: Vocabulary, embedder: Embedder) -> None:
        self._plain = StaticReader(vocabulary)
        self._embedder = embedder
        self.source = f"{vocabulary.source} {embedder.source}"

    async def read(self, text: str) -> Meaning | None:
        """Return what a text means; None where it cannot be told, or the model gave no vector."""
        meaning = self._plain.read_now(text)
        if meaning is None:
            return None
        vector = await self._embedder.embed(text)
        if vector is None or not vector.size or not np.isfinite(vector).all():
            return None
        length = float(np.linalg.norm(vector))
        return Meaning(meaning.facts, (vector / length).astype(np.float32), meaning.words) if length else None

    def similarity(self, one: Reading, other: Reading) -> float:
        """Return how alike two texts are, -1.0 to 1.0; the same whichever comes first."""
        if one.facts != other.facts or one.vector.shape != other.vector.shape:
            return 0.0
        mine, theirs = np.frombuffer(one.words, _PLACE), np.frombuffer(other.words, _PLACE)
        if not _in_one_order(mine, theirs):
            return 0.0
        return float(one.vector @ other.vector)


def _facts(parsed: Parsed) -> bytes:
    parts = ("\x1e".join(parsed.kinds), *parsed.hard)
    return blake2b("\x1f".join(parts).encode("utf-8", "surrogatepass"), digest_size=_FACTS_BYTES).digest()


def _in_one_order(mine: NDArray[np.uint16], theirs: NDArray[np.uint16]) -> bool:
    """Tell whether what both have comes in the same order, each word as often."""
    ours, yours = mine.tolist(), theirs.tolist()
    shared = {*ours} & {*yours}
    return [word for word in ours if word in shared] == [word for word in yours if word in shared]
