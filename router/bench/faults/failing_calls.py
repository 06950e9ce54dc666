"""Calls of SQLite and of sockets in this process -> the same calls, but for the k-th, which fails.

The seam is Python's own: a connection of sqlite3 and a socket of asyncio's plain loop, whoever holds them and however
they came by them. A call fails without being carried out, or is carried out and fails all the same.
"""

import errno
import socket
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from types import TracebackType
from typing import Final, Literal, TypeVar

_Told = TypeVar("_Told")
connect_untouched: Final = sqlite3.connect
"""For whoever looks on meanwhile."""
_METHODS: Final = ("connect", "send", "recv")


class Seam(StrEnum):
    """Whose calls fail."""

    FILE = "file"
    REDIS = "redis"
    UPSTREAM = "upstream"


@dataclass(frozen=True, slots=True)
class Way:
    """One way to fail.

    Attributes:
        is_done: the call was carried out, and its caller is told otherwise.
    """

    name: str
    seams: tuple[Seam, ...]
    error: Callable[[], Exception]
    is_done: bool = False


_FILE: Final = (Seam.FILE,)
_SOCKETS: Final = (Seam.REDIS, Seam.UPSTREAM)

WAYS: Final = (
    Way("disk full", _FILE, lambda: sqlite3.OperationalError("database or disk is full")),
    Way("i/o error when done", _FILE, lambda: sqlite3.OperationalError("disk I/O error"), is_done=True),
    Way("malformed", _FILE, lambda: sqlite3.DatabaseError("database disk image is malformed")),
    Way("value refused", _FILE, lambda: sqlite3.IntegrityError("constraint failed")),
    Way("reset", _SOCKETS, lambda: ConnectionResetError(errno.ECONNRESET, "connection reset by peer")),
    Way("reset when done", _SOCKETS, lambda: ConnectionResetError(errno.ECONNRESET, "reset by peer"), is_done=True),
    Way("timed out", _SOCKETS, lambda: TimeoutError(errno.ETIMEDOUT, "connection timed out")),
    Way("no buffers", _SOCKETS, lambda: OSError(errno.ENOBUFS, "no buffer space available")),
)


class Calls:
    """Counts calls by their seam, and lets one of them fail; safe for threads.

    Args:
        ports: of servers on 127.0.0.1, by the seam that calls to them are of.
    """

    def __init__(self, ports: Mapping[int, Seam]) -> None:
        self.ports = ports
        self._lock = threading.Lock()
        self._counts: Counter[Seam] = Counter()
        self._chosen: tuple[Way, Seam, int] | None = None

    def begin(self, way: Way | None = None, seam: Seam | None = None, number: int = 0) -> None:
        """Count from 0 again; where a way is given, the call of that number fails so."""
        with self._lock:
            self._counts.clear()
            self._chosen = None if way is None or seam is None else (way, seam, number)

    def end(self) -> Mapping[Seam, int]:
        """Let nothing fail any more; returns what was counted."""
        with self._lock:
            self._chosen = None
            return Counter(self._counts)

    def carry_out(self, seam: Seam | None, call: Callable[[], _Told], *, undo: Callable[[], object] = int) -> _Told:
        """Return what a call gives, or fail in its place.

        Args:
            undo: what takes its place where it is not carried out.
        """
        way = None if seam is None else self._due(seam)
        if way is None:
            return call()
        if way.is_done:
            call()
        else:
            undo()
        raise way.error()

    def _due(self, seam: Seam) -> Way | None:
        with self._lock:
            self._counts[seam] += 1
            if self._chosen is None or self._chosen[1:] != (seam, self._counts[seam]):
                return None
            return self._chosen[0]


@contextmanager
def failing(calls: Calls) -> Generator[None, None, None]:
    """Let calls fail, in this process, as they say; connections to databases are those that the block opens."""
    own = dict(vars(socket.socket))
    for name in _METHODS:
        setattr(socket.socket, name, _counted(calls, getattr(socket.socket, name), _seam_of))
    vars(sqlite3)["connect"] = partial(connect_untouched, factory=_database(calls))
    try:
        yield
    finally:
        vars(sqlite3)["connect"] = connect_untouched
        for name in _METHODS:
            if name in own:
                setattr(socket.socket, name, own[name])
            else:
                delattr(socket.socket, name)


def _counted(
    calls: Calls, method: Callable[..., _Told], seam_of: Callable[[Calls, object, tuple[object, ...]], Seam | None]
) -> Callable[..., _Told]:
    """Return a method that fails when it is told to."""

    def called(self: object, *given: object) -> _Told:
        return calls.carry_out(seam_of(calls, self, given), partial(method, self, *given))

    return called


def _seam_of(calls: Calls, own: object, given: tuple[object, ...]) -> Seam | None:
    """Return where a socket leads, or is to lead."""
    try:
        peer = own.getpeername() if isinstance(own, socket.socket) else None
    except OSError:  # it is not connected yet
        peer = given[0]
    return calls.ports.get(peer[1]) if isinstance(peer, tuple) else None


def _file(_calls: Calls, _own: object, _given: tuple[object, ...]) -> Seam:
    return Seam.FILE


def _database(calls: Calls) -> type[sqlite3.Connection]:
    class Database(sqlite3.Connection):
        """A connection that fails when it is told to; a commit that fails is undone, as sqlite3 does by itself."""

        def __exit__(
            self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
        ) -> Literal[False]:
            leave = super().__exit__
            if kind is not None:
                return leave(kind, error, trace)
            undo = partial(leave, sqlite3.Error, sqlite3.Error(), None)
            return calls.carry_out(Seam.FILE, partial(leave, None, None, None), undo=undo)

    for name in ("execute", "executemany"):
        setattr(Database, name, _counted(calls, getattr(sqlite3.Connection, name), _file))
    return Database
