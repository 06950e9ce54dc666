"""Loads of replicas, and who holds a prompt's prefix -> the replica that is asked.

Pure: the matched share of the prompt less the relative load. Knows neither servers nor prefixes.
"""

from collections.abc import Sequence
from typing import Final

SPARE: Final = 4
"""Calls above the mean that a replica bears for a prompt of which it holds all, where nothing else is under way: as
many as engines compute at once in any case."""


def chosen(loads: Sequence[int], *, holder: int | None = None, matched: float = 0.0) -> int:
    """Return the index of the replica to ask.

    The holder is asked unless its load, relative to the mean, is above the least one by more than the share that it
    holds. Without a holder it is the least loaded one; of several such, the first.

    Args:
        loads: calls that each is busy with, whose turn it is first; at least one.
        holder: index of the one that holds a beginning of the prompt; None where none does.
        matched: the share of the prompt that it holds, 0.0 to 1.0.
    """
    least = min(loads)
    if holder is not None and loads[holder] - least <= matched * (sum(loads) / len(loads) + SPARE):
        return holder
    return loads.index(least)
