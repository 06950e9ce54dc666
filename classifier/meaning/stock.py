"""The shape of what pairs are made from."""

from collections.abc import Mapping

from msgspec import Struct

Lines = tuple[tuple[str, ...], ...]


class Stock(Struct, frozen=True):
    """Wordings and words of one language; braces name a sort of words.

    Attributes:
        asks: wordings that ask the same.
        sorts: words that each ask for something else.
        opposites: two of them.
        opposed: wordings around them.
        roles: wordings in which two can change places.
        role_sorts: the two.
        kinds: wordings that ask for different things of the same.
        negated, measured, compared: two wordings that differ in not, in a unit, in a comparative or a limit.
        dated: wordings with a time.
        kin: words of one sort, a line for each; many sorts.
        about: wordings around them.
        added: what makes a question another one where it is put behind it.
    """

    asks: Lines
    sorts: Mapping[str, tuple[str, ...]]
    opposites: Lines
    opposed: tuple[str, ...]
    roles: Lines
    role_sorts: Lines
    kinds: Lines
    negated: Lines
    dated: Lines
    measured: Lines
    compared: Lines
    kin: Lines
    about: tuple[str, ...]
    added: tuple[str, ...]


def lines(listed: str) -> Lines:
    """Return the wordings of each line, which bars part; a line that begins with a bar goes on with the one before."""
    return tuple(words(line) for line in listed.strip().replace("\n|", " |").splitlines())


def words(listed: str) -> tuple[str, ...]:
    """Return what bars part."""
    return tuple(word.strip() for word in listed.split("|"))
