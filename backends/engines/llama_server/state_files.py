"""Slots of the server <-> states in the store, by way of files that only this process sees.

Everything that blocks runs on two threads of its own. A state that cannot be restored or saved costs its time and
nothing else: the prompt is computed.
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Final, TypeVar

from backends.base import BackendError
from backends.engines.base import EngineError
from backends.engines.llama_server.client import Client
from backends.engines.llama_server.slots import Owner
from backends.engines.slot_states import SlotStates

_FAILURES: Final = (EngineError, BackendError, OSError)
_Result = TypeVar("_Result")


class StateFiles:
    """Restores and saves slots.

    Args:
        folder: where the server writes and reads states.
    """

    def __init__(self, states: SlotStates, client: Client, folder: Path) -> None:
        self.states = states
        self._client, self._folder = client, folder
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="slot-states")
        self._written = 0

    async def restore(
        self, slot: int, ids: list[int], *, owner: Owner, held: float, prepare: Callable[[], Awaitable[None]]
    ) -> bool:
        """Put the longest stored beginning of a prompt into a slot; tell whether it stands there.

        Args:
            held: share of the prompt that stands there already.
            prepare: what the slot needs before, where something is put there at all.
        """
        began = monotonic()
        salt, adapter = owner
        file = await self._on_thread(lambda: self.states.fetch(ids, salt=salt, adapter=adapter, held=held))
        if file is None:
            return False
        path = self._new_path()
        try:
            await prepare()
            await self._on_thread(lambda: path.write_bytes(file))
            await self._client.ask(f"/slots/{slot}?action=restore", {"filename": path.name})
        except _FAILURES:
            self.states.saw_refused()
            return False
        finally:
            _remove(path)
        self.states.saw_restored(len(file), monotonic() - began)
        return True

    async def save(self, slot: int, ids: list[int], *, owner: Owner) -> asyncio.Future[None] | None:
        """Write a slot's state to a file, and return what stores it: the slot is free before that is done."""
        path = self._new_path()
        try:
            await self._client.ask(f"/slots/{slot}?action=save", {"filename": path.name})
        except _FAILURES:
            _remove(path)
            return None
        return asyncio.ensure_future(self._on_thread(lambda: self._keep(path, ids, owner)))

    def close(self) -> None:
        """Wait for what is being stored."""
        self._threads.shutdown()

    def _keep(self, path: Path, ids: list[int], owner: Owner) -> None:
        salt, adapter = owner
        with suppress(OSError):
            self.states.keep(ids, path.read_bytes(), salt=salt, adapter=adapter)
        _remove(path)

    def _new_path(self) -> Path:
        self._written += 1
        return self._folder / f"{self._written}.state"

    async def _on_thread(self, work: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()
