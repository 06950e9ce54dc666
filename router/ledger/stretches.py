"""A stretch of time -> the cubes that make it up. Pure.

A cube sums up one minute, hour or day, so that a long stretch is a few of the longest that lie wholly inside it, and
shorter ones at both its ends.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from router.ledger import cubes

WIDTHS: Final = tuple(sorted(cubes.WIDTHS, reverse=True))
"""Seconds in a cube, longest first."""


class Run(NamedTuple):
    """Cubes one after another: of one width, numbered since 1970, `after` exclusive."""

    width: int
    first: int
    after: int


def finest(width: float) -> int:
    """Return the width of the longest cubes of which a bucket of `width` seconds holds a whole number.

    Raises:
        ValueError: there are none.
    """
    for each in WIDTHS:
        if width % each == 0:
            return each
    raise ValueError(f"a bucket of {width:g} s is no whole number of minutes")


def whole(moment: float, width: int) -> int:
    """Return the beginning of the cube of that width in which a moment lies, seconds since 1970."""
    return int(moment // width) * width


def cover(start: int, end: int, widths: Sequence[int] = WIDTHS) -> tuple[Run, ...]:
    """Return the fewest cubes that hold every second from `start` up to `end` once; empty where that is not after it.

    Args:
        start, end: seconds since 1970, multiples of the shortest width.
        widths: longest first, each a multiple of the next.
    """
    if start >= end:
        return ()
    width, *shorter = widths
    first, after = -(-start // width), end // width
    if first >= after:
        return cover(start, end, shorter)
    before = cover(start, first * width, shorter) if shorter else ()
    behind = cover(after * width, end, shorter) if shorter else ()
    return (*before, Run(width, first, after), *behind)
