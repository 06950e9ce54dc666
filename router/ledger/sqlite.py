"""Intents and records -> rows of one SQLite file, in write-ahead mode.

Everything is handed to one writer thread, which commits whatever has gathered since its last commit.
A commit survives the death of the process, not the loss of power. Several processes of one gateway may write, each its
own requests. Tables live in `layout.py`, rows in `rows.py`, reading in `reading.py`, who may write in `holding.py`.
"""

import asyncio
import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Awaitable
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue

from router.base import Attempt, Intent, Label, Rating, Record, Unavailable
from router.ledger import rows
from router.ledger.holding import connected, hold
from router.ledger.rows import Row

SETTLED_WITHIN = 0.02  # seconds until a record that no intent follows is written
BUSY = 8  # rows in a batch, from which on the next one may gather more: a commit costs more than its rows
GATHER = 0.002  # seconds; no backend answers so soon that a caller would wait for it
ERASED = 500  # texts at once, between which requests get their turn
BUSY_TIMEOUT = 5_000  # of a lock, in milliseconds, as sqlite3 sets it
RETRY = 0.5  # seconds between tries when the disk refuses a settled record

_log = logging.getLogger(__name__)

_Opened = tuple[Row, asyncio.Future[None]]
_Asked = tuple[Row, asyncio.Future[str | None]]
_Note = tuple[str, Row]  # a statement and what it takes


@dataclass(frozen=True, slots=True)
class _Batch:
    """What is committed together.

    Attributes:
        notes: what comes after a record and nobody waits for.
        ratings: each with who waits for our id of its request.
    """

    intents: list[_Opened] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    notes: list[_Note] = field(default_factory=list)
    ratings: list[_Asked] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.intents) + len(self.records) + len(self.notes) + len(self.ratings)

    def ones(self) -> list["_Batch"]:
        """Return a batch for each thing in this one, in the order in which they may be written."""
        return [
            *(_Batch(intents=[one]) for one in self.intents),
            *(_Batch(records=[one]) for one in self.records),
            *(_Batch(notes=[one]) for one in self.notes),
            *(_Batch(ratings=[one]) for one in self.ratings),
        ]


class SqliteLedger:
    """A writer of a ledger file that this gateway holds; those of another gateway are refused."""

    def __init__(self, path: Path, *, loop: asyncio.AbstractEventLoop, is_held: bool = False) -> None:
        """Open the file and start the writer.

        Args:
            is_held: somebody has the file held for this gateway, such as the parent of several workers; otherwise it
                is held from here on, and what an earlier gateway left open is closed.

        Raises:
            Unavailable: the file is in use by another gateway, or cannot be written.
        """
        self._path, self._loop = path, loop
        self._lock = None if is_held else hold(path)
        try:
            self._connection = connected(path)
        except sqlite3.Error as error:
            if self._lock is not None:
                self._lock.close()
            raise Unavailable(f"the ledger {path} cannot be opened: {error}", code="ledger_unavailable") from error
        self._intents: deque[_Opened] = deque()
        self._records: deque[Record] = deque()
        self._notes: deque[_Note] = deque()
        self._ratings: deque[_Asked] = deque()
        self._forget_before: float | None = None
        self._holds_erased = False  # the write-ahead file may hold text that is erased in the other one
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._closing = self._waking = False
        self._later: asyncio.TimerHandle | None = None
        self._failing = False  # so that a full disk is said once, not for each batch
        self._retry: threading.Timer | None = None
        self._thread = threading.Thread(target=self._write_until_closed, name="ledger", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"<SqliteLedger {self._path} waiting: {len(self._intents)} intents, {len(self._records)} records>"

    def open(self, intent: Intent) -> Awaitable[None]:
        """Hand over an intent; see `router.base.Ledger`."""
        written: asyncio.Future[None] = self._loop.create_future()
        self._intents.append((rows.intent_row(intent), written))
        if not self._waking:  # once for all that is handed over in this round of the loop
            self._waking = True
            self._loop.call_soon(self._wake)
        return written

    def settle(self, record: Record) -> None:
        """Hand over the end of a request; see `router.base.Ledger`."""
        self._records.append(record)
        if self._later is None:  # nobody waits for it: the next intent takes it along, or this timer
            self._later = self._loop.call_later(SETTLED_WITHIN, self._wake)

    def shadow(self, request_id: str, attempt: Attempt) -> None:
        """Hand over a shadow call, begun or ended; see `router.base.Ledger`."""
        self._note(rows.PUT_SHADOW, rows.attempt_row(request_id, rows.SHADOW_POSITION, attempt))

    def label(self, label: Label) -> None:
        """Hand over a label; see `router.base.Ledger`."""
        self._note(rows.INSERT_LABEL, rows.label_row(label))

    def rate(self, rating: Rating) -> Awaitable[str | None]:
        """Keep a rating; see `router.base.Ledger`."""
        found: asyncio.Future[str | None] = self._loop.create_future()
        self._ratings.append((rows.rating_row(rating), found))
        self._wake()
        return found

    def forget(self, before: float) -> None:
        """Erase old text; see `router.base.Ledger`."""
        self._forget_before = before
        self._wake()

    def _note(self, statement: str, row: Row) -> None:
        self._notes.append((statement, row))
        if self._later is None:
            self._later = self._loop.call_later(SETTLED_WITHIN, self._wake)

    def _wake(self) -> None:
        self._waking = False
        if self._later is not None:
            self._later.cancel()
            self._later = None
        self._bell.put(None)

    async def aclose(self) -> None:
        """Write what was handed over, close the file."""
        self._closing = True
        self._wake()
        await asyncio.to_thread(self._thread.join)
        self._connection.close()
        if self._lock is not None:
            self._lock.close()

    def _write_until_closed(self) -> None:
        handed_over = 0
        while True:
            self._bell.get()
            if handed_over >= BUSY and not self._closing:
                time.sleep(GATHER)
            batch = self._take()
            handed_over = len(batch)
            written = self._write(batch) if handed_over else True
            self._erase()
            if self._closing and (not written or not (self._intents or self._records or self._notes or self._ratings)):
                return  # what could not be written stays open in the file and is closed at the next start

    def _take(self) -> _Batch:
        """Return what has gathered.

        Last things first: what a note or a record belongs to was handed over before it, so that it is in this batch
        or in an earlier one.
        """
        ratings = [self._ratings.popleft() for _ in range(len(self._ratings))]
        notes = [self._notes.popleft() for _ in range(len(self._notes))]
        records = [self._records.popleft() for _ in range(len(self._records))]
        intents = [self._intents.popleft() for _ in range(len(self._intents))]
        return _Batch(intents, records, notes, ratings)

    def _write(self, batch: _Batch) -> bool:
        """Commit a batch: intents first, since a record may close one of the same batch."""
        found: list[str | None] = []
        error = self._commit(batch, found)
        if error is not None:
            is_of_the_disk = isinstance(error, sqlite3.OperationalError)
            if not is_of_the_disk and len(batch) > 1:  # one row is to blame, not its neighbours
                written = [self._write(one) for one in batch.ones()]
                return all(written)
            if not self._failing:
                _log.error("the ledger %s cannot be written: %s", self._path, error)
            if is_of_the_disk and (batch.records or batch.notes):
                self._records.extendleft(reversed(batch.records))  # an answer was given: try until it is recorded
                self._notes.extendleft(reversed(batch.notes))
                self._ring_later()
        self._failing = error is not None
        if batch.intents:
            waiting = [future for _, future in batch.intents]
            self._loop.call_soon_threadsafe(_resolve, waiting, error)
        if batch.ratings:
            asking = [future for _, future in batch.ratings]
            self._loop.call_soon_threadsafe(_answer, asking, found, error)
        return error is None

    def _ring_later(self) -> None:
        """Try again after a while; one such bell is enough, however many batches fail meanwhile."""
        if self._closing or (self._retry is not None and self._retry.is_alive()):
            return
        self._retry = threading.Timer(RETRY, self._bell.put, [None])
        self._retry.daemon = True
        self._retry.start()

    def _commit(self, batch: _Batch, found: list[str | None]) -> Exception | None:
        """Write a batch as one transaction; puts into `found` our id of the request of each rating."""
        connection = self._connection
        try:
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany(rows.INSERT_INTENT, [row for row, _ in batch.intents])
                connection.executemany(rows.CLOSE, [rows.closing_row(record) for record in batch.records])
                attempts = [row for record in batch.records for row in rows.attempt_rows(record)]
                connection.executemany(rows.INSERT_ATTEMPT, attempts)
                for statement, row in batch.notes:
                    connection.execute(statement, row)
                for row, _ in batch.ratings:
                    (rated,) = connection.execute(rows.RATE, row).fetchall() or [(None,)]
                    found.append(rated[0])
        except (sqlite3.Error, ValueError, OverflowError) as error:  # the latter two: a value that SQLite cannot hold
            return error
        return None

    def _erase(self) -> None:
        """Erase some of the text that is due, so that its bytes are in no part of the file any more."""
        before, self._forget_before = self._forget_before, None
        if before is None:
            return
        connection = self._connection
        try:
            connection.execute("PRAGMA secure_delete=ON")
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                erased = [connection.execute(statement, (before, ERASED)).rowcount for statement in rows.FORGET]
            connection.execute("PRAGMA secure_delete=OFF")
            self._holds_erased |= any(erased)
            if max(erased) == ERASED:  # the rest after whatever has gathered meanwhile
                self._forget_before = before
                self._bell.put(None)
            elif self._holds_erased:
                self._holds_erased = not _folded(connection)
        except sqlite3.Error as error:
            _log.error("old text in the ledger %s cannot be erased, it is tried again later: %s", self._path, error)


def _resolve(waiting: list[asyncio.Future[None]], error: Exception | None) -> None:
    """Tell those who wait for their intent; runs on the loop."""
    for future in waiting:
        if future.done():
            continue  # the caller left meanwhile
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(
                Unavailable(
                    "the ledger cannot be written, so nothing is answered", code="ledger_unavailable", retry_after=1
                )
            )
            future.exception()  # whoever failed before awaiting it has said why; nobody else need hear


def _answer(asking: list[asyncio.Future[str | None]], found: list[str | None], error: Exception | None) -> None:
    """Tell those who gave a rating whose it was; runs on the loop."""
    for index, future in enumerate(asking):
        if future.done():
            continue
        if error is None:
            future.set_result(found[index])
        else:
            future.set_exception(
                Unavailable("the ledger cannot be written now", code="ledger_unavailable", retry_after=1)
            )


def _folded(connection: sqlite3.Connection) -> bool:
    """Empty the write-ahead file; tells whether it is empty, since nobody waits here for those who read it."""
    connection.execute("PRAGMA busy_timeout=0")
    (is_busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT}")
    return not is_busy
