"""Replicas that could be asked -> the one that is: in turn, by calls under way, by time, by whose KV it holds.

Pure, but for the random numbers that are passed in. Who is in service is not decided here.
"""

from collections.abc import Sequence
from random import Random
from typing import Final

from backends.base import Call
from backends.replicas.base import Rule
from backends.replicas.standing import Standing

SPARE: Final = 4
"""Calls above the mean that a replica bears for a prompt of which it holds all, where nothing else is under way: as
many as engines compute at once in any case."""


class RoundRobin:
    """The one that was asked longest ago."""

    def choose(self, among: Sequence[Standing], _call: Call, _now: float) -> Standing:
        """Return whose turn it is."""
        return min(among, key=_turn)


class LeastConnections:
    """The least busy one; of several such, the one that was asked longest ago."""

    def choose(self, among: Sequence[Standing], _call: Call, _now: float) -> Standing:
        """Return the one with the fewest calls under way."""
        best = among[0]
        least = best.in_flight
        for each in among[1:]:
            load = each.in_flight
            if load < least or (load == least and each.turn < best.turn):
                best, least = each, load
        return best


class PowerOfTwo:
    """Of two that chance names, the one expected to answer sooner.

    Source: Mitzenmacher 2001, "The power of two choices in randomized load balancing"; the cost is that of
    `peak_ewma.py`.
    """

    def __init__(self, chance: Random) -> None:
        self._chance = chance

    def choose(self, among: Sequence[Standing], _call: Call, now: float) -> Standing:
        """Return the better of two."""
        count = len(among)
        if count == 1:
            return among[0]
        first = int(self._chance.random() * count)
        second = int(self._chance.random() * (count - 1))
        one, two = among[first], among[second + (second >= first)]
        here, there = one.cost(now), two.cost(now)
        if here == there:
            return one if one.turn < two.turn else two
        return one if here < there else two


class PrefixAffinity:
    """The one that holds the prompt's beginning, unless its load is too far above the least one.

    How far is too far grows with the share that it holds: so a beginning that all prompts share draws none.

    Args:
        otherwise: chooses where none holds anything, or the holder is too busy.
    """

    def __init__(self, otherwise: Rule) -> None:
        self._otherwise = otherwise

    def choose(self, among: Sequence[Standing], call: Call, now: float) -> Standing:
        """Return the holder, or whom the other rule chooses."""
        if call.holder:
            for each in among:
                if each.name == call.holder:
                    loads = [other.in_flight for other in among]
                    if each.in_flight - min(loads) <= call.matched * (sum(loads) / len(loads) + SPARE):
                        return each
                    break
        return self._otherwise.choose(among, call, now)


def _turn(standing: Standing) -> int:
    return standing.turn
