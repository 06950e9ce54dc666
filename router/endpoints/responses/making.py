"""One answer that nobody waits for: from what is accepted to what is stored of it.

Takes what is sent as a caller would, and knows how it ended. Does not know who else makes what.
"""

import asyncio
from collections.abc import MutableMapping
from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from backends.dialects.reading import UNREADABLE, Fields
from backends.dialects.responses.from_responses import RATE_LIMITED, SERVER_ERROR
from backends.dialects.responses.output_items import IN_PROGRESS
from backends.dialects.responses.writing import CANCELLED, FAILED, UNTIL
from router.base import STOPPED, Unavailable
from router.endpoints.responses.dialect import AskedResponse
from router.endpoints.responses.events import EventLog
from router.stored.base import ObjectStore, StoreFull
from router.stored.runs import Name

DELETED: Final = "deleted"
CUT_OFF: Final = "the gateway was stopped before the answer was whole"

_OK: Final = 200
_LIMIT: Final = 429
_BAD: Final = range(400, 429)
_BROKE: Final = "the answer broke off"


class _Told(Struct):
    message: str = ""


class _Error(Struct):
    error: _Told = msgspec.field(default_factory=_Told)


_read_error: Final = msgspec.json.Decoder(_Error).decode


class Making:
    """One answer.

    Attributes:
        name: whose it is, and its id.
        asked: what is answered; nothing of it is stored but what this stores.
        queued: the Response as it is until somebody makes it.
        why: it ends before it is whole: by `CANCELLED`, `DELETED` or `STOPPED`; "" where it does not.
        task: makes it.
        log: where its events go, if it is streamed.
    """

    task: "asyncio.Task[None]"

    def __init__(self, asked: AskedResponse, objects: ObjectStore) -> None:
        self._keeping, self._translation, self._objects = asked.keeping, asked.keeping.translation, objects
        self.name: Name = (asked.keeping.tenant, self._translation.id)
        self.asked = replace(asked, keep=self._keeping.join)
        self.queued = self._translation.queue()
        self.log = EventLog(objects, self.name)
        self.why = ""
        self._streams = bool(asked.keeping.asked.get("stream"))
        self._status = 0
        self._refusal = b""
        self._failure = ""
        self._can_be_cancelled = self._is_over = False

    async def accept(self) -> None:
        """Store that it is asked for.

        Raises:
            Unavailable: it cannot be stored.
        """
        await self._objects.put(self._keeping.stored(self.queued))
        if self._streams:
            self.log.write(self._translation.take())
            self.log.begin(self._lost)

    def enter(self) -> None:
        """Take note that the task runs, and can be cancelled.

        Raises:
            CancelledError: somebody wants it to end already.
        """
        if self.why:
            raise asyncio.CancelledError(self.why)
        self._can_be_cancelled = True

    async def begin(self) -> None:
        """Store that it is being made."""
        if not await self._objects.change(self._keeping.stored({**self.queued, "status": IN_PROGRESS})):
            self.stop(DELETED)

    def stop(self, why: str = CANCELLED) -> None:
        """Have it end before it is whole; the first reason counts."""
        if self.why or self._is_over:
            return
        self.why = why
        if self._can_be_cancelled:
            self.task.cancel(why)

    def fail(self, message: str) -> None:
        """Have it end as failed."""
        self._failure = message

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Take what a caller would get."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
        elif self._status != _OK:
            self._refusal += message.get("body", b"")
        elif self._streams:
            self.log.write(message.get("body", b""))

    async def end(self) -> Fields:
        """Return the Response as it ended, once all that was told of it is stored."""
        self._can_be_cancelled, self._is_over = False, True
        self._finish()
        response = self._translation.shown
        if self._streams:
            self.log.write(self._translation.take())
        await self.log.aclose()
        return response

    async def settle(self, response: Fields) -> None:
        """Store how it ended, unless it was deleted.

        Raises:
            Unavailable: it cannot be stored now.
        """
        await self._objects.change(self._keeping.stored(response))

    def cut_short(self, response: Fields, error: Unavailable) -> Fields:
        """Return what can be stored in its place: the same, but for an answer for which there is no room."""
        if not isinstance(error, StoreFull):
            return response
        return {**self.queued, "status": FAILED, "error": {"code": SERVER_ERROR, "message": str(error)}}

    def _lost(self, error: Unavailable | None) -> None:
        """Take note that events cannot be stored: there is no room, or what they tell of is deleted."""
        if error is None:
            self.stop(DELETED)
        elif not self.why:
            self.fail(str(error))
            self.stop()

    def _finish(self) -> None:
        """Bring the Response to an end, where it has none."""
        translation = self._translation
        is_whole = translation.response is not None
        if self._failure:
            translation.fail(self._failure)
        elif is_whole or (not self.why and translation.shown["status"] in UNTIL):
            return
        elif self.why == STOPPED:
            translation.fail(CUT_OFF)
        elif self.why:
            translation.cancel()
        else:
            translation.fail(self._told(), self._code())

    def _told(self) -> str:
        try:
            return _read_error(self._refusal).error.message or _BROKE
        except UNREADABLE:
            return _BROKE

    def _code(self) -> str:
        if self._status == _LIMIT:
            return RATE_LIMITED
        return "invalid_prompt" if self._status in _BAD else SERVER_ERROR
