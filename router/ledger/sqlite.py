"""Intents and records -> rows of one SQLite file, in write-ahead mode.

Everything is handed to one writer thread, which commits whatever has gathered since its last commit.
A commit survives the death of the process, not the loss of power. Intents that no record closed are
closed as interrupted at the next start. Reading lives in `reading.py`.
"""

import asyncio
import fcntl
import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Awaitable
from pathlib import Path
from queue import SimpleQueue
from typing import IO

from router.base import Intent, Outcome, Record, Unavailable

SCHEMA = """
CREATE TABLE IF NOT EXISTS requests (
    id TEXT PRIMARY KEY, caller_id TEXT NOT NULL, tenant TEXT NOT NULL, model TEXT NOT NULL,
    stream INTEGER NOT NULL, started REAL NOT NULL,
    tier TEXT NOT NULL, reason TEXT NOT NULL, score REAL, threshold REAL, scorer TEXT,
    policy TEXT NOT NULL, arm TEXT NOT NULL, propensity REAL NOT NULL,
    outcome TEXT, status INTEGER, first_byte REAL, duration REAL,
    cost INTEGER, baseline INTEGER, error TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS requests_started ON requests(started);
CREATE TABLE IF NOT EXISTS attempts (
    request_id TEXT NOT NULL, position INTEGER NOT NULL, kind TEXT NOT NULL, tier TEXT NOT NULL,
    model TEXT NOT NULL, replica TEXT NOT NULL,
    fresh_input INTEGER, cached_input INTEGER, output INTEGER, cost INTEGER,
    price_version TEXT NOT NULL, error TEXT NOT NULL,
    PRIMARY KEY (request_id, position)
) WITHOUT ROWID;
"""
VERSION = 1
CHECKPOINT_PAGES = 2_000  # of 4 KiB: the write-ahead file stays near 8 MiB
SETTLED_WITHIN = 0.02  # seconds until a record that no intent follows is written
BUSY = 8  # rows in a batch, from which on the next one may gather more: a commit costs more than its rows
GATHER = 0.002  # seconds; no backend answers so soon that a caller would wait for it
RETRY = 0.5  # seconds between tries when the disk refuses a settled record

_INSERT_INTENT = """
INSERT INTO requests (id, caller_id, tenant, model, stream, started, tier, reason, score, threshold, scorer,
                      policy, arm, propensity)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_CLOSE = """
UPDATE requests SET outcome = ?, status = ?, first_byte = ?, duration = ?, cost = ?, baseline = ?, error = ?
WHERE id = ? AND outcome IS NULL
"""
_INSERT_ATTEMPT = """
INSERT OR IGNORE INTO attempts SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12
WHERE EXISTS (SELECT 1 FROM requests WHERE id = ?1)
"""

_log = logging.getLogger(__name__)

_Row = tuple[object, ...]
_Opened = tuple[_Row, asyncio.Future[None]]


class SqliteLedger:
    """The one writer of a ledger file; a second one is refused."""

    def __init__(self, path: Path, *, loop: asyncio.AbstractEventLoop) -> None:
        """Open the file, close what an earlier process left open, start the writer.

        Raises:
            Unavailable: the file is in use by another gateway, or cannot be written.
        """
        self._path, self._loop = path, loop
        self._lock = _locked(path)
        try:
            self._connection = _connected(path)
        except sqlite3.Error as error:
            self._lock.close()
            raise Unavailable(f"the ledger {path} cannot be opened: {error}", code="ledger_unavailable") from error
        self._intents: deque[_Opened] = deque()
        self._records: deque[Record] = deque()
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
        self._intents.append((_intent_row(intent), written))
        if not self._waking:  # once for all that is handed over in this round of the loop
            self._waking = True
            self._loop.call_soon(self._wake)
        return written

    def settle(self, record: Record) -> None:
        """Hand over the end of a request; see `router.base.Ledger`."""
        self._records.append(record)
        if self._later is None:  # nobody waits for it: the next intent takes it along, or this timer
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
        self._lock.close()

    def _write_until_closed(self) -> None:
        handed_over = 0
        while True:
            self._bell.get()
            if handed_over >= BUSY and not self._closing:
                time.sleep(GATHER)
            # Records first: the intent of each was handed over before it, so it is in this batch or an earlier one.
            records = [self._records.popleft() for _ in range(len(self._records))]
            intents = [self._intents.popleft() for _ in range(len(self._intents))]
            handed_over = len(intents) + len(records)
            written = self._write(intents, records) if intents or records else True
            if self._closing and (not written or not (self._intents or self._records)):
                return  # what could not be written stays open in the file and is closed at the next start

    def _write(self, intents: list[_Opened], records: list[Record]) -> bool:
        """Commit a batch: intents first, since a record may close one of the same batch."""
        error = self._commit([row for row, _ in intents], records)
        if error is not None:
            is_of_the_disk = isinstance(error, sqlite3.OperationalError)
            if not is_of_the_disk and len(intents) + len(records) > 1:  # one row is to blame, not its neighbours
                return all([self._write([one], []) for one in intents] + [self._write([], [one]) for one in records])
            if not self._failing:
                _log.error("the ledger %s cannot be written: %s", self._path, error)
            if records and is_of_the_disk:
                self._records.extendleft(reversed(records))  # an answer was given: try until it is recorded
                self._ring_later()
        self._failing = error is not None
        if intents:
            waiting = [future for _, future in intents]
            self._loop.call_soon_threadsafe(_resolve, waiting, error)
        return error is None

    def _ring_later(self) -> None:
        """Try again after a while; one such bell is enough, however many batches fail meanwhile."""
        if self._closing or (self._retry is not None and self._retry.is_alive()):
            return
        self._retry = threading.Timer(RETRY, self._bell.put, [None])
        self._retry.daemon = True
        self._retry.start()

    def _commit(self, intents: list[_Row], records: list[Record]) -> Exception | None:
        connection = self._connection
        try:
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany(_INSERT_INTENT, intents)
                connection.executemany(_CLOSE, [_closing_row(record) for record in records])
                connection.executemany(_INSERT_ATTEMPT, [row for record in records for row in _attempt_rows(record)])
        except (sqlite3.Error, ValueError, OverflowError) as error:  # the latter two: a value that SQLite cannot hold
            return error
        return None


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


def _locked(path: Path) -> IO[bytes]:
    """Hold the ledger's lock file for as long as the returned file is open."""
    lock_path = path.with_name(f"{path.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = lock_path.open("ab")
    except OSError as error:
        raise Unavailable(f"the ledger {path} cannot be written: {error}", code="ledger_unavailable") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise Unavailable(
            f"the ledger {path} is in use by another gateway: stop it or choose another path",
            code="ledger_unavailable",
        ) from error
    return lock


def _connected(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version not in (0, VERSION):
        connection.close()
        raise sqlite3.DatabaseError(f"its layout is version {version}, this program reads {VERSION}")
    connection.executescript(SCHEMA)
    connection.execute(f"PRAGMA user_version={VERSION}")
    connection.execute("UPDATE requests SET outcome = ? WHERE outcome IS NULL", (Outcome.INTERRUPTED,))
    return connection


def _intent_row(intent: Intent) -> _Row:
    decision = intent.decision
    score = decision.score
    return (
        intent.id,
        intent.caller_id,
        intent.tenant,
        intent.model,
        intent.stream,
        intent.started,
        decision.tier,
        decision.reason,
        None if score is None else score.value,
        decision.threshold,
        None if score is None else score.source,
        decision.policy,
        decision.arm,
        decision.propensity,
    )


def _closing_row(record: Record) -> _Row:
    return (
        record.outcome,
        record.status,
        record.first_byte,
        record.duration,
        record.cost,
        record.baseline,
        record.error,
        record.id,
    )


def _attempt_rows(record: Record) -> list[_Row]:
    return [
        (
            record.id,
            position,
            attempt.kind,
            attempt.tier,
            attempt.model,
            attempt.replica,
            None if attempt.usage is None else attempt.usage.fresh_input,
            None if attempt.usage is None else attempt.usage.cached_input,
            None if attempt.usage is None else attempt.usage.output,
            attempt.cost,
            attempt.price_version,
            attempt.error,
        )
        for position, attempt in enumerate(record.attempts)
    ]
