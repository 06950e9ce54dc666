"""A conversation -> names of its beginnings, by which its KV is found again.

Pure, and chained: each name stands for all that was said before it, so that equal names mean equal beginnings. Named
are the places at which an earlier request of the same conversation ended, which is before each of its answers. What
does not change between two requests is so named alike, whatever was added. Knows nothing of tokens or of who holds
what.

What it costs is bounded: of a long message its ends and its length are read, of a long conversation the first
messages and those just before each place. A name is a hint of where to look and never proof of what lies there. It is
made of the hashes of this process, which are the cheapest there are, and means nothing in another.
"""

from collections.abc import Sequence
from typing import Final, Protocol

from cache.base import PrefixKeys

ENDS: Final = 256
"""Characters that are read of each end of a long message."""

FIRST: Final = 32
"""Messages from the first on that every name stands for."""

BEFORE: Final = 4
"""Messages before a place that its name stands for in any case."""

PLACES: Final = 3
"""Answers, from the last one back, whose places are named."""

_WHOLE: Final = 2 * ENDS
_LOOKED_BACK: Final = 64  # messages; the results of an agent's tools between two answers are fewer
_INSTRUCTIONS: Final = ("system", "developer")


class Message(Protocol):
    """One message of a conversation; its text is empty where it has none."""

    @property
    def role(self) -> str:
        """Return who said it."""
        ...

    @property
    def text(self) -> str:
        """Return what was said."""
        ...


def keys_of(salt: str, messages: Sequence[Message], *, frame: Sequence[bytes] = ()) -> PrefixKeys:
    """Return the names.

    Args:
        salt: of whom alone may find them again.
        messages: oldest first, at least one.
        frame: what a chat template writes before the messages, such as the tools.
    """
    name = nothing = hash(salt)
    size = 0
    for part in frame:
        name = hash((name, len(part), part[:ENDS], part[-ENDS:]))
        size += len(part)
    names: list[int] = []
    sizes: list[int] = []
    leads = True  # nothing but instructions so far
    for message in messages[:FIRST]:
        role, text = message.role, message.text
        if leads and role not in _INSTRUCTIONS:
            leads = False
            if name != nothing:
                names.append(name)
                sizes.append(size)
        elif role == "assistant":
            names.append(name)
            sizes.append(size)
        length = len(text)
        name = hash((name, role, text)) if length <= _WHOLE else _after(name, role, text)
        size += length
    if len(messages) > FIRST:
        _go_on(messages, name, size, names, sizes)
    else:
        names.append(name)
        sizes.append(size)
    if len(names) > PLACES + 2:
        del names[1 : -PLACES - 1], sizes[1 : -PLACES - 1]
    return PrefixKeys(salt, tuple(names), tuple(sizes))


def _go_on(messages: Sequence[Message], first: int, size: int, names: list[int], sizes: list[int]) -> None:
    """Add the names of a long conversation's latest places.

    Args:
        first: the name of its first messages.
        size: of its first messages.
        names, sizes: of what lies before.
    """
    places = [len(messages)]
    for at in range(len(messages) - 1, max(len(messages) - _LOOKED_BACK, FIRST - 1), -1):
        if messages[at].role == "assistant":
            places.append(at)
            if len(places) > PLACES:
                break
    done = FIRST
    for place in reversed(places):
        name = first
        for message in messages[max(FIRST, place - BEFORE) : place]:
            name = _after(name, message.role, message.text)
        for message in messages[done:place]:
            size += len(message.text)
        names.append(name if place == FIRST else hash((name, place)))
        sizes.append(size)
        done = place


def _after(name: int, role: str, text: str) -> int:
    """Return the name of what is told by a name, and then this message."""
    if len(text) <= _WHOLE:
        return hash((name, role, text))
    return hash((name, role, len(text), text[:ENDS], text[-ENDS:]))
