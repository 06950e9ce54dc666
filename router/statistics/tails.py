"""What each of many values adds to an error -> how much more their tail would add that was by luck not seen.

Costs and times have long tails, and a sample that met none of the largest values has a small standard error, little
skewness, and an interval far below the truth: of Pareto's values with an index of 1.5, one interval in ten. Whether it
met them is luck; how fast values fall off on the way there, all of the larger ones tell. So a tail is laid through the
ten largest, and where they come to less than it says, the rest is added to the moments that an interval is made of. Ten
are few, which makes the tail uncertain, but more would be of another kind: of weights that are mostly small, and of
values that fall off faster the larger they are, as a lognormal's do.

Nothing is ever taken away. Where the index is 1 or less there is no mean that a sample could come near to. Nothing more
is refused: of tails that are long, the samples that seem short enough would be those that had missed the largest.

Source: Hill 1975, "A simple general approach to inference about the tail of a distribution", for the index; Weissman
1978, "Estimation of parameters and large quantiles based on the k largest observations", for the quantiles.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]

_TOP: Final = 10  # values that are taken for the tail
_LEAST: Final = 10  # times as many, of which they are the largest

LEAST_INDEX: Final = 1.0
"""Of a tail, below which its values have no mean."""


@dataclass(frozen=True, slots=True)
class Tail:
    """What was not seen.

    Attributes:
        second, third, fourth: that are missing in the sums of the values' powers; the third with its sign.
    """

    second: float = 0.0
    third: float = 0.0
    fourth: float = 0.0


NO_TAIL: Final = Tail()


def unseen(parts: Reals, *, index: float = float("inf")) -> Tail:
    """Return what is missing of values around 0; nothing, where there are too few to tell.

    Args:
        index: by which they are known to fall off elsewhere, as `index_of` tells; where the ten largest fall off
            faster, that may be luck.
    """
    if len(parts) < _LEAST * _TOP:
        return NO_TAIL
    sizes = np.sort(np.abs(parts))[: -_TOP - 2 : -1]
    seen, least = sizes[:_TOP], sizes[_TOP]
    slope = float(np.log(seen / least).mean()) if least else 0.0
    if not slope:
        return NO_TAIL
    slope = max(slope, 1.0 / index)
    meant = least * (_TOP / (np.arange(_TOP) + 0.5)) ** slope
    largest = parts[np.abs(parts) >= seen[-1]]
    side = float(largest.sum() / np.abs(largest).sum())
    second, third, fourth = (max(0.0, float((meant**power - seen**power).sum())) for power in (2, 3, 4))
    return Tail(second, side * third, fourth)


def index_of(values: Reals) -> float:
    """Return the index by which values fall off, away from their middle; infinite where they do not reach out.

    As many of them as the root of their number tell it, so that it is known the better the more there are.
    """
    count = max(_TOP, int(len(values) ** 0.5))
    if len(values) < _LEAST * _TOP:
        return float("inf")
    sizes = np.sort(np.abs(values - np.median(values)))[: -count - 2 : -1]
    slope = float(np.log(sizes[:count] / sizes[count]).mean()) if sizes[count] else 0.0
    return 1.0 / slope if slope else float("inf")
