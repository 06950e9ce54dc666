"""A stream that has begun -> the same, once something was said in it; one that breaks before has never begun.

Servers send an empty first event as soon as they know the request, so a replica that fails a moment later has broken a
stream that could have come from another one. What comes first is held back until there is a word for the reader, but
not for long. Looks for words by their fields' names alone; what it holds goes on as it came.
"""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from time import monotonic
from typing import Final

from backends.base import Backend, BackendError, Broken, Call, Chunks, Reply, Sink, StreamBroken, pour
from backends.replicas.base import Figure, counted

_SAID: Final = re.compile(
    rb'"(?:content|text|delta|reasoning|reasoning_content|refusal|arguments|thinking|partial_json)"\s*:\s*"[^"]'
    rb'|"(?:tool_calls|function_call)"\s*:\s*[\[{]|"finish_reason"\s*:\s*"|\[DONE\]'
)
_FAILED: Final = re.compile(
    rb'^(?:event:\s*error\s*\n)?data:\s*\{\s*(?:"type"\s*:\s*"error"\s*,\s*)?"error"\s*:\s*[{"]'
)


class Committed:
    """A backend whose streams are given out from their first word on.

    Args:
        backend: closed with this.
        wait: seconds for which the beginning of a stream is held back at most.
        most: bytes of it.
    """

    def __init__(self, backend: Backend, *, wait: float, most: int) -> None:
        self._backend, self._wait, self._most = backend, wait, most
        self._counts: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"<Committed {self._backend!r}>"

    async def send(self, call: Call) -> Reply:
        """Return a reply; a stream once there is a word in it, or it was held back for long enough.

        Raises:
            Broken: the stream began with an error event, or ended without a word.
            BackendError: as the backend does, or as the stream does before its first word.
        """
        reply = await self._backend.send(call)
        if not call.stream:
            return reply
        held = _Held(reply.chunks)
        try:
            await self._look(held, min(monotonic() + self._wait, call.deadline))
        except BaseException:
            await held.aclose()
            raise
        return Reply(held, reply.media_type, reply.replica, reply.before)

    async def is_ready(self) -> bool:
        """Ask the backend; never raises."""
        return await self._backend.is_ready()

    async def aclose(self) -> None:
        """Close the backend."""
        await self._backend.aclose()

    def figures(self) -> Iterator[Figure]:
        """Yield what is counted here."""
        yield counted("commits", "Streams by what was seen before they were given out", self._counts, by="seen")

    async def _look(self, held: "_Held", until: float) -> None:
        seen = "nothing"
        try:
            while (left := until - monotonic()) > 0.0 and len(held.beginning) < self._most and await held.fetch(left):
                if _FAILED.match(held.beginning):
                    raise Broken("the stream began with an error")
                if _SAID.search(held.beginning):
                    seen = "word"
                    break
                if held.has_ended:
                    raise StreamBroken("the stream ended before its first word")
        except BackendError:
            seen = "fault"
            raise
        finally:
            self._counts[seen] += 1


class _Held(Chunks):
    """Chunks whose beginning was fetched before anybody reads them.

    Attributes:
        beginning: what was fetched, until it is read.
        has_ended: there was nothing more to fetch.
    """

    __slots__ = ("_chunks", "_fetching", "beginning", "has_ended")

    def __init__(self, chunks: AsyncGenerator[bytes, None]) -> None:
        self._chunks = chunks
        self._fetching: asyncio.Task[bytes] | None = None
        self.beginning = b""
        self.has_ended = False

    async def fetch(self, within: float) -> bool:
        """Take one more piece; tells whether it came in time. Where not, it is still under way."""
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._next())
        await asyncio.wait({self._fetching}, timeout=within)
        if not self._fetching.done():
            return False
        self.beginning += await self._fetched(self._fetching)
        return True

    async def __anext__(self) -> bytes:
        if self.beginning:
            beginning, self.beginning = self.beginning, b""
            return beginning
        if self._fetching is None:
            return await self._chunks.__anext__()
        piece = await self._fetched(self._fetching)
        if not piece:
            raise StopAsyncIteration
        return piece

    async def pour(self, sink: Sink) -> None:
        """See `Chunks.pour`."""
        while self.beginning or self._fetching is not None:
            piece = await anext(self, b"")
            if piece and not sink.write(piece):
                await sink.drain()
        await pour(self._chunks, sink)

    async def aclose(self) -> None:
        """Leave the reply."""
        fetching, self._fetching = self._fetching, None
        if fetching is not None:
            fetching.cancel()
            await asyncio.wait({fetching})
        await self._chunks.aclose()

    async def _next(self) -> bytes:
        return await anext(self._chunks, b"")

    async def _fetched(self, fetching: "asyncio.Task[bytes]") -> bytes:
        try:
            piece = await fetching
        finally:
            self._fetching = None
        self.has_ended = not piece
        return piece
