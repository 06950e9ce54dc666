"""What was learnt as usual <-> a file, so that a restart need not learn it again.

References of scores stand under the version of the weights that gave them, so that other weights begin anew. A file
that is damaged is begun anew, too; one that cannot be written costs a line in the log. Several workers have one file:
each learns from its own part of the same traffic, and the last to write is right.
"""

import logging
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from classifier.regular_files import read_regular
from router.statistics.drift import Reference

FORMAT: Final = "tandem-alerts-1"
MOST: Final = 2_000  # references; the oldest go first
HIGHEST: Final = 1 << 62  # nano-USD

_log = logging.getLogger(__name__)


class _Learnt(Struct):
    references: dict[str, Reference]
    accuracy: dict[str, Annotated[float, Meta(ge=0, le=1)]]
    hours: list[Annotated[int, Meta(ge=0, le=HIGHEST)]]
    format: str = FORMAT


class Memory:
    """One file; `save` may be called from any thread, everything else by one task."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._learnt = _read(path)
        self.has_changed = False

    @property
    def hours(self) -> Sequence[int]:
        """Return nano-USD of full hours, oldest first."""
        return self._learnt.hours

    def reference(self, name: str) -> Reference | None:
        """Return the reference of this name."""
        return self._learnt.references.get(name)

    def keep_reference(self, name: str, reference: Reference) -> None:
        """Remember a reference."""
        known = self._learnt.references
        known[name] = reference
        while len(known) > MOST:
            del known[next(iter(known))]
        self.has_changed = True

    def accuracy(self, grader: str) -> float | None:
        """Return the accuracy that was learnt by this measure."""
        return self._learnt.accuracy.get(grader)

    def keep_accuracy(self, grader: str, accuracy: float) -> None:
        """Remember an accuracy."""
        self._learnt.accuracy[grader] = accuracy
        self.has_changed = True

    def keep_hours(self, hours: Sequence[int]) -> None:
        """Remember the spending of hours."""
        self._learnt.hours = [*hours]
        self.has_changed = True

    def written(self) -> bytes:
        """Return what the file is to hold; nothing has changed then."""
        self.has_changed = False
        return msgspec.json.encode(self._learnt)

    def save(self, content: bytes) -> None:
        """Write the file, whole or not at all."""
        try:
            handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=self._path.name)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(content)
                Path(name).replace(self._path)
            except OSError:
                Path(name).unlink(missing_ok=True)
                raise
        except OSError as error:
            _log.warning("%s: what alerts have learnt is not kept: %s", self._path, error.strerror or error)


def _read(path: Path) -> _Learnt:
    try:
        found = msgspec.json.decode(read_regular(path), type=_Learnt)
        if found.format == FORMAT:
            return found
        reason = f"the format is {found.format!r}, this code reads {FORMAT}"
    except FileNotFoundError:
        return _Learnt({}, {}, [])
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        reason = str(error)
    _log.warning("%s: what alerts had learnt is begun anew: %s", path, reason)
    return _Learnt({}, {}, [])
