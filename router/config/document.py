"""The words of a parsed file: its values, and where each of them stands.

Both notations, YAML and TOML, are read into the same words, so that whatever follows knows neither.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

Steps = tuple[str | int, ...]  # from the root to a value: ("backends", "large", "urls", 0)

MAX_DEPTH: Final = 32
MAX_VALUES: Final = 10_000  # aliases count as often as they are used

# What a key must look like to be repeated in a message: a value that slipped into a key's place may be a secret.
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z_-]{0,29}[0-9]{0,3}", re.ASCII)


class Place(NamedTuple):
    """Where something is written; both count from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Note:
    """Something wrong that does not stop the reading."""

    place: Place
    steps: Steps
    message: str
    suggestion: str = ""


class DocumentError(Exception):
    """The text cannot be read on; holds a note on where and why."""

    def __init__(self, place: Place, message: str, suggestion: str = "") -> None:
        super().__init__(message)
        self.note = Note(place, (), message, suggestion)


@dataclass(frozen=True, slots=True)
class Document:
    """One file as it was read.

    Attributes:
        values: what it says; no value of it is one that was checked.
        keys: where the key of an entry is written.
        starts: where a value begins.
        notes: what was wrong.
    """

    values: Mapping[str, object]
    keys: Mapping[Steps, Place] = field(default_factory=dict)
    starts: Mapping[Steps, Place] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()

    def place_of(self, steps: Steps) -> Place:
        """Return where a value begins; where it is not written, where the nearest one around it begins."""
        while steps and steps not in self.starts:
            steps = steps[:-1]
        return self.starts.get(steps, Place(1, 1))

    def key_place_of(self, steps: Steps) -> Place:
        """Return where an entry's key is written."""
        return self.keys.get(steps) or self.place_of(steps)


def nameable(name: object) -> str | None:
    """Return a key's name if a message may repeat it, else None."""
    return name if isinstance(name, str) and _NAME.fullmatch(name) else None


def shown(steps: Steps) -> str:
    """Return steps as people write them: "backends.large.urls[0]"; what looks like no name is left out."""
    path = ""
    for step in steps:
        if isinstance(step, int):
            path += f"[{step}]"
        elif (name := nameable(step)) is not None:
            path += f".{name}" if path else name
    return path
