"""A settled request -> one more reply to it, that nobody waits for.

Whatever comes of it is an attempt of the kind "shadow" beside the request in the ledger, noted before the call too, so
that a process that dies leaves a trace; replicas that were asked for it in vain are attempts of their own. Knows
nothing of why it is wanted.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass

import msgspec

from backends.base import BackendError, Broken, Call, DeadlineExceeded, Lost, Usage
from backends.sse import read_reply
from router.account import attempt_of, lost_beside, was_refused
from router.base import Attempt, Ledger, Request
from router.dispatch import body_for
from router.ledger.untold_usage import asked_of, estimated
from router.ledger.usage_estimates import UsageEstimates
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
        estimates: tells what a reply took whose backend did not; None: nobody does.
    """

    ledger: Ledger
    metrics: Metrics
    timeout: float
    tell: Callable[[str], None]
    estimates: UsageEstimates | None = None

    async def ask(self, route: Route, request: Request) -> bytes | None:
        """Return a whole reply, None where there is none; either way what it cost is in the ledger."""
        route, before = route.dated(), list[Lost]()
        self.ledger.shadow(request.id, attempt_of("shadow", route, "", None, UNFINISHED))
        try:
            replica, body = await self._reply(route, request, before)
        except asyncio.CancelledError as error:
            self._note(request, route, attempt_of("shadow", route, "", None, type(error).__name__), before)
            self.tell("cancelled")
            raise
        except BackendError as error:
            attempt = attempt_of("shadow", route, error.replica, None, type(error).__name__)
            attempt = msgspec.structs.replace(attempt, cost=0) if was_refused(error) else attempt
            self._note(request, route, attempt, [*before, *error.before])
            self.tell("failed")
            return None
        usage, source = self._taken(route, request, body)
        self._note(request, route, attempt_of("shadow", route, replica, usage, "", source), before)
        return body

    async def _reply(self, route: Route, request: Request, before: list[Lost]) -> tuple[str, bytes]:
        """Return who replied, and what; `before` is told who was asked in vain for a reply that has begun."""
        try:
            async with asyncio.timeout(self.timeout):
                reply = await route.backend.send(self._call(route, request))
                before += reply.before
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

    def _taken(self, route: Route, request: Request, body: bytes) -> tuple[Usage | None, str]:
        """Return what a whole reply took, and who says so."""
        told = read_reply(body)
        if told.contradicts:
            return None, "contradictory"
        if told.usage is None:
            return estimated(self.estimates, asked_of(request), route.model, came=len(body), stream=False)
        if self.estimates is not None and self.estimates.is_due():
            prompt = asked_of(request).size
            self.estimates.learn(route.model, told.usage, prompt=prompt, reply=len(body), stream=False)
        return told.usage, "provider"

    def _note(self, request: Request, route: Route, attempt: Attempt, before: list[Lost]) -> None:
        prompt = None
        if before:
            prompt, _ = estimated(self.estimates, asked_of(request), route.model, came=0, stream=False)
        if prompt is not None and attempt.usage is not None:  # who was told the same prompt knows it better
            prompt = msgspec.structs.replace(prompt, fresh_input=attempt.usage.total_input)
        lost = lost_beside(route, tuple(before), prompt)
        self.ledger.shadow(request.id, attempt, lost)
        for each in (attempt, *lost):
            self.metrics.spend_on_learning(each)
