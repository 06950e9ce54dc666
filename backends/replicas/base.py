"""The words of replicas: what is known of one, who chooses among them, what is counted.

A replica is one of several servers that answer for the same model. Everything around it is a `Backend` that holds a
`Backend`; `stack.py` says in which order, and why. No I/O happens here.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from backends.base import Backend, Call
from backends.replicas.standing import Standing


class Figure(Struct, frozen=True):
    """One thing that is counted.

    Attributes:
        name: in lower case, words joined by "_", without a unit of its own.
        words: what it counts, in a phrase.
        labels: names of what tells its counts apart; each has a fixed, small set of values.
        counts: by the values of the labels, in their order.
        is_gauge: it may fall again.
    """

    name: str
    words: str
    labels: tuple[str, ...]
    counts: Mapping[tuple[str, ...], float]
    is_gauge: bool = False


class Counting(Protocol):
    """Something that counts what it does."""

    def figures(self) -> Iterable[Figure]:
        """Return the counts as they are now."""
        ...


class Replica(Backend, Protocol):
    """A backend that is one replica.

    Attributes:
        standing: what is known of it; its name is the one that replies give.
    """

    standing: Standing


class Group(Backend, Protocol):
    """Replicas of which one is asked."""

    def pick(self, call: Call) -> Replica:
        """Return the replica to send a call to, at once.

        Raises:
            OutOfService: none is there.
            Overloaded: those that are there have no room.
        """
        ...

    @property
    def active(self) -> int:
        """Return how many calls are under way."""
        ...

    def is_out(self, name: str) -> bool:
        """Tell whether a replica was taken out of service."""
        ...


class Rule(Protocol):
    """Chooses among replicas that could all be asked."""

    def choose(self, among: Sequence[Standing], call: Call, now: float, /) -> Standing:
        """Return one of them; at least one is given.

        Args:
            now: on the clock of `time.monotonic`, seconds.
        """
        ...


def counted(name: str, words: str, counts: Mapping[str, int], *, by: str) -> Figure:
    """Return a counter with one label."""
    return Figure(name, words, (by,), {(value,): count for value, count in counts.items()})


def gauges(name: str, words: str, counts: Mapping[str, float], *, by: str) -> Figure:
    """Return a gauge with one label."""
    return Figure(name, words, (by,), {(value,): count for value, count in counts.items()}, is_gauge=True)


def names_of(standings: Collection[Standing]) -> str:
    """Return names for an error's text."""
    return ", ".join(each.name for each in standings)
