"""What a user did, in the words of the API -> a signal's value, or why there is none.

Pure. A thumb is up or down; the others tell that something happened, or how much of it. Those who tell are few and not
like the rest: signals compare arms, and are no level of quality.
"""

from collections.abc import Mapping
from typing import Final

from router.base import SIGNAL_KINDS, BadRequest

SOURCES: Final = ("user", "app", "human")
REGENERATED_WITHIN: Final = 600.0  # seconds between two equal prompts of a conversation

_THUMBS: Final[Mapping[object, float]] = {"up": 1.0, "down": 0.0, 1: 1.0, 0: 0.0, -1: 0.0}
_MEASURED: Final = frozenset({"edit", "label"})
"""Kinds that need a value; the others happened, which is 1.0."""


def signal_value(kind: str, value: object) -> float:
    """Return a signal's value, 0.0 to 1.0.

    Args:
        kind: of `SIGNAL_KINDS`.
        value: as it was sent; None where nothing was.

    Raises:
        BadRequest: no such kind, or a value that it does not have.
    """
    if kind not in SIGNAL_KINDS:
        raise _wrong(f"kind is none of {', '.join(SIGNAL_KINDS)}", "kind")
    if kind == "thumb":
        if isinstance(value, (str, int, float)) and not isinstance(value, bool) and value in _THUMBS:
            return _THUMBS[value]
        raise _wrong('the value of a thumb is "up" or "down", or 1 or -1', "value")
    if value is None and kind not in _MEASURED:
        return 1.0
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0.0 <= value <= 1.0:
        raise _wrong(f"the value of {kind} is a number from 0 to 1", "value")
    return float(value)


def signal_source(kind: str, source: str | None) -> str:
    """Return who tells of it: who was named, or else people for labels and users for the rest.

    Raises:
        BadRequest: nobody of that name tells.
    """
    if source is None:
        return "human" if kind == "label" else "user"
    if source not in SOURCES:
        raise _wrong(f"source is none of {', '.join(SOURCES)}", "source")
    return source


def _wrong(message: str, param: str) -> BadRequest:
    return BadRequest(message, code="invalid_value", param=param)
