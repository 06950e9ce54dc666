"""Requests whose callers do not wait -> answers that are made all the same, found later by their ids.

An answer is made by the process that was asked, walks the way of every other request, and stands among the stored
objects from the first moment: any process can tell how it goes, and ask for its end. Where its process dies, whoever
looks next finds it failed; nobody ever finds one that nobody makes.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AbstractContextManager, aclosing, suppress
from typing import Final

import msgspec
from msgspec.structs import replace

from backends.dialects.reading import Fields
from backends.dialects.responses.from_responses import SERVER_ERROR
from backends.dialects.responses.output_items import IN_PROGRESS
from backends.dialects.responses.writing import FAILED, QUEUED
from router.base import STOPPED, GatewayError, Unavailable
from router.endpoints.chat import Scope
from router.endpoints.responses.dialect import KIND, AskedResponse
from router.endpoints.responses.events import Following
from router.endpoints.responses.making import CUT_OFF, DELETED, Making
from router.endpoints.responses.under_way import TRIES_EVERY, UnderWay
from router.endpoints.translated import Translated
from router.stored.base import ObjectStore, StoredObject
from router.stored.runs import Name, Runs

AT_ONCE: Final = 64  # answers that one process makes at a time; the others wait for their turn
MOST_OF_ONE: Final = 256  # answers of one tenant that one process has accepted and not ended
LOOK_EVERY: Final = 0.25  # seconds between looks for what other processes want
STOPS_WITHIN: Final = 3.0  # seconds
UNFINISHED: Final = (QUEUED, IN_PROGRESS)
DELETED_CODE: Final = "not_found"  # as whoever asks for it from now on is told

_DIED: Final = {"code": SERVER_ERROR, "message": CUT_OFF}
_log = logging.getLogger(__name__)
_read: Final = msgspec.json.Decoder(Fields).decode


class TooMany(GatewayError):
    """This tenant has too many answers in the making."""

    status = 429
    kind = "rate_limit_error"


class Background:
    """Makes answers; a running loop is needed, and `aclose` ends what is being made.

    Args:
        translated: answers a request, as if its caller waited.
        answering: stays entered while something is made, so that nobody closes what it needs.

    Attributes:
        ended: counts what was made, by its last status.
    """

    def __init__(
        self,
        translated: Translated[AskedResponse],
        objects: ObjectStore,
        runs: Runs,
        answering: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._translated, self._objects, self._runs, self._answering = translated, objects, runs, answering
        self.ended = Counter[str]()
        self._under_way = UnderWay(runs)
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._tasks = set[asyncio.Task[None]]()
        self._watch: asyncio.Task[None] | None = None
        self._task_of(self._bury())

    def __repr__(self) -> str:
        return f"<Background makes: {len(self._under_way.makings)} answers>"

    async def begin(self, asked: AskedResponse, scope: Scope) -> Fields:
        """Accept a request; returns the Response as it is until somebody makes it.

        Raises:
            GatewayError: it is refused, as it would be if its caller waited; or it cannot be stored.
        """
        making = Making(asked, self._objects)
        tenant, _ = making.name
        self._check(asked, scope, tenant)
        self._under_way.of_tenants[tenant] += 1
        may_stand = True
        try:
            try:
                await self._runs.begin(making.name)
            except Unavailable:
                may_stand = False
                raise
            await making.accept()
        except BaseException:  # also where its caller leaves: nothing of it may stay
            if may_stand:
                self._task_of(self._under_way.undo(making.name))  # by itself: whoever is refused has waited long enough
            else:
                self._under_way.of_tenants[tenant] -= 1
            raise
        self._under_way.makings[making.name] = making
        making.task = self._task_of(self._make(making, {**scope, "extensions": {}}))
        if self._watch is None or self._watch.done():
            self._watch = self._task_of(self._look())
        return making.queued

    async def found(self, name: Name) -> StoredObject | None:
        """Return an answer as it is now; None where this tenant has none by that id."""
        kept = await self._objects.get(name[0], KIND, name[1])
        if kept is None or _read(kept.body)["status"] not in UNFINISHED or await self._under_way.is_running(name):
            return kept
        return await self._settle(name)

    async def stop(self, name: Name) -> None:
        """End an answer that is being made, whoever makes it; returns when it has ended, or should have."""
        making = self._under_way.makings.get(name)
        if making is not None:
            making.stop()
            await asyncio.wait({making.task}, timeout=STOPS_WITHIN)
            return
        until = time.monotonic() + STOPS_WITHIN
        is_running = await self._runs.stop(name)
        while is_running and time.monotonic() < until:
            await asyncio.sleep(LOOK_EVERY / 2)
            is_running = await self._runs.is_running(name)

    async def events(self, name: Name, *, after: int = -1) -> AsyncGenerator[bytes, None]:
        """Yield the events of an answer, as they were told and as they come, until it has ended.

        The last one says how it ended, also where it was deleted meanwhile, or nobody can tell any more.

        Args:
            after: the number of the last event that is not wanted.
        """
        following = Following(self._objects, name, after=after)
        try:
            async with aclosing(self._told(following, name)) as told:
                async for data in told:
                    yield data
            kept = await self.found(name)
            if kept is None:
                last = following.broken_off(f"the response {name[1]} was deleted", DELETED_CODE)
            else:
                last = following.rest(_read(kept.body))
        except Unavailable as error:
            last = following.broken_off(str(error), error.code)
        if last:
            yield last

    async def _told(self, following: Following, name: Name) -> AsyncGenerator[bytes, None]:
        """Yield events for as long as the answer is being made, and was not deleted."""
        while True:
            making = self._under_way.makings.get(name)
            moved = None if making is None else making.log.moved
            is_running = await self._under_way.is_running(name)
            async for data in following.fresh():
                yield data
            if not is_running:
                return
            ping = await following.wait(moved)
            if not ping:
                continue
            if await self._objects.get(name[0], KIND, name[1]) is None:
                return  # whoever makes it has not heard of that, or does not listen
            yield ping

    async def aclose(self) -> None:
        """End what is being made; it is found failed from now on."""
        makings = list(self._under_way.makings.values())
        for making in makings:
            making.stop(STOPPED)
        if makings:
            await asyncio.wait({making.task for making in makings}, timeout=STOPS_WITHIN)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _check(self, asked: AskedResponse, scope: Scope, tenant: str) -> None:
        """Refuse at once what would be refused later."""
        chat = self._translated.chat
        chat.overload.admit(tenant)
        chat.read(
            asked.translation.body,
            dict(scope["headers"]),
            tenant=tenant,
            received=time.monotonic(),
            timeout=0.0,
            keep_sampled=False,
        )
        if self._under_way.of_tenants[tenant] >= MOST_OF_ONE:
            said = f"{MOST_OF_ONE} answers are being made in the background: wait for some of them, or cancel them"
            raise TooMany(said, code="too_many_in_background", retry_after=TRIES_EVERY)

    async def _make(self, making: Making, scope: Scope) -> None:
        """Make one answer, and say how that ended, whatever ends it."""
        with self._answering():
            try:
                making.enter()
                async with self._turns:
                    await making.begin()
                    await self._translated.answer(making.asked, scope, making.send)
            except asyncio.CancelledError:
                if not making.why:
                    raise  # nobody but `stop` shall end it
            except GatewayError as error:  # of the store
                making.fail(str(error))
            finally:
                await self._end(making)

    async def _end(self, making: Making) -> None:
        try:
            response = await making.end()
            while making.why != DELETED:
                try:
                    await making.settle(response)
                    break
                except Unavailable as error:
                    _log.warning("how an answer in the background ended is not stored yet: %s", error)
                    response = making.cut_short(response, error)
                    await asyncio.sleep(TRIES_EVERY)
            self.ended[response["status"]] += 1
        finally:
            self._under_way.drop(making)
        await self._under_way.forget(making.name)

    async def _look(self) -> None:
        """End here what somebody wants to end, for as long as anything is made."""
        while self._under_way.makings:
            await asyncio.sleep(LOOK_EVERY)
            with suppress(Unavailable):
                for name in await self._runs.stopping():
                    if name in self._under_way.makings:
                        self._under_way.makings[name].stop()

    async def _bury(self) -> None:
        """Let what dead processes were making be found failed."""
        with suppress(Unavailable):
            for name in await self._runs.left():
                await self._settle(name)

    async def _settle(self, name: Name) -> StoredObject | None:
        """Return an answer that nobody makes: whole, or failed from now on."""
        kept = await self._objects.get(name[0], KIND, name[1])  # once more: it may have ended in between
        if kept is not None:
            response = _read(kept.body)
            if response["status"] in UNFINISHED:
                kept = replace(kept, body=msgspec.json.encode({**response, "status": FAILED, "error": _DIED}))
                await self._objects.change(kept)
        await self._runs.end(name)
        return kept

    def _task_of(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Begin a task that is cancelled at the end, if it is not over."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._heard)
        return task

    def _heard(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("what makes answers in the background failed", exc_info=task.exception())
