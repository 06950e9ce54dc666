"""Marks of cases <-> a file that only grows, so that a long run goes on where it was cut off.

Its head says what was asked of whom; the results of another run are never taken for this one's. A last line that was
cut is asked again. Where the text may not be kept, none is in it.
"""

import fcntl
import os
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec
from msgspec import Struct

from classifier.regular_files import open_regular
from router.certifying.base import FilesError
from router.certifying.judging import Marked

FORMAT: Final = "tandem certificate results"

_read_marked: Final = msgspec.json.Decoder(Marked).decode


class _Head(Struct):
    format: str
    run: str


class Results:
    """The file of one run.

    Args:
        path: None keeps results in memory alone.
        run: digest of all that decides what is asked.

    Attributes:
        known: what was answered before, by slice and case.

    Raises:
        FilesError: the file is of another run, or cannot be read or written.
    """

    def __init__(self, path: Path | None, run: str) -> None:
        self.path = path
        self.known: dict[tuple[str, str], Marked] = {}
        self._file = None if path is None else self._opened(path, run)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the file; it stays, for the next run."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def keep(self, marked: Marked) -> None:
        """Add one case, in one write."""
        self.known[marked.slice, marked.case] = marked
        if self._file is not None:
            try:
                _write(self._file, msgspec.json.encode(marked) + b"\n")
            except OSError as error:
                raise _unwritable(self.path, error) from error

    def remove(self) -> None:
        """Delete the file of a run that has ended."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def _opened(self, path: Path, run: str) -> int:
        try:
            with ExitStack() as failed:
                file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK, 0o600)
                failed.callback(os.close, file)
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # until it is closed
                with open_regular(path) as before:
                    written = before.read()
                whole = written[: written.rfind(b"\n") + 1]
                self._read(path, whole, run)
                os.ftruncate(file, len(whole))  # without a line that was cut
                os.lseek(file, 0, os.SEEK_END)
                if not whole:
                    _write(file, msgspec.json.encode(_Head(FORMAT, run)) + b"\n")
                failed.pop_all()
        except BlockingIOError as error:
            raise FilesError(f"{path}: another certify writes to it; wait for that, or choose another --out") from error
        except OSError as error:
            raise _unwritable(path, error) from error
        return file

    def _read(self, path: Path, whole: bytes, run: str) -> None:
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                if number == 1:
                    self._check_head(path, msgspec.json.decode(line, type=_Head), run)
                    continue
                marked = _read_marked(line)
            except msgspec.DecodeError as error:
                raise FilesError(f"{path}:{number}: is no result: {error}; remove the file to begin anew") from error
            self.known[marked.slice, marked.case] = marked

    def _check_head(self, path: Path, head: _Head, run: str) -> None:
        if head.format != FORMAT:
            raise FilesError(f"{path}:1: is no file of results; choose another --out")
        if head.run != run:
            raise FilesError(
                f"{path}:1: holds results of a run with other models, suites, margins, questions or another seed; "
                "remove it, or choose another --out"
            )


def _unwritable(path: Path | None, error: OSError) -> FilesError:
    return FilesError(f"{path}: cannot be written: {(error.strerror or 'unknown reason').lower()}")


def _write(file: int, line: bytes) -> None:
    while line:
        line = line[os.write(file, line) :]
