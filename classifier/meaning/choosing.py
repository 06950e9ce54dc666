"""Reader and labelled pairs -> thresholds, each for another bound on false hits.

Pairs of one half share words, so they are less than independent, and the words of live traffic are others than theirs:
for both a margin is put on each threshold.
"""

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from classifier.meaning.base import EQUAL
from classifier.meaning.bounds import calibrate
from classifier.meaning.pairs import QuestionPair, pairs
from classifier.meaning.reader import StaticReader

BOUNDS: Final = (0.01, 0.005, 0.002, 0.001)
MARGIN: Final = 0.05
DIFFERENT, SAME = 12_000, 2_000
"""Pairs of each half."""


class Compared(Struct, frozen=True):
    """A pair and what a reader says of it."""

    pair: QuestionPair
    similarity: float


def compare(reader: StaticReader, asked: Iterable[QuestionPair]) -> list[Compared]:
    """Return the pairs with their similarity; 0.0 where one of them cannot be read."""
    found: list[Compared] = []
    for pair in asked:
        one, other = reader.read_now(pair.one), reader.read_now(pair.other)
        alike = 0.0 if one is None or other is None else reader.similarity(one, other)
        found.append(Compared(pair, alike))
    return found


def similarities(compared: Iterable[Compared], *, same: bool) -> list[float]:
    """Return those of the pairs that mean the same, or of the others."""
    return [each.similarity for each in compared if each.pair.same is same]


def thresholds(reader: StaticReader, *, seed: int = 0) -> list[tuple[float, float]]:
    """Return for each of `BOUNDS` the lowest threshold on the half for choosing, and the margin on top."""
    compared = compare(reader, pairs("choosing", different=DIFFERENT, same=SAME, seed=seed))
    different, same = similarities(compared, same=False), similarities(compared, same=True)
    found: list[tuple[float, float]] = []
    for bound in BOUNDS:
        chosen = calibrate(different, same, bound=bound).threshold
        found.append((bound, EQUAL if chosen is None else min(EQUAL, round(chosen + MARGIN, 3))))
    return found
