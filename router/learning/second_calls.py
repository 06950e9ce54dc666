"""A settled request -> one more reply to it, that nobody waits for.

Whatever comes of it is an attempt of the kind "shadow" beside the request in the ledger, noted before the call too, so
that a process that dies leaves a trace. Knows nothing of why it is wanted.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass

import msgspec

from backends.base import BackendError, Broken, Call, DeadlineExceeded
from backends.sse import read_reply
from router.account import attempt_of, was_refused
from router.base import Attempt, Ledger, Request
from router.dispatch import body_for
from router.metrics.counters import Metrics
from router.routes import Route

LONGEST_REPLY = 1 << 20  # bytes; a longer one is not compared
UNFINISHED = "Interrupted"
"""Stands in the row of a call until it has ended, and for good where the process did not live so long."""

_STREAMED = ("stream", "stream_options")


@dataclass(frozen=True, slots=True)
class SecondCalls:
    """Asks again, unstreamed.

    Attributes:
        timeout: seconds for one call.
        tell: told "cancelled" or "failed" of a call that gave nothing.
    """

    ledger: Ledger
    metrics: Metrics
    timeout: float
    tell: Callable[[str], None]

    async def ask(self, route: Route, request: Request) -> bytes | None:
        """Return a whole reply, None where there is none; either way what it cost is in the ledger."""
        route = route.dated()
        self.ledger.shadow(request.id, attempt_of("shadow", route, "", None, UNFINISHED))
        try:
            replica, body = await self._reply(route, request)
        except asyncio.CancelledError as error:
            self._note(request, attempt_of("shadow", route, "", None, type(error).__name__))
            self.tell("cancelled")
            raise
        except BackendError as error:
            attempt = attempt_of("shadow", route, "", None, type(error).__name__)
            self._note(request, msgspec.structs.replace(attempt, cost=0) if was_refused(error) else attempt)
            self.tell("failed")
            return None
        told = read_reply(body)
        source = "contradictory" if told.contradicts else "provider"
        self._note(request, attempt_of("shadow", route, replica, told.usage, "", source))
        return body

    async def _reply(self, route: Route, request: Request) -> tuple[str, bytes]:
        try:
            async with asyncio.timeout(self.timeout):
                reply = await route.backend.send(self._call(route, request))
                parts, length = list[bytes](), 0
                async with aclosing(reply.chunks):
                    async for part in reply.chunks:
                        parts.append(part)
                        length += len(part)
                        if length > LONGEST_REPLY:
                            raise Broken(f"the reply is longer than {LONGEST_REPLY} bytes")
        except TimeoutError:
            raise DeadlineExceeded(f"no whole reply within {self.timeout:g} s") from None
        body = b"".join(parts)
        if not read_reply(body).is_whole:
            raise Broken("the reply is no whole completion")
        return reply.replica, body

    def _call(self, route: Route, request: Request) -> Call:
        fields = {name: value for name, value in request.fields.items() if name not in _STREAMED}
        return Call(
            path=request.path,
            body=body_for(msgspec.structs.replace(request, fields=fields, stream=False), route.model),
            stream=False,
            deadline=time.monotonic() + self.timeout,
            request_id=f"{request.id}-shadow",
            salt=request.prefix.salt,
        )

    def _note(self, request: Request, attempt: Attempt) -> None:
        self.ledger.shadow(request.id, attempt)
        self.metrics.spend_on_learning(attempt)
