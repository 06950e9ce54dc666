"""YAML text -> document, with the place of each value.

Reads the parser's events and builds plain values only: no tag makes an object, depth and size are bounded
also where aliases multiply, and words mean what YAML 1.2 says, so that `off` is a word and not a false.
"""

import math
import re
from collections.abc import Iterator
from typing import Final

import yaml

from router.config.document import MAX_DEPTH, MAX_VALUES, Document, DocumentError, Note, Place, Steps, nameable

_WORDS: Final[dict[str, object]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", "+.inf"), math.inf),
    "-.inf": -math.inf,
    ".nan": math.nan,
}
_WHOLE: Final = re.compile(r"[-+]?[0-9]{1,30}", re.ASCII)
_REAL: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_QUOTED: Final = re.compile(r"'[^']{4,}'")  # in the parser's own messages; shorter ones are punctuation


def read_yaml(text: str) -> Document:
    """Return what a text says.

    Raises:
        DocumentError: not YAML, not one mapping, or too much of it.
    """
    try:
        return _Reader(text).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = Place(1, 1) if mark is None else Place(mark.line + 1, mark.column + 1)
        raise DocumentError(place, f"not YAML: {_blanked(error.problem or 'cannot be read')}") from error
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        place = Place(before.count("\n") + 1, len(before) - before.rfind("\n"))
        raise DocumentError(place, "not YAML: a control character", "remove it") from error


class _Reader:
    """Events -> values; stops at the first thing that makes the rest meaningless."""

    def __init__(self, text: str) -> None:
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=yaml.SafeLoader)
        self._keys: dict[Steps, Place] = {}
        self._starts: dict[Steps, Place] = {}
        self._notes: list[Note] = []
        self._anchors: dict[str, tuple[object, int]] = {}
        self._count = 0

    def document(self) -> Document:
        next(self._events)  # the stream's start
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return Document({})
        start = next(self._events)
        values = self._value(start, ())
        next(self._events)  # the document's end
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            raise DocumentError(_place(after), "a second document in one file", "keep the first one only")
        if values is None:
            values = {}
        if not isinstance(values, dict):
            raise DocumentError(_place(start), "not a mapping", 'begin with a key such as "backends:"')
        return Document(values, self._keys, self._starts, tuple(self._notes))

    def _value(self, event: yaml.Event, steps: Steps) -> object:
        place = _place(event)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, steps, place)
        self._starts[steps] = place
        before = self._count
        self._grow(1, place)
        if len(steps) > MAX_DEPTH:
            raise DocumentError(place, f"nested deeper than {MAX_DEPTH}")
        if getattr(event, "tag", None) is not None:
            self._notes.append(Note(place, steps, "tags are not read", "remove what begins with !"))
        value: object
        if isinstance(event, yaml.MappingStartEvent):
            value = self._mapping(steps)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._sequence(steps)
        else:
            value = _scalar(event)
        if isinstance(event, yaml.NodeEvent) and event.anchor is not None:
            self._anchors[event.anchor] = (value, self._count - before)
        return value

    def _mapping(self, steps: Steps) -> dict[str, object]:
        values: dict[str, object] = {}
        while not isinstance(key := next(self._events), yaml.MappingEndEvent):
            place = _place(key)
            if not isinstance(key, yaml.ScalarEvent):
                raise DocumentError(place, "a key is no plain word")
            name = str(key.value)
            twice = name in values
            inner = (*steps, name)
            # What a second entry says is read, so that reading can go on, and forgotten: its place is not the first's.
            if twice:
                word = f"`{nameable(name)}`" if nameable(name) else "a key"
                self._notes.append(
                    Note(place, inner, f"{word} is given twice", f"first in line {self._keys[inner].line}")
                )
                inner = (*steps, name, "")
            else:
                self._keys[inner] = place
            value = self._value(next(self._events), inner)
            if not twice:
                values[name] = value
        return values

    def _sequence(self, steps: Steps) -> list[object]:
        values: list[object] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            values.append(self._value(event, (*steps, len(values))))
        return values

    def _alias(self, event: yaml.AliasEvent, steps: Steps, place: Place) -> object:
        # An anchor is known once its value is whole: one that holds itself is unknown inside.
        if event.anchor not in self._anchors:
            raise DocumentError(place, "an alias without an anchor before it", "quote a text that begins with *")
        value, count = self._anchors[event.anchor]
        self._starts[steps] = place  # what lies below is found here: this is the line to be mended
        self._grow(count, place)
        return value

    def _grow(self, count: int, place: Place) -> None:
        self._count += count
        if self._count > MAX_VALUES:
            raise DocumentError(place, f"more than {MAX_VALUES} values, aliases counted as often as they are used")


def _scalar(event: yaml.Event) -> object:
    if not isinstance(event, yaml.ScalarEvent):
        return None
    text = str(event.value)
    if event.style is not None:  # quoted or a block: always text
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _WHOLE.fullmatch(text):
        return int(text)
    return float(text) if _REAL.fullmatch(text) else text


def _place(event: yaml.Event) -> Place:
    mark = event.start_mark
    return Place(1, 1) if mark is None else Place(mark.line + 1, mark.column + 1)


def _blanked(problem: str) -> str:
    """Return the parser's words without what it quotes of the text; its own <token names> stay."""
    return _QUOTED.sub(lambda quoted: quoted[0] if quoted[0].startswith("'<") else "'...'", problem)
