"""Intents -> lines of a file beside the ledger, which outlive the process; and back, where it has ended before them.

A line costs the loop next to nothing; a row would cost a thread, a transaction and a wait. Most requests end before
their intent has become a row, and are then written at once, with what became of them. Each process has a file of its
own, locked for as long as it lives, and takes another one when it is full or old. Files are mapped into memory: what
stands there is the kernel's, whatever becomes of the process, and no call lets another thread go first. A ledger in a
database has none, since whoever goes on with it may run on another machine.
"""

import asyncio
import errno
import fcntl
import logging
import mmap
import os
import re
from collections.abc import Callable, Generator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import uuid4

import msgspec

from router.base import Decision, Intent
from router.ledger.place import LedgerPlace, PostgresPlace, Reading, as_place

MOST_BYTES: Final = 1 << 20  # of one file: about two thousand intents
LONG: Final = 60.0  # seconds, after which what is open becomes a row
AGAIN: Final = 0.5  # seconds after which a file is tried again that could not be made

INTENTS: Final = "-intents-"
"""What stands in a file's name between its ledger's name and what no other has."""

UNREAD: Final = ".unread"
"""What is added to the name of a file that holds more than could be made rows of."""

_OWN: Final = re.compile("[0-9a-f]{12}")  # another ledger's name may begin as our files' do
_MODE: Final = 0o600
_NEW: Final = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC
_UNSETTLED: Final = """
SELECT value AS id FROM json_each(:ids) WHERE NOT EXISTS (SELECT 1 FROM requests WHERE requests.id = value)
"""

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Intent).decode
_log = logging.getLogger(__name__)


class _AnyDecision(Decision, frozen=True, kw_only=True):
    tier: str  # type: ignore[assignment]  # who makes vectors stands where a tier does, and is none


class _AnyIntent(Intent, frozen=True, kw_only=True):
    decision: _AnyDecision


_decode_any: Final = msgspec.json.Decoder(_AnyIntent).decode


class IntentJournal:
    """What one process has written down, and what of it has not become a row; belongs to its loop."""

    def __init__(
        self, ledger: Path, *, loop: asyncio.AbstractEventLoop, rotated: "Callable[[IntentFile], None]"
    ) -> None:
        """Take note of what to do; a file is made with the first intent.

        Args:
            rotated: given each file that no more is written to, soon after which its open intents ought to be rows.
        """
        self._ledger, self._loop, self._rotated = ledger, loop, rotated
        self._file: IntentFile | None = None
        self._timer: asyncio.TimerHandle | None = None

    def write(self, intent: Intent) -> bool:
        """Write an intent down; tells whether the kernel has it."""
        file = self._file
        try:
            if file is not None:
                if file.write(intent):
                    return True
                self.rotate()
            return self._timer is None and self._begin().write(intent)
        except (OSError, ValueError):  # no room, or what JSON cannot say: whoever makes a row of it finds out
            return False

    def take(self, identifier: str) -> Intent | None:
        """Return the intent of a request that has no row yet and is given one now; None where that is not so."""
        return None if self._file is None else self._file.open.pop(identifier, None)

    def look(self) -> None:
        """Go on in another file where somebody has removed this one."""
        if self._file is not None and not self._file.is_there():
            self.rotate()

    def rotate(self) -> None:
        """Go on in another file, for the next intent."""
        file, self._file = self._file, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if file is not None:
            self._rotated(file)

    def _begin(self) -> "IntentFile":
        """Return a new file.

        Raises:
            OSError: there is no room, or no right to; it is tried again a little later.
        """
        self._timer = self._loop.call_later(AGAIN, self.rotate)
        file = self._file = IntentFile(self._ledger)
        self._timer.cancel()
        self._timer = self._loop.call_later(LONG, self.rotate)
        return file


class IntentFile:
    """One file, which one process writes.

    Attributes:
        open: intents by the id of their request, which have not become rows.
    """

    __slots__ = ("_descriptor", "_end", "_lines", "_path", "open")

    def __init__(self, ledger: Path) -> None:
        """Make the file, with room for all that it may hold.

        Raises:
            OSError: there is no room, or no right to.
        """
        self._path = ledger.with_name(f"{ledger.name}{INTENTS}{uuid4().hex[:12]}")
        with ExitStack() as failed:
            self._descriptor = os.open(self._path, _NEW, _MODE)
            failed.callback(self._give_up)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not self.is_there():  # whoever looks for what was left has come between
                raise FileNotFoundError(errno.ENOENT, "removed by another process", str(self._path))
            os.posix_fallocate(self._descriptor, 0, MOST_BYTES)  # a page without room would end the process
            self._lines = mmap.mmap(self._descriptor, MOST_BYTES)
            failed.pop_all()
        self._end = 0
        self.open: dict[str, Intent] = {}

    def write(self, intent: Intent) -> bool:
        """Write a line; tells whether there was room for it.

        Raises:
            ValueError: a text of it is no Unicode, or a number too large.
        """
        line = _encode(intent) + b"\n"
        end = self._end + len(line)
        if end > MOST_BYTES:
            return False
        self._lines[self._end : end] = line
        self._end = end
        self.open[intent.id] = intent
        return True

    def is_there(self) -> bool:
        """Tell whether the file still has a name: what is written into one without is gone with the process."""
        return os.fstat(self._descriptor).st_nlink > 0

    def remove(self) -> None:
        """Remove the file: all of it stands in the ledger."""
        self._lines.close()
        self._give_up()

    def _give_up(self) -> None:
        with suppress(OSError):
            self._path.unlink()
        os.close(self._descriptor)


@dataclass(slots=True)
class Left:
    """What stands in a file of a process that has ended.

    Attributes:
        unread: lines that were written wholly, and of which no row can be made.
    """

    intents: list[Intent]
    unread: int


def left_behind(ledger: Path) -> Generator[Left]:
    """Yield what processes have left that have ended; each file is removed when the next one is asked for.

    One of which something is unread is kept under another name.

    Raises:
        OSError: a file cannot be read.
    """
    for path in _files(ledger):
        with suppress(FileNotFoundError), path.open("rb") as file:  # its process has made rows of it meanwhile
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:  # its process lives
                continue
            left = _read(file.read())
            yield left
            if left.unread:
                kept = path.rename(f"{path}{UNREAD}")
                _log.error("%d lines of intents cannot be read; they are kept in %s", left.unread, kept)
            else:
                path.unlink()


def journalled(ledger: LedgerPlace | Path) -> list[Intent]:
    """Return the intents that stand in files beside a ledger, those of requests with a row among them.

    Read before the ledger, so that what becomes a row meanwhile is found there.
    """
    place = as_place(ledger)
    if isinstance(place, PostgresPlace):
        return []
    found: list[Intent] = []
    with suppress(OSError):  # a folder that is not there is for whoever opens the ledger to tell
        for path in _files(place.path):
            with suppress(FileNotFoundError):  # its intents have become rows
                found += _read(path.read_bytes()).intents
    return found


def unsettled(intents: list[Intent], opened: Reading) -> list[Intent]:
    """Return those of the intents that have no row in the ledger that is read."""
    if not intents:
        return []
    ids = msgspec.json.encode([intent.id for intent in intents]).decode()
    missing = {row["id"] for row in opened.rows(_UNSETTLED, ids=ids)}
    return [intent for intent in intents if intent.id in missing]


def _read(lines: bytes) -> Left:
    """Return what a file holds; a piece of a line at its end was never answered for."""
    left = Left([], 0)
    *whole, piece = lines.split(b"\n")
    for line in (*whole, piece):
        said = line.strip(b"\0")  # a page that a machine has lost stands as zeros
        try:
            if said:
                left.intents.append(_decoded(said))
        except (ValueError, RecursionError):
            left.unread += line is not piece
    return left


def _decoded(line: bytes) -> Intent:
    try:
        return _decode(line)
    except msgspec.ValidationError:  # of no tier
        return _decode_any(line)


def _files(ledger: Path) -> list[Path]:
    begin = f"{ledger.name}{INTENTS}"
    with os.scandir(ledger.parent) as entries:
        names = [
            each.name
            for each in entries
            if each.name.startswith(begin)
            and _OWN.fullmatch(each.name, len(begin))
            and each.is_file(follow_symlinks=False)  # to open a pipe would wait for whoever writes it
        ]
    return [ledger.with_name(name) for name in sorted(names)]
