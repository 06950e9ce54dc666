"""Responses that are being made -> who makes each, in one SQLite file that several processes may have open.

A run belongs to its process, which shows that it lives. Anybody may ask for its end, and the process that makes it
looks whether somebody has. Knows names alone: what is said lies among the stored objects.
"""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from router.base import Unavailable
from router.stored.owned_file import OwnedFile

Name = tuple[str, str]
"""Tenant and id."""

_VERSION: Final = 1
_LAYOUT: Final = (
    """CREATE TABLE runs (
        tenant TEXT NOT NULL, id TEXT NOT NULL, owner TEXT NOT NULL, begun REAL NOT NULL,
        stopping INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (tenant, id)
    ) WITHOUT ROWID""",
)
_BEGIN: Final = "INSERT INTO runs (tenant, id, owner, begun) VALUES (?, ?, ?, ?)"
_END: Final = "DELETE FROM runs WHERE tenant = ? AND id = ?"
_STOP: Final = "UPDATE runs SET stopping = 1 WHERE tenant = ? AND id = ?"
_OWNER: Final = "SELECT owner FROM runs WHERE tenant = ? AND id = ?"
_ALL: Final = "SELECT tenant, id, owner FROM runs"
_STOPPING: Final = "SELECT tenant, id FROM runs WHERE owner = ? AND stopping"


class Runs(OwnedFile):
    """Who makes what; a running loop is needed. Each call may raise `router.base.Unavailable`."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it.

        Raises:
            Unavailable: the file cannot be written.
        """
        super().__init__(path, version=_VERSION, layout=_LAYOUT, what="runs", unavailable=_unavailable)

    async def begin(self, name: Name) -> None:
        """Say that this process makes it."""
        await self._run(self._execute, _BEGIN, (*name, self._owner.name, time.time()))

    async def end(self, name: Name) -> None:
        """Say that nobody does any more."""
        await self._run(self._execute, _END, name)

    async def stop(self, name: Name) -> bool:
        """Ask for its end, whoever makes it; False where nobody does."""
        return await self._run(self._stop, name)

    async def is_running(self, name: Name) -> bool:
        """Tell whether a living process makes it."""
        return await self._run(self._is_running, name)

    async def stopping(self) -> Sequence[Name]:
        """Return what this process makes and somebody wants to end."""
        return await self._run(self._stopping)

    async def left(self) -> Sequence[Name]:
        """Return what processes were making that have died."""
        return await self._run(self._left)

    async def aclose(self) -> None:
        """Write what was handed over, close the file."""
        try:
            await asyncio.to_thread(self._thread.shutdown)
        finally:  # also for a caller who waits no more
            self._connection.close()
            self._owner.close()

    def _stop(self, name: Name) -> bool:
        self._connection.execute(_STOP, name)
        return self._is_running(name)

    def _is_running(self, name: Name) -> bool:
        row = self._connection.execute(_OWNER, name).fetchone()
        return row is not None and self._owner.is_alive(row[0])

    def _stopping(self) -> list[Name]:
        return self._connection.execute(_STOPPING, (self._owner.name,)).fetchall()

    def _left(self) -> list[Name]:
        self._owner.bury()
        rows: list[tuple[str, str, str]] = self._connection.execute(_ALL).fetchall()
        alive = {owner: self._owner.is_alive(owner) for owner in {row[2] for row in rows}}
        return [(tenant, identifier) for tenant, identifier, owner in rows if not alive[owner]]


def _unavailable(path: Path) -> Unavailable:
    said = f"nothing can be answered in the background now ({path.name}): wait for the answer, or come again"
    return Unavailable(said, code="background_unavailable", retry_after=1)
