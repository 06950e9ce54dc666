"""A request to llama.cpp's server -> its answer, from a slot that may serve it.

A turn leases a slot, puts there what the store has of the prompt, has the answer computed, and lets go of the slot:
at once where the answer is whole, and otherwise when llama.cpp has seen that nobody waits. A slot that was left in the
middle belongs to nobody; its next prompt is computed from the first token.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from time import monotonic
from typing import Any, Final

from backends.base import BackendError, Chunks, Reply
from backends.engines.base import Ask, EngineError
from backends.engines.llama_server.asks import prompt_of, scales_of
from backends.engines.llama_server.client import Client
from backends.engines.llama_server.prompts import Prompts
from backends.engines.llama_server.slots import Lease, Slots
from backends.engines.llama_server.state_files import StateFiles
from backends.engines.llama_server.wholes import Whole, whole_of
from backends.engines.slot_states import WORTH_KEEPING
from backends.pool import Exchange

FREED_WITHIN: Final = 10.0
"""Seconds after which a slot that was left counts as free even where llama.cpp has not let go of it."""

LEAST_BYTES: Final = 2 * WORTH_KEEPING
"""Bytes of news in a prompt, below which it hardly has so many tokens and no state is looked for."""

_FIRST_LOOK: Final = 0.002  # seconds; each further look whether a slot is free waits twice as long


class Turns:
    """All turns of one engine.

    Args:
        files: states of slots; None where none are kept.
        adapters: the place of each by its name.
    """

    def __init__(
        self,
        client: Client,
        slots: Slots,
        prompts: Prompts,
        *,
        files: StateFiles | None,
        adapters: Mapping[str, int],
    ) -> None:
        self._client, self._slots, self._prompts = client, slots, prompts
        self._files, self._adapters = files, adapters
        self._stored: dict[int, int] = {}  # bytes of prompt that each slot held when last it was looked for or stored
        self._tasks: set[asyncio.Task[None]] = set()

    async def take(self, ask: Ask, body: dict[str, Any]) -> Reply:
        """Return a reply as soon as it begins.

        Raises:
            EngineError: it was refused.
            BackendError: nothing came.
        """
        prompt = prompt_of(ask)
        lease = await self._slots.lease((ask.salt, ask.adapter), prompt)
        try:
            ids = await self._ids_to_store(ask, prompt, lease)
            may_build = await self._restore(lease, ask, ids) or lease.is_own
            body = {**body, "id_slot": lease.slot, "cache_prompt": may_build}
            exchange = await self._client.answer(ask.path, body)
            whole = None if ask.stream else whole_of(b"".join([piece async for piece in exchange]), ask.path)
        except EngineError:
            self._slots.give_back(lease, prompt=b"", owner=None)
            raise
        except BaseException:
            self._spawn(self._abandon(lease))
            raise
        settle = partial(self._settle, lease, ask, prompt, ids)
        if whole is None:
            return self._client.reply(_Stream(exchange, settle), stream=True)
        settle(is_whole=True)
        return self._client.reply(Whole(whole), stream=False)

    async def aclose(self) -> None:
        """Give up what is done after answers."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _ids_to_store(self, ask: Ask, prompt: bytes, lease: Lease) -> list[int]:
        """Return the prompt's token ids; none where no state is kept, or too little of the prompt is news."""
        if not lease.is_own:
            self._stored[lease.slot] = 0
        news = max(len(prompt) * (1.0 - lease.shared), len(prompt) - self._stored.get(lease.slot, 0))
        if self._files is None or news < LEAST_BYTES:
            return []
        ids = await self._prompts.ids(ask)
        return ids if len(ids) >= WORTH_KEEPING else []

    async def _restore(self, lease: Lease, ask: Ask, ids: list[int]) -> bool:
        """Put a stored beginning of the prompt into the slot; tell whether it stands there."""
        if self._files is None or not ids:
            return False
        held = lease.shared if lease.is_own else 0.0
        owner, prepare = (ask.salt, ask.adapter), partial(self._change_adapter, lease, ask)
        return await self._files.restore(lease.slot, ids, owner=owner, held=held, prepare=prepare)

    async def _change_adapter(self, lease: Lease, ask: Ask) -> None:
        """Have the slot compute one token with the adapter: it would drop what is restored when it changes later."""
        if not self._adapters or lease.adapter == ask.adapter:
            return
        scales = scales_of(ask.adapter, self._adapters)
        body = {"prompt": [0], "max_tokens": 1, "lora": scales, "id_slot": lease.slot, "cache_prompt": False}
        await self._client.ask("/v1/completions", body)

    def _settle(self, lease: Lease, ask: Ask, prompt: bytes, ids: list[int], *, is_whole: bool) -> None:
        """Let go of a slot; a plain call, since whoever hangs up cancels every wait."""
        files = self._files
        if not is_whole:
            self._spawn(self._abandon(lease))
            return
        if ids:
            self._stored[lease.slot] = len(prompt)
        if files is not None and ids and files.states.is_worth_keeping(ids, salt=ask.salt, adapter=ask.adapter):
            self._spawn(self._keep(files, lease, ask, prompt, ids))
        else:
            self._slots.give_back(lease, prompt=prompt, owner=(ask.salt, ask.adapter))

    async def _keep(self, files: StateFiles, lease: Lease, ask: Ask, prompt: bytes, ids: list[int]) -> None:
        """Save the slot before anybody else gets it; what is stored of it then is no longer the slot's affair."""
        owner, stored = (ask.salt, ask.adapter), None
        try:
            stored = await files.save(lease.slot, ids, owner=owner)
        finally:
            self._slots.give_back(lease, prompt=prompt, owner=owner)
        if stored is not None:
            await stored

    async def _abandon(self, lease: Lease) -> None:
        """Give a slot back once llama.cpp has seen that nobody waits for its answer."""
        pause, until = _FIRST_LOOK, monotonic() + FREED_WITHIN
        try:
            while monotonic() < until and await self._is_busy(lease.slot):
                await asyncio.sleep(pause)
                pause *= 2
        finally:
            self._slots.give_back(lease, prompt=b"", owner=None)

    async def _is_busy(self, slot: int) -> bool:
        try:
            told = await self._client.ask("/slots")
        except (EngineError, BackendError):
            return False
        return bool(told[slot]["is_processing"])

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Stream(Chunks):
    """A stream's body, which lets go of its slot at its end, however that comes."""

    __slots__ = ("_exchange", "_is_settled", "_settle")

    def __init__(self, exchange: Exchange, settle: Callable[..., None]) -> None:
        self._exchange, self._settle, self._is_settled = exchange, settle, False

    async def __anext__(self) -> bytes:
        try:
            return await self._exchange.__anext__()
        except StopAsyncIteration:
            self._end(is_whole=True)
            raise
        except BaseException:
            self._end(is_whole=False)
            raise

    async def aclose(self) -> None:
        """Leave the answer."""
        is_whole = self._exchange.complete and self._exchange.error is None
        await self._exchange.aclose()
        self._end(is_whole=is_whole)

    def _end(self, *, is_whole: bool) -> None:
        if not self._is_settled:
            self._is_settled = True
            self._settle(is_whole=is_whole)
