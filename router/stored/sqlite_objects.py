"""Stored objects -> rows of one SQLite file, in write-ahead mode.

Several processes may have the file open. All of it runs on one thread of the store's own, in the order in which it was
handed over, so that whoever put an object finds it. A commit survives the death of the process, not the loss of power.
Text that was deleted or has grown old is erased from the file, too, not only from its index.
"""

import asyncio
import json
import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, Final, TypeVar

from router.base import Unavailable
from router.stored.base import StoredObject, StoreFull, kind_below
from router.stored.objects_layout import (
    AGE,
    CHANGE,
    DELETE,
    DELETE_BELOW,
    ERASE,
    GET,
    HELD,
    LAYOUT,
    PAGE,
    PAGE_BACK,
    PUT,
    RENEW,
    SIZE,
    VERSION,
)
from router.stored.opening import BUSY_TIMEOUT, opened, waits_until, work_until

MAX_OBJECT: Final = 16 << 20  # bytes of one object, question and answer together
MAX_WAITING: Final = 64 << 20  # bytes handed over and not yet written; a disk that stands still must not fill memory
PAGE_BYTES: Final = 32 << 20  # of one page, so that a list of large objects cannot fill memory
ERASE_EVERY: Final = 60.0  # seconds between looks for what has grown old
ERASED: Final = 200  # objects at once, between which callers get their turn
FEW_BYTES: Final = 4_096  # by which a change may exceed what there is room for
RENEWED_AFTER: Final = 3_600.0  # seconds; until then what is below an object need not be written anew

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
_Row = tuple[str, str, str, float, str, str, bytes, bytes]
_NewRow = tuple[str, str, str, float, str, str, int, bytes, bytes]


class SqliteObjects:
    """An `ObjectStore` in one file; see `router.stored.base`."""

    def __init__(
        self, path: Path, *, retention: float, max_per_tenant: int, clock: Callable[[], float] = time.time
    ) -> None:
        """Open the file, or make it; a running loop is needed from here on.

        Args:
            retention: seconds until an object is erased.
            max_per_tenant: bytes.
            clock: wall time, seconds since 1970.

        Raises:
            Unavailable: the file cannot be written.
        """
        self._path, self._retention, self._max, self._clock = path, retention, max_per_tenant, clock
        try:
            self._connection = opened(path, version=VERSION, layout=LAYOUT)
        except (sqlite3.Error, OSError) as error:
            raise Unavailable(
                f"the stored objects {path} cannot be opened: {error}", code="store_unavailable"
            ) from error
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="objects")
        self._loop = asyncio.get_running_loop()
        self._waiting = 0
        self._closing = False
        self._holds_erased = True  # what an earlier process erased may still be in the write-ahead file
        self._later: asyncio.TimerHandle = self._loop.call_later(0, self._tidy)

    def __repr__(self) -> str:
        return f"<SqliteObjects {self._path} waiting: {self._waiting} bytes>"

    def put(self, kept: StoredObject) -> Awaitable[None]:
        """Hand over an object; see `router.stored.base.ObjectStore`."""
        row = _row_of(kept)
        return self._write([row], self._put, row)

    def change(self, kept: StoredObject) -> Awaitable[bool]:
        """Put an object in the place of one; see `router.stored.base.ObjectStore`."""
        row = _row_of(kept)
        return self._write([row], self._change, row)

    def add(self, tenant: str, kind: str, identifier: str, below: Sequence[StoredObject]) -> Awaitable[bool]:
        """Put objects below another one; see `router.stored.base.ObjectStore`."""
        rows = [_row_of(each) for each in below]
        return self._write(rows, self._add, (tenant, kind, identifier), rows)

    async def get(self, tenant: str, kind: str, identifier: str) -> StoredObject | None:
        """Return an object that is not too old; see `router.stored.base.ObjectStore`."""
        return await self._run(self._get, (tenant, kind, identifier))

    async def delete(self, tenant: str, kind: str, identifier: str) -> bool:
        """Erase an object; see `router.stored.base.ObjectStore`."""
        return await self._run(self._delete, (tenant, kind, identifier))

    async def page(
        self,
        tenant: str,
        kind: str,
        *,
        after: str = "",
        limit: int = 20,
        newest_first: bool = False,
        model: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> Sequence[StoredObject]:
        """Return objects in the order in which they were put; see `router.stored.base.ObjectStore`."""
        values = {
            "tenant": tenant,
            "kind": kind,
            "after": after,
            "limit": limit,
            "model": model,
            "metadata": _json_of(metadata or {}),
            "oldest": self._oldest(),
        }
        return await self._run(self._page, PAGE_BACK if newest_first else PAGE, values)

    async def aclose(self) -> None:
        """Write what was handed over, close the file."""
        self._closing = True
        self._later.cancel()
        await asyncio.to_thread(self._thread.shutdown)
        self._connection.close()

    def _write(self, rows: Sequence[_NewRow], work: Callable[..., _T], *given: object) -> Awaitable[_T]:
        """Hand rows to the thread, where they are not too large and not too many."""
        most = min(MAX_OBJECT, self._max)
        largest, size = max((row[6] for row in rows), default=0), sum(row[6] for row in rows)
        if largest > most:
            said = f"the object has {largest} bytes, and at most {most} are stored: send it with store false"
            return self._refused(StoreFull(said, code="object_too_large", param="store"))
        if self._waiting + size > MAX_WAITING:
            return self._refused(_unavailable("too much waits to be written", self._path))
        self._waiting += size
        written = self._run(work, *given)
        written.add_done_callback(lambda _done: self._wrote(size))
        return written

    def _run(self, work: Callable[..., _T], *given: object) -> asyncio.Future[_T]:
        """Hand work to the thread; nobody need wait for its end."""
        done = self._loop.run_in_executor(self._thread, self._told, waits_until(), work, *given)
        done.add_done_callback(_heard)
        return done

    def _told(self, until: float, work: Callable[..., _T], *given: object) -> _T:
        """Return what some work gives; see `router.stored.opening.work_until`."""
        try:
            return work_until(until, self._connection, work, *given)
        except (sqlite3.Error, ValueError, OverflowError) as error:  # the latter two: what SQLite cannot hold
            _log.error("the stored objects %s cannot be used: %s", self._path, error)
            raise _unavailable("the file cannot be read or written now", self._path) from error

    def _refused(self, error: Unavailable) -> asyncio.Future[Any]:
        refused: asyncio.Future[Any] = self._loop.create_future()
        refused.set_exception(error)
        _heard(refused)
        return refused

    def _wrote(self, size: int) -> None:
        self._waiting -= size

    def _oldest(self) -> float:
        return self._clock() - self._retention

    def _put(self, row: _NewRow) -> None:
        connection = self._connection
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(PUT, row)
            self._check_room(row[0])

    def _change(self, row: _NewRow) -> bool:
        connection = self._connection
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            found = connection.execute(SIZE, row[:3]).fetchone()
            if found is None:
                return False
            connection.execute(CHANGE, (*row[3:], *row[:3]))
            if row[6] > found[0] + FEW_BYTES:
                self._check_room(row[0])
        return True

    def _add(self, whose: tuple[str, str, str], rows: Sequence[_NewRow]) -> bool:
        (tenant, kind, identifier), now, connection = whose, self._clock(), self._connection
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            found = connection.execute(AGE, (*whose, self._oldest())).fetchone()
            if found is None:
                return False
            connection.executemany(PUT, rows)
            if now - found[0] > RENEWED_AFTER:
                all_of_it = {"tenant": tenant, "kind": kind, "id": identifier, "below": kind_below(kind, identifier)}
                connection.execute(RENEW, {"now": now, **all_of_it})
            self._check_room(tenant)
        return True

    def _check_room(self, tenant: str) -> None:
        """Raise, which undoes what was just written, where that is too much."""
        held = (self._connection.execute(HELD, (tenant,)).fetchone() or (0,))[0]
        if held > self._max:
            said = f"at most {self._max} bytes are stored, and {held} would be: delete some, or send store false"
            raise StoreFull(said, code="store_full", param="store")

    def _get(self, whose: tuple[str, str, str]) -> StoredObject | None:
        row: _Row | None = self._connection.execute(GET, (*whose, self._oldest())).fetchone()
        return None if row is None else _object_of(row)

    def _delete(self, whose: tuple[str, str, str]) -> bool:
        connection = self._connection
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            is_gone = connection.execute(DELETE, (*whose, self._oldest())).rowcount > 0
            if is_gone:
                connection.execute(DELETE_BELOW, (whose[0], kind_below(whose[1], whose[2])))
        self._holds_erased |= is_gone
        return is_gone

    def _page(self, question: str, values: Mapping[str, object]) -> list[StoredObject]:
        found, size = list[StoredObject](), 0
        with closing(self._connection.execute(question, values)) as rows:
            for row in rows:
                size += len(row[6]) + len(row[7])
                if found and size > PAGE_BYTES:
                    break
                found.append(_object_of(row))
        return found

    def _tidy(self) -> None:
        """Have the thread erase what has grown old, and look again later."""
        self._run(self._erase).add_done_callback(self._tidied)

    def _tidied(self, done: asyncio.Future[bool]) -> None:
        has_more = not done.cancelled() and done.exception() is None and done.result()
        if not self._closing:
            self._later = self._loop.call_later(0 if has_more else ERASE_EVERY, self._tidy)

    def _erase(self) -> bool:
        """Erase some of what is due; tells whether there is more, which waits until callers have had their turn."""
        connection = self._connection
        erased = connection.execute(ERASE, (self._oldest(), ERASED)).rowcount
        self._holds_erased |= erased > 0
        if erased < ERASED and self._holds_erased:
            connection.execute("PRAGMA busy_timeout=0")  # nobody waits here for other processes that are reading
            try:
                (is_busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                connection.execute(f"PRAGMA busy_timeout={int(BUSY_TIMEOUT * 1_000)}")
            self._holds_erased = bool(is_busy)
        return erased == ERASED


def _unavailable(fact: str, path: Path) -> Unavailable:
    return Unavailable(f"stored objects: {fact} ({path.name})", code="store_unavailable", retry_after=1)


def _heard(done: asyncio.Future[_T]) -> None:
    """Take note of a failure, so that one that nobody waits for is no error of its own; it was logged or is a limit."""
    if not done.cancelled():
        done.exception()


def _row_of(kept: StoredObject) -> _NewRow:
    metadata = _json_of(kept.metadata)
    size = len(kept.asked) + len(kept.body) + len(metadata)
    return (kept.tenant, kept.kind, kept.id, kept.created, kept.model, metadata, size, kept.asked, kept.body)


def _json_of(metadata: Mapping[str, str]) -> str:
    return json.dumps(dict(metadata), ensure_ascii=False)


def _object_of(row: _Row) -> StoredObject:
    tenant, kind, identifier, created, model, metadata, asked, body = row
    return StoredObject(tenant, kind, identifier, created, model, json.loads(metadata), asked, body)
