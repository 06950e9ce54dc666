"""Idempotency keys -> the first answer that was given under each, in one SQLite file.

Several processes may have the file open. A request claims its key before it is answered; a claim belongs to its
process, which shows that it lives by a lock that the kernel gives up with it, so that nobody waits for the dead. Kept
answers outlive processes; a commit survives their death, not the loss of power. An answer that the file does not take
is held here and tried again, so that its key is not answered twice. Knows digests of keys and bodies alone.
"""

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from router.base import Unavailable
from router.stored.opening import waits_until
from router.stored.owned_file import OwnedFile

KEPT_FOR: Final = 86_400.0  # seconds
ERASE_EVERY: Final = 60.0  # seconds between looks for what is too old
ERASED: Final = 200  # answers at once, between which requests get their turn
TRY_AGAIN: Final = 0.5  # seconds until the file is asked again to take an answer
MOST_HELD: Final = 32 << 20  # bytes of answers that the file has not taken

_VERSION: Final = 1
_LAYOUT: Final = (
    """CREATE TABLE answers (
        name BLOB PRIMARY KEY, digest BLOB NOT NULL, made REAL NOT NULL, owner TEXT NOT NULL,
        status INTEGER, headers BLOB, body BLOB, whole INTEGER
    )""",
    "CREATE INDEX answers_made ON answers(made)",
)
_CLAIM: Final = "INSERT OR REPLACE INTO answers (name, digest, made, owner) VALUES (?, ?, ?, ?)"
_KEEP: Final = "UPDATE answers SET status = ?, headers = ?, body = ?, whole = ? WHERE name = ? AND owner = ?"
_RELEASE: Final = "DELETE FROM answers WHERE name = ? AND owner = ? AND status IS NULL"
_RELEASE_ALL: Final = "DELETE FROM answers WHERE owner = ? AND status IS NULL"
_ERASE: Final = "DELETE FROM answers WHERE name IN (SELECT name FROM answers WHERE made < ? LIMIT ?)"

_log = logging.getLogger(__name__)
_read_headers: Final = msgspec.msgpack.Decoder(tuple[tuple[bytes, bytes], ...]).decode


class FirstAnswer(Struct, frozen=True):
    """An answer as it went to its first caller.

    Attributes:
        body: all bytes of it.
        whole: it ended as it should; where not, its connection was cut.
    """

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    whole: bool


class Claimed(StrEnum):
    """What became of a claim."""

    NEW = "new"  # nobody has answered under this key: the claimant does, and keeps or releases it
    RUNNING = "running"  # somebody is answering
    REUSED = "reused"  # it belongs to another body
    KEPT = "kept"


class Claim(Struct, frozen=True):
    """What became of a claim; `answer` where one is kept."""

    found: Claimed
    answer: FirstAnswer | None = None


class FirstAnswers(OwnedFile):
    """Answers by the name of their key; a running loop is needed."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        """Open the file, or make it.

        Args:
            clock: wall time, seconds since 1970.

        Raises:
            Unavailable: the file cannot be written.
        """
        super().__init__(path, version=_VERSION, layout=_LAYOUT, what="first answers", unavailable=_unavailable)
        self._clock = clock
        self._is_closed = self._is_tried_later = False
        self._held: dict[bytes, FirstAnswer] = {}  # what the file has not taken; of the thread
        self._later = self._loop.call_soon(self._tidy)

    async def claim(self, name: bytes, digest: bytes) -> Claim:
        """Claim a key for a body, or return what is known of it.

        Raises:
            Unavailable: nobody can tell.
        """
        return await self._run(self._claim, name, digest)

    async def keep(self, name: bytes, answer: FirstAnswer) -> None:
        """Keep the answer of a claim; handed over at once.

        Raises:
            Unavailable: it could not be written, and there is no room to hold it.
        """
        await self._run(self._keep, name, answer)

    def release(self, name: bytes) -> None:
        """Give up a claim, unless its answer was kept; returns at once, never raises."""
        self._run(self._execute, _RELEASE, (name, self._owner.name)).add_done_callback(_heard)

    async def aclose(self) -> None:
        """Write what was handed over, give up all claims, close the file."""
        self._later.cancel()
        self._is_closed = True
        try:
            self._thread.submit(self._told, waits_until(), self._write_held)
            await asyncio.to_thread(self._thread.shutdown)
            self._connection.execute(_RELEASE_ALL, (self._owner.name,))
        except sqlite3.Error as error:
            _log.error("claims in %s stay until the next start: %s", self._path, error)
        finally:  # also for a caller who waits no more
            self._connection.close()
            self._owner.close()

    def _claim(self, name: bytes, digest: bytes) -> Claim:
        now, connection = self._clock(), self._connection
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            row = connection.execute("SELECT * FROM answers WHERE name = ?", (name,)).fetchone()
            if row is not None:
                _, known, made, owner, status, headers, body, whole = row
                is_over = now - made > KEPT_FOR or (status is None and not self._is_alive(owner))
                if not is_over and known != digest:
                    return Claim(Claimed.REUSED)
                if not is_over and status is None:
                    held = self._held.get(name)
                    return Claim(Claimed.RUNNING) if held is None else Claim(Claimed.KEPT, held)
                if not is_over:
                    return Claim(Claimed.KEPT, FirstAnswer(status, _read_headers(headers), body, bool(whole)))
            connection.execute(_CLAIM, (name, digest, now, self._owner.name))
        return Claim(Claimed.NEW)

    def _keep(self, name: bytes, answer: FirstAnswer) -> None:
        try:
            self._write(name, answer)
        except sqlite3.Error as error:
            if sum(len(held.body) for held in self._held.values()) + len(answer.body) > MOST_HELD:
                raise
            _log.error("an answer is held until %s takes it: %s", self._path, error)
            self._held[name] = answer
            self._write_later()

    def _write_held(self) -> None:
        """Write what the file did not take before; the rest later, where it still does not."""
        self._is_tried_later = False
        for name, answer in list(self._held.items()):
            try:
                self._write(name, answer)
            except sqlite3.Error:
                self._write_later()
                return
            del self._held[name]

    def _write_later(self) -> None:
        if not self._is_tried_later:
            self._is_tried_later = True
            self._loop.call_soon_threadsafe(self._loop.call_later, TRY_AGAIN, self._try_again)

    def _try_again(self) -> None:
        if not self._is_closed:
            self._run(self._write_held).add_done_callback(_heard)

    def _write(self, name: bytes, answer: FirstAnswer) -> None:
        headers = msgspec.msgpack.encode(answer.headers)
        self._execute(_KEEP, (answer.status, headers, answer.body, answer.whole, name, self._owner.name))

    def _is_alive(self, owner: str) -> bool:
        """Tell whether the process lives that made a claim; gives its claims up where it does not."""
        if self._owner.is_alive(owner):
            return True
        self._connection.execute(_RELEASE_ALL, (owner,))
        return False

    def _tidy(self) -> None:
        self._run(self._erase).add_done_callback(_heard)
        self._later = self._loop.call_later(ERASE_EVERY, self._tidy)

    def _erase(self) -> None:
        """Erase what is too old, and the locks of dead processes."""
        erased = self._connection.execute(_ERASE, (self._clock() - KEPT_FOR, ERASED)).rowcount
        if erased == ERASED:
            self._thread.submit(self._told, waits_until(), self._erase)
        self._owner.bury()


def _unavailable(path: Path) -> Unavailable:
    said = f"idempotency keys cannot be kept now ({path.name}); send the request without one, or again later"
    return Unavailable(said, code="idempotency_unavailable", retry_after=1)


def _heard(done: asyncio.Future[None]) -> None:
    """Take note of a failure that nobody waits for; it was logged."""
    if not done.cancelled():
        done.exception()
