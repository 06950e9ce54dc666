"""Vectors that a large model gives to single words -> the small vocabulary that ships.

What a language has in common says nothing about a word, so each alphabet is centred by itself; then come the directions
in which words differ most, less the first two, which tell frequency and form. Rare words weigh more. The teacher is the
caller's; `weights/meaning.md` says which one it was.

Source: Mu and Viswanath 2018, "All-but-the-Top", for the directions left out; Arora et al. 2017, "A Simple but
Tough-to-Beat Baseline for Sentence Embeddings", for the weights.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

DIMENSIONS: Final = 112
LEVELS: Final = 7
"""Either way from 0: a number takes four bits."""

_LEFT_OUT: Final = 2
_EVENED: Final = 0.5  # power of a direction's spread by which it is divided
_LEVELS_A_DEVIATION: Final = 2.5
_SMOOTHING: Final = 1e-4  # a of a / (a + p)

Reals = NDArray[np.float64]


def distil(words: Sequence[str], taught: NDArray[np.float32], *, dimensions: int = DIMENSIONS) -> NDArray[np.int8]:
    """Return vectors of few bits, shape (n, dimensions), from -7 to 7.

    Args:
        words: one or more of each alphabet.
        taught: the teacher's vectors, shape (n, any width over `dimensions` + 2).
    """
    centred = taught.astype(np.float64)
    is_plain = np.array([word.isascii() for word in words])
    for group in (is_plain, ~is_plain):
        if group.any():
            centred[group] -= centred[group].mean(axis=0)
    centred /= np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-9)
    spread, directions = np.linalg.eigh(centred.T @ centred)
    chosen = slice(len(spread) - _LEFT_OUT - dimensions, len(spread) - _LEFT_OUT)
    reduced = centred @ directions[:, chosen] / np.maximum(spread[chosen], 1e-12) ** (_EVENED / 2)
    scaled = np.round(reduced / reduced.std() * _LEVELS_A_DEVIATION)
    vectors: NDArray[np.int8] = np.clip(scaled, -LEVELS, LEVELS).astype(np.int8)
    return vectors


def weights_of(log_probabilities: Reals) -> NDArray[np.uint8]:
    """Return how much each word counts in a mean, 1 to 255; a rare one for more than a frequent one."""
    weights = _SMOOTHING / (_SMOOTHING + np.exp(log_probabilities))
    return np.clip(np.round(weights * 255), 1, 255).astype(np.uint8)
