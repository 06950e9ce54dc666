"""Configuration file and environment -> Config, or all that is wrong with it.

The only place that reads the file. It is read whole, checked whole, and changes nothing when it is wrong.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from classifier.regular_files import read_regular
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


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a file has chosen.

    Attributes:
        values: that give the same configuration in another process; secrets are among them.
    """

    config: Config
    values: Mapping[str, object] = field(repr=False)


def read_config(
    path: Path | None, env: Mapping[str, str] = os.environ, *, host: str | None = None, port: int | None = None
) -> Config:
    """Return the configuration in a file; see `read_chosen`."""
    return read_chosen(path, env, host=host, port=port).config


def read_chosen(
    path: Path | None, env: Mapping[str, str] = os.environ, *, host: str | None = None, port: int | None = None
) -> Chosen:
    """Return what a file has chosen.

    Args:
        path: YAML or TOML, by extension; None is the built-in configuration.
        env: what ${NAME} is filled from.
        host: where to listen, instead of what the file says.
        port: likewise.

    Raises:
        ConfigError: the file cannot be used; holds all faults in the file's order.
    """
    file = "" if path is None else str(path)
    document = read_document(path)
    filled = fill(document, env)
    values = _listening(filled.values, {"host": host, "port": port})
    notes = [*document.notes, *filled.notes]
    try:
        config = Config.model_validate(values)
    except ValidationError as error:  # not kept as a cause: it holds the text, and with it secrets
        refused = Wording(document, values, secrets=filled.secrets).notes_on(error)
        # A value that could not be filled in is not also wrong because it is empty.
        notes += [note for note in refused if not any(_is_below(note, unfilled) for unfilled in filled.notes)]
    if notes:
        raise ConfigError(faults_of(file, notes))
    return Chosen(config, values)


def placed(path: Path | None, faults: Iterable[Fault]) -> tuple[Fault, ...]:
    """Return what was found wrong with the values of a file, with the places of their keys and in the file's order.

    Args:
        path: of the file that `read_config` has read; None is the built-in configuration, which has no places.
        faults: each with the path of one value.

    Raises:
        ConfigError: the file cannot be read any more.
    """
    document = read_document(path)
    found = []
    for fault in faults:
        line, column = document.key_place_of(tuple(fault.path.split(".")))
        found.append(replace(fault, file="" if path is None else str(path), line=line, column=column))
    return tuple(sorted(found))


def read_document(path: Path | None) -> Document:
    """Return what a file says; nothing where there is none.

    Raises:
        ConfigError: it cannot be read.
    """
    if path is None:
        return Document({})
    try:
        return _parsed(path)
    except DocumentError as error:  # not kept as a cause: it holds the text, and with it secrets
        raise ConfigError(faults_of(str(path), [error.note])) from None


def _parsed(path: Path) -> Document:
    notation = _NOTATIONS.get(path.suffix.lower())
    if notation is None:
        raise DocumentError(_TOP, "an unknown kind of file", f"name it with one of {', '.join(_NOTATIONS)}")
    try:
        content = read_regular(path, most=MAX_BYTES)
    except OSError as error:
        raise DocumentError(_TOP, f"cannot be read: {(error.strerror or 'unknown reason').lower()}") from error
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


def faults_of(file: str, notes: Iterable[Note]) -> tuple[Fault, ...]:
    """Return what was noted of a file as faults, in its order, each once."""
    return tuple(sorted({Fault(file, *note.place, shown(note.steps), note.message, note.suggestion) for note in notes}))
