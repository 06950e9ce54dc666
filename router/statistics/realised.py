"""Draws that were meant, and those that came to something -> how many each of them stands for.

A draw may come to nothing: too many calls run already, or the backend is away. That depends on how busy the hour was
and hardly on what was drawn. So the probability that counts is the realised one: of some hours, as many as were
answered by as many as were seen. Hours that were as busy as each other are put together, until each class has enough
draws for its share to be known.

Where a call fails because of what it is, as a reply that takes too long does, no weight can mend it: those are
counted, for whoever reads the figure.

Source: Holt and Smith 1979, "Post stratification"; Little 1986, "Survey nonresponse adjustments", for weights by class.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]
Whole = NDArray[np.int64]

ENOUGH: Final = 25
"""Draws in a class: its share is known to a fifth, and weights widen intervals by a few hundredths at most."""


def realised_weights(hours: Whole, meant: Reals, answered: Reals) -> Reals:
    """Return how many each draw stands for, shape (s,); their sum is that of `answered`.

    Args:
        hours: shape (s,), the row in `answered` of each draw that was seen, one or more.
        meant: shape (s,), probability with which it was to be drawn, above 0.0.
        answered: shape (h,), things that could be drawn in each hour.
    """
    classes = _classes(np.bincount(hours, minlength=len(answered)), answered)
    inverse = 1.0 / meant
    of_draw = classes[hours]
    standing = np.bincount(of_draw, inverse)
    things = np.bincount(classes, answered)
    return np.asarray(inverse * (things / standing)[of_draw], dtype=np.float64)


def _classes(drawn: Whole, answered: Reals) -> Whole:
    """Return the class of each hour, from the idlest on; each has enough draws, or is the only one."""
    order = np.argsort(answered, kind="stable")
    before = np.concatenate(([0], np.cumsum(drawn[order])[:-1]))
    most = max(1, int(drawn.sum()) // ENOUGH)
    found = np.empty(len(drawn), dtype=np.int64)
    found[order] = np.minimum(before * most // max(1, int(drawn.sum())), most - 1)
    counts = np.bincount(found, drawn, minlength=most)
    kept = np.concatenate(([0], np.cumsum(counts > 0)))  # a class that nobody was drawn of goes with the one before
    return np.asarray(np.maximum(kept[found + 1] - 1, 0), dtype=np.int64)
