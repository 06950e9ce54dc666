"""Text with ${NAME} and the environment -> text.

`${NAME}` is the variable's value, `${NAME:-text}` that or, where it is unset or empty, the text. Only values
are filled, never keys, and what a variable holds is not looked into again.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from router.config.document import Document, Note, Steps

_REFERENCE: Final = re.compile(r"\$\{(?:([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\})?", re.ASCII)


@dataclass(slots=True)
class Filled:
    """A document's values with every reference filled in.

    Attributes:
        values: as in the document.
        secrets: what came from the environment; no message may show it.
        notes: references that could not be filled.
    """

    values: dict[str, object] = field(default_factory=dict)
    secrets: set[str] = field(default_factory=set)
    notes: list[Note] = field(default_factory=list)


def fill(document: Document, env: Mapping[str, str]) -> Filled:
    """Return the document's values with every reference filled in."""
    filler = _Filler(document, env)
    values = {key: filler.value(value, (key,)) for key, value in document.values.items()}
    return Filled(values, filler.secrets, filler.notes)


class _Filler:
    def __init__(self, document: Document, env: Mapping[str, str]) -> None:
        self._document, self._env = document, env
        self.secrets: set[str] = set()
        self.notes: list[Note] = []

    def value(self, value: object, steps: Steps) -> object:
        if isinstance(value, dict):
            return {key: self.value(inner, (*steps, key)) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.value(inner, (*steps, index)) for index, inner in enumerate(value)]
        if isinstance(value, str) and "${" in value:
            filled = _REFERENCE.sub(lambda reference: self._text(reference, steps), value)
            self.secrets.add(filled)
            return filled
        return value

    def _text(self, reference: re.Match[str], steps: Steps) -> str:
        name, default = reference[1], reference[2]
        if name is None:
            self._note(steps, "a ${ that begins no reference", "write ${NAME} or ${NAME:-default}")
            return ""
        text = self._env.get(name)
        if text:
            self.secrets.add(text)
            return text
        if default is not None:
            return str(default)
        if text is None:
            self._note(steps, f"the environment has no {name}", f"set it, or write ${{{name}:-default}}")
        return ""

    def _note(self, steps: Steps, message: str, suggestion: str) -> None:
        self.notes.append(Note(self._document.place_of(steps), steps, message, suggestion))
