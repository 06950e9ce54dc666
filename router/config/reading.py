"""Configuration file and environment -> Config, or all that is wrong with it.

The only place that reads the file. It is read whole, checked whole, and changes nothing when it is wrong.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from router.config.document import Document, DocumentError, Note, Place, shown
from router.config.environment import fill
from router.config.faults import ConfigError, Fault
from router.config.models import Config
from router.config.toml_text import read_toml
from router.config.wording import Wording
from router.config.yaml_text import read_yaml

MAX_BYTES: Final = 256 << 10

_NOTATIONS: Final = {".yaml": read_yaml, ".yml": read_yaml, ".toml": read_toml}
_TOP: Final = Place(1, 1)


def read_config(
    path: Path | None, env: Mapping[str, str] = os.environ, *, host: str | None = None, port: int | None = None
) -> Config:
    """Return the configuration in a file.

    Args:
        path: YAML or TOML, by extension; None is the built-in configuration.
        env: what ${NAME} is filled from.
        host: where to listen, instead of what the file says.
        port: likewise.

    Raises:
        ConfigError: the file cannot be used; holds all faults in the file's order.
    """
    file = "" if path is None else str(path)
    # No cause is kept in either case: a parser's error and a model's hold the text, and with it secrets.
    try:
        document = Document({}) if path is None else _document(path)
    except DocumentError as error:
        raise ConfigError((_fault(file, error.note),)) from None
    filled = fill(document, env)
    values = _listening(filled.values, {"host": host, "port": port})
    notes = [*document.notes, *filled.notes]
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        refused = Wording(document, values, secrets=filled.secrets).notes_on(error)
        # A value that could not be filled in is not also wrong because it is empty.
        notes += [note for note in refused if not any(_is_below(note, unfilled) for unfilled in filled.notes)]
    if notes:
        raise ConfigError(tuple(sorted({_fault(file, note) for note in notes})))
    return config


def _document(path: Path) -> Document:
    notation = _NOTATIONS.get(path.suffix.lower())
    if notation is None:
        raise DocumentError(_TOP, "an unknown kind of file", f"name it with one of {', '.join(_NOTATIONS)}")
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise DocumentError(_TOP, f"cannot be read: {(error.strerror or 'unknown reason').lower()}") from error
    if len(content) > MAX_BYTES:
        raise DocumentError(_TOP, f"longer than {MAX_BYTES} bytes")
    try:
        return notation(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        before = content[: error.start]
        place = Place(before.count(b"\n") + 1, len(before) - before.rfind(b"\n"))
        raise DocumentError(place, "not UTF-8", "save the file as UTF-8") from error


def _listening(values: dict[str, object], wanted: Mapping[str, object]) -> dict[str, object]:
    """Return the values with what the command line wants; a server that is no mapping is left to be refused."""
    server = values.get("server", {})
    given = {name: value for name, value in wanted.items() if value is not None}
    return {**values, "server": {**server, **given}} if given and isinstance(server, dict) else values


def _is_below(note: Note, unfilled: Note) -> bool:
    return note.steps[: len(unfilled.steps)] == unfilled.steps


def _fault(file: str, note: Note) -> Fault:
    line, column = note.place
    return Fault(file, line, column, shown(note.steps), note.message, note.suggestion)
