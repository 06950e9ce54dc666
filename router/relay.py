"""A begun reply -> the bytes the caller gets, measured on the way.

Bytes pass unchanged, but for the usage event and the log-probabilities that only we asked for. Whatever happens, the
account is closed exactly once, by plain calls. Knows nothing of HTTP or of why this route was chosen.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Protocol

from msgspec import Struct, structs

from backends.base import BackendError, Sink, StreamBroken, Usage, pour
from backends.sse import StreamReader, read_reply
from cache.base import KeptReply
from router.account import Account
from router.base import STOPPED, Outcome, Price, Request, Tier
from router.dispatch import Begun
from router.gathering import Gathered, Rooms
from router.samples import without_logprobs

_NEVER_KEPT = re.compile(
    rb'"finish_reason"\s*:\s*"(?!stop")|"tool_calls"\s*:\s*\[\s*\{|"function_call"\s*:\s*\{|"refusal"\s*:\s*"'
)

Witness = Callable[[Begun, bytes | None], None]
"""Takes what the caller got, a body or events; None where it was too long to be gathered."""


class Assess(Protocol):
    """Looks at replies, beside the loop."""

    def takes(self, request: Request) -> bool:
        """Tell whether the reply to this request would be taken now."""
        ...

    def tell(self, request: Request, tier: Tier, body: bytes | None) -> None:
        """Take a reply, whole or broken, and who gave it, with the log-probabilities that only we asked for.

        None where it was too long to be gathered.
        """
        ...

    def leave_out(self) -> None:
        """Count a reply that was not gathered, since it would not have been taken when it began."""
        ...


class Relay(Struct, frozen=True):
    """What a relay needs beside the reply.

    Attributes:
        baseline: Large's price, for the estimate of what Large would have cost.
        keep: takes a whole reply for the cache; None where it may not be kept.
        witness: told of the whole reply when the caller has it; None where the request is not sampled.
        assess: told of each reply that had begun; None where nobody looks at them.
        rooms: for what is gathered of streams.
    """

    account: Account
    baseline: Price | None
    keep: Callable[[KeptReply], None] | None
    witness: Witness | None
    assess: Assess | None
    rooms: Rooms

    def chunks(self, begun: Begun) -> AsyncGenerator[bytes, Sink | None]:
        """Return the caller's bytes; whoever takes them closes the generator.

        A sink that is sent into it (`asend`) is given the rest of a stream as it comes.

        Raises:
            BackendError: the reply broke; what was yielded before has gone out.
        """
        if not self.account.request.stream:
            return self._whole(begun)
        self.account.outline()
        return self._events(begun.first, structs.replace(begun, first=b""))  # which would be held to the end

    async def _whole(self, begun: Begun) -> AsyncGenerator[bytes, Sink | None]:
        """Yield an unstreamed answer; its cost is noted before, since it goes into the headers."""
        body, outcome, status, error = begun.first, Outcome.HUNG_UP, 200, ""
        told = read_reply(body)
        if begun.adds_logprobs:
            body = without_logprobs(body)
        try:
            self.account.finish = told.reason
            self._note(begun, told.usage, contradicts=told.contradicts, came=len(begun.first))
            self.account.first_byte()
            async with aclosing(begun.reply.chunks):
                yield body
            outcome = Outcome.ANSWERED
            self._hand_on(begun, body, told.usage, is_plain=told.is_plain)
            if self.assess is not None:
                self.assess.tell(self.account.request, begun.route.tier, begun.first)
        except asyncio.CancelledError as cut:
            outcome, _ = ended_by(cut)
            raise
        except BackendError as broken:  # of the same attempt: thrown in by whoever cannot read it
            outcome, status, error = Outcome.BROKEN, 502, type(broken).__name__
            raise
        finally:
            self.account.close(outcome, status=status, error=error)

    async def _events(self, first: bytes, begun: Begun) -> AsyncGenerator[bytes, Sink | None]:
        """Yield a stream's events as they come; it must end with finish reasons and `[DONE]`."""
        reader = StreamReader(strip_usage=not self.account.request.wants_usage)
        is_kept = self.keep is not None or self.witness is not None
        room = self.rooms.to_keep if is_kept else self.rooms.to_look_at
        is_taken = self.assess is not None and self.assess.takes(self.account.request)  # else its bytes are let go
        gathered = Gathered(room, wanted=is_kept or is_taken)
        heard = Gathered(room, wanted=is_taken) if begun.adds_logprobs else gathered
        feed = _cleaned(reader.feed, heard) if begun.adds_logprobs else reader.feed
        outcome, error = Outcome.HUNG_UP, ""
        try:
            async with aclosing(begun.reply.chunks) as following:
                first = feed(first)
                while not first:  # the first bytes need not be a whole event
                    first = feed(await anext(following))
                self.account.first_byte()
                gathered.add(first)
                sink = yield first
                first = b""
                if sink is None:
                    async for chunk in following:
                        data = feed(chunk)
                        if data:
                            gathered.add(data)
                            yield data
                else:
                    await pour(following, _Fed(feed, gathered, sink))
            rest = _clean(reader.finish(), heard) if begun.adds_logprobs else reader.finish()
            if not reader.finished:  # a rest would be half an event, which would swallow the one that tells of it
                raise StreamBroken("the stream ended without a finish reason or without [DONE]")
            if rest:
                gathered.add(rest)
                yield rest
            outcome = Outcome.ANSWERED
            body = gathered.body() if is_kept else None
            self._hand_on(
                begun,
                body,
                reader.usage,
                is_plain=self.keep is not None and body is not None and _NEVER_KEPT.search(body) is None,
            )
        except StopAsyncIteration:
            outcome, error = Outcome.BROKEN, StreamBroken.__name__
            raise StreamBroken("the stream ended before its first event") from None
        except (BackendError, asyncio.CancelledError) as broken:
            outcome, error = ended_by(broken)
            raise
        finally:
            self.account.finish = reader.reason
            self._note(
                begun,
                reader.usage,
                error,
                contradicts=reader.contradicts,
                is_whole=reader.finished,
                came=gathered.length,
            )
            self._look(begun, heard, outcome, is_taken=is_taken)
            heard.close()
            gathered.close()
            if gathered.length or outcome is not Outcome.BROKEN:  # else nothing went out: the caller gets an error
                self.account.close(outcome, status=200, error=error)

    def _hand_on(self, begun: Begun, body: bytes | None, usage: Usage | None, *, is_plain: bool) -> None:
        """Give the whole reply to the cache, where it may be kept, and to whoever compares it with another.

        Args:
            is_plain: it calls no tool, was not cut short and not filtered; others are never kept.
        """
        if self.keep is not None and body is not None and is_plain:
            self.keep(_kept(begun, body, usage))
        if self.witness is not None:
            self.witness(begun, body)

    def _look(self, begun: Begun, heard: Gathered, outcome: Outcome, *, is_taken: bool) -> None:
        """Tell who looks at replies of a stream that ended by itself, or broke; a caller who left has cut it."""
        if self.assess is None or not heard.length or outcome not in (Outcome.ANSWERED, Outcome.BROKEN):
            return
        if is_taken:
            self.assess.tell(self.account.request, begun.route.tier, heard.body())
        else:
            self.assess.leave_out()

    def _note(
        self,
        begun: Begun,
        usage: Usage | None,
        error: str = "",
        *,
        contradicts: bool,
        is_whole: bool = True,
        came: int,
    ) -> None:
        self.account.lost(begun.route, begun.reply.before)
        noted = self.account.served(
            begun.route,
            begun.reply.replica,
            usage,
            error=error,
            contradicts=contradicts,
            is_whole=is_whole,
            came=came,
        )
        self.account.compare(self.baseline, noted.usage)


def ended_by(error: BackendError | asyncio.CancelledError) -> tuple[Outcome, str]:
    """Return how a reply ended, and what broke it; tells a caller who has left from a gateway that stops."""
    if isinstance(error, BackendError):
        return Outcome.BROKEN, type(error).__name__
    return (Outcome.INTERRUPTED if STOPPED in error.args else Outcome.HUNG_UP), ""


def _cleaned(feed: Callable[[bytes], bytes], heard: Gathered) -> Callable[[bytes], bytes]:
    return lambda piece: _clean(feed(piece), heard)


def _clean(data: bytes, heard: Gathered) -> bytes:
    """Return events without log-probabilities; with them they go to `heard`."""
    heard.add(data)
    return without_logprobs(data)


class _Fed(Struct):
    """A sink that reads along before another one takes what may go on."""

    feed: Callable[[bytes], bytes]
    gathered: Gathered
    sink: Sink

    def write(self, data: bytes) -> bool:
        data = self.feed(data)
        if not data:
            return True
        self.gathered.add(data)
        return self.sink.write(data)

    async def drain(self) -> None:
        await self.sink.drain()


def _kept(begun: Begun, body: bytes, usage: Usage | None) -> KeptReply:
    return KeptReply(
        body=body,
        media_type=begun.reply.media_type,
        tier=begun.route.tier,
        model=begun.route.model,
        fresh_input=None if usage is None else usage.total_input - (usage.cached_input or 0),
        cached_input=None if usage is None else usage.cached_input,
        output=None if usage is None else usage.total_output,
    )
