"""TOML text -> document, with the place of each value.

The standard library reads the values and refuses what is not TOML, but says no places. So the places are found
by a second walk over a text that is known to be valid, which may therefore be simple.
"""

import re
import tomllib
from bisect import bisect_left
from typing import Final

from router.config.document import MAX_DEPTH, Document, DocumentError, Place, Steps

_BLANK: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_STRINGS: Final = (
    r'"""(?:[^\\]|\\.)*?"{3,5}(?!")',
    r"'''.*?'{3,5}(?!')",
    r'"(?:[^"\\\n]|\\.)*"',
    r"'[^'\n]*'",
)
_STRING: Final = re.compile("|".join(_STRINGS), re.DOTALL)
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_PLAIN: Final = re.compile(r"[^\s,\]}#]+(?: \d\d:[^\s,\]}#]+)?")  # numbers, words, days with a time after a blank
# In the messages of the standard library: none quotes a value.
_AT: Final = re.compile(r".* \(at line (\d+), column (\d+)\)", re.DOTALL)
_TWICE: Final = re.compile(r"overwrite|twice|Duplicate|mutate")


def read_toml(text: str) -> Document:
    """Return what a text says.

    Raises:
        DocumentError: not TOML, or nested too deep.
    """
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _refused(str(error), text) from error
    except RecursionError as error:
        raise DocumentError(Place(1, 1), f"nested deeper than {MAX_DEPTH}") from error
    walk = _Walk(text)
    walk.document()
    return Document(values, walk.keys, walk.starts)


class _Walk:
    """Steps through a valid text and notes where each key and each value begins."""

    def __init__(self, text: str) -> None:
        self.keys: dict[Steps, Place] = {}
        self.starts: dict[Steps, Place] = {(): Place(1, 1)}
        self._text, self._at = text, 0
        self._line_ends = [match.start() for match in re.finditer("\n", text)]
        self._rows: dict[Steps, int] = {}  # of arrays of tables: how many so far

    def document(self) -> None:
        table: Steps = ()
        while char := self._next():
            if char == "[":
                table = self._header()
            else:
                self._entry(table)

    def _header(self) -> Steps:
        place = self._place()
        is_row = self._text.startswith("[[", self._at)
        brackets = 2 if is_row else 1
        self._at += brackets
        names = self._names()
        self._next()
        self._at += brackets
        steps: Steps = ()
        for name in names[:-1]:
            steps = (*steps, name)
            if steps in self._rows:
                steps = (*steps, self._rows[steps] - 1)  # a table below an array belongs to its last row
        steps = (*steps, names[-1])
        self._found(steps, key=place, start=place)
        if is_row:
            row = self._rows.get(steps, 0)
            self._rows[steps] = row + 1
            steps = (*steps, row)
            self._found(steps, key=place, start=place)
        return steps

    def _entry(self, table: Steps) -> None:
        place = self._place()
        names = self._names()
        for length in range(1, len(names)):
            self._found((*table, *names[:length]), key=place, start=place)
        self._next()
        self._at += 1  # the equals sign
        self._next()
        self._found((*table, *names), key=place, start=self._place())
        self._value((*table, *names))

    def _names(self) -> tuple[str, ...]:
        names: list[str] = []
        while True:
            self._next()
            quoted = _STRING.match(self._text, self._at)
            names.append(quoted[0][1:-1] if quoted else self._take(_BARE))
            self._at = quoted.end() if quoted else self._at
            if self._next() != ".":
                return tuple(names)
            self._at += 1

    def _value(self, steps: Steps) -> None:
        char = self._text[self._at]
        if char == "[":
            self._inside("]", steps)
        elif char == "{":
            self._inside("}", steps)
        else:
            self._take(_STRING if char in "\"'" else _PLAIN)

    def _inside(self, end: str, steps: Steps) -> None:
        self._at += 1
        count = 0
        while (char := self._next()) != end:
            if char == ",":
                self._at += 1
            elif end == "}":
                self._entry(steps)
            else:
                self._found((*steps, count), key=self._place(), start=self._place())
                self._value((*steps, count))
                count += 1
        self._at += 1

    def _found(self, steps: Steps, *, key: Place, start: Place) -> None:
        if len(steps) > MAX_DEPTH:
            raise DocumentError(start, f"nested deeper than {MAX_DEPTH}")
        self.keys.setdefault(steps, key)
        self.starts.setdefault(steps, start)

    def _next(self) -> str:
        """Skip blanks and comments; return the character that stands there, "" at the end."""
        self._take(_BLANK)
        return self._text[self._at : self._at + 1]

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            raise DocumentError(self._place(), "not read")
        self._at = match.end()
        return match[0]

    def _place(self) -> Place:
        line = bisect_left(self._line_ends, self._at)
        start = self._line_ends[line - 1] + 1 if line else 0
        return Place(line + 1, self._at - start + 1)


def _refused(said: str, text: str) -> DocumentError:
    match = _AT.fullmatch(said)
    lines = text.rstrip().split("\n")
    place = Place(int(match[1]), int(match[2])) if match else Place(len(lines), len(lines[-1]) + 1)
    if _TWICE.search(said):
        return DocumentError(place, "a key or table is given twice", "remove one")
    message = said.partition(" (at ")[0]
    return DocumentError(place, f"not TOML: {message[:1].lower()}{message[1:]}")
