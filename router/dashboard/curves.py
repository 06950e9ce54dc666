"""Points -> the smooth SVG path through them."""

import math
from collections.abc import Sequence
from itertools import pairwise

Point = tuple[float, float]


def through(points: Sequence[Point]) -> str:
    """Return a smooth path through points that never swings past them.

    Source: Steffen 1990, "A simple method for monotonic interpolation in one dimension", equations 2 and 11.
    """
    slopes = _slopes(points)
    path = [f"M{points[0][0]:.4g} {points[0][1]:.4g}"]
    for (x0, y0), (x1, y1), s0, s1 in zip(points, points[1:], slopes, slopes[1:], strict=False):
        third = (x1 - x0) / 3
        path.append(f"C{x0 + third:.4g} {y0 + s0 * third:.4g} {x1 - third:.4g} {y1 - s1 * third:.4g} {x1:.4g} {y1:.4g}")
    return "".join(path)


def _slopes(points: Sequence[Point]) -> list[float]:
    secants = [(y1 - y0) / (x1 - x0) for (x0, y0), (x1, y1) in pairwise(points)]
    inner = [
        # equal steps: the parabola's slope is the secants' mean, held to twice the flatter one, zero at a turn
        math.copysign(min(abs(before + after) / 2, 2 * abs(before), 2 * abs(after)), after) if before * after > 0 else 0
        for before, after in pairwise(secants)
    ]
    return [*secants[:1], *inner, *secants[-1:]]


def runs(values: Sequence[float | None]) -> list[tuple[int, list[float]]]:
    """Cut a row where values are missing; each run with the place of its first."""
    runs: list[tuple[int, list[float]]] = []
    for place, value in enumerate(values):
        if value is None:
            continue
        if place and values[place - 1] is not None:
            runs[-1][1].append(value)
        else:
            runs.append((place, [value]))
    return runs
