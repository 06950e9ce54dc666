"""A SQLite file whose rows belong to living processes -> one thread that works on it, and says so where it cannot.

Several processes may have the file open. What its rows mean is for whoever builds on it to say. Where another process
holds the file, everything that was handed over is refused `BUSY_TIMEOUT` later, however much stands before it.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from router.base import Unavailable
from router.stored.opening import opened, waits_until, work_until
from router.stored.owners import Owner

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class OwnedFile:
    """One process's side of the file; a running loop is needed."""

    def __init__(
        self, path: Path, *, version: int, layout: Sequence[str], what: str, unavailable: Callable[[Path], Unavailable]
    ) -> None:
        """Open the file, or make it.

        Args:
            version, layout: as in `router.stored.opening.opened`.
            what: lies in it, in words.
            unavailable: makes what callers are told where it cannot be used.

        Raises:
            Unavailable: the file cannot be written.
        """
        self._path, self._what, self._unavailable = path, what, unavailable
        try:
            self._connection = opened(path, version=version, layout=layout)
            self._owner = Owner(path)
        except (sqlite3.Error, OSError) as error:
            raise unavailable(path) from error
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=what)
        self._loop = asyncio.get_running_loop()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._path}>"

    def _run(self, work: Callable[..., _T], *given: object) -> asyncio.Future[_T]:
        """Hand work to the thread."""
        return self._loop.run_in_executor(self._thread, self._told, waits_until(), work, *given)

    def _told(self, until: float, work: Callable[..., _T], *given: object) -> _T:
        """Return what some work gives; see `router.stored.opening.work_until`."""
        try:
            return work_until(until, self._connection, work, *given)
        except (sqlite3.Error, OSError) as error:
            _log.error("%s in %s cannot be used: %s", self._what, self._path, error)
            raise self._unavailable(self._path) from error

    def _execute(self, statement: str, values: tuple[object, ...]) -> None:
        self._connection.execute(statement, values)
