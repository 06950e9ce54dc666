"""A call -> its reply, read as it comes and kept back until somebody decides about it.

Reading begins at once, in a task of its own, and stops where enough has come; what was read can then be let out in
order, followed by the rest, or be dropped, which ends the backend's work. Knows nothing of why.
"""

import asyncio
from collections.abc import AsyncGenerator

from backends.base import BackendError, Broken, Call, Chunks, Lost, Reply, StreamBroken, Usage
from backends.sse import StreamReader, read_reply
from classifier.base import Sample
from router.routes import Route
from router.samples import Listener, sample_of, without_logprobs


class HeldReply:
    """One reply that nobody has been given yet.

    Args:
        tokens: of a stream, after which reading stops; None reads all of it.

    Attributes:
        is_whole: the reply is here to its end, and said that it is whole.
    """

    def __init__(self, route: Route, call: Call, *, tokens: int | None) -> None:
        self.route = route.dated()
        self.is_whole = False
        self._call = call
        self._tokens = tokens
        self._is_wanted = False  # let out: the next piece ends the reading
        self._reply: Reply | None = None
        self._pieces: list[bytes] = []
        self._reader = StreamReader(strip_usage=False)
        self._listener = Listener()
        self._sample: Sample | None = None
        self._usage: Usage | None = None
        self._contradicts = False
        self._reading = asyncio.create_task(self._read())
        self._reading.add_done_callback(_looked_at)

    @property
    def sample(self) -> Sample:
        """Return what was said until now."""
        return self._listener.sample if self._sample is None else self._sample

    @property
    def usage(self) -> Usage | None:
        """Return what the backend told; None while it has not."""
        return self._reader.usage if self._usage is None else self._usage

    @property
    def contradicts(self) -> bool:
        """Tell whether the backend told figures that cannot be true."""
        return self._contradicts or self._reader.contradicts

    def came(self, *, strips_logprobs: bool) -> int:
        """Return how many bytes have come; none of a reply that was let out.

        Args:
            strips_logprobs: log-probabilities are left out: they are no part of the answer that was asked for.
        """
        data = b"".join(self._pieces)
        return len(without_logprobs(data) if strips_logprobs else data)

    @property
    def tokens(self) -> int:
        """Return how many tokens of a stream have come, as far as its events show."""
        return self._listener.tokens

    @property
    def replica(self) -> str:
        """Return which server answers; "" while none does."""
        return "" if self._reply is None else self._reply.replica

    @property
    def before(self) -> tuple[Lost, ...]:
        """Return who was asked before the server that answers, or failed last."""
        return getattr(self.error, "before", ()) if self._reply is None else self._reply.before

    @property
    def error(self) -> BaseException | None:
        """Return why there is no more to read; None where there may be, or where the reply is whole."""
        if not self._reading.done() or self._reading.cancelled():
            return None
        return self._reading.exception()

    async def wait(self, *, until: float | None) -> None:
        """Return when enough has been read, or at a time of the loop's clock; None: the call's deadline ends it.

        Raises:
            BackendError: the reply broke before.
        """
        left = None if until is None else max(0.0, until - self._reading.get_loop().time())
        await asyncio.wait({self._reading}, timeout=left)
        if self._reading.done():
            self._reading.result()

    async def let_out(self) -> tuple[Reply, bytes]:
        """Return the reply and its first bytes; what follows them comes as it comes.

        Raises:
            BackendError: there were no first bytes yet, and none came.
        """
        self._is_wanted = True
        if not self._pieces:
            await self._reading
        first = b"".join(self._pieces)
        self._pieces.clear()
        reply = self._reply
        if reply is None or not first:
            raise Broken("the backend answered 2xx without a body")
        if not self._reading.done():
            reply = Reply(_Following(self, reply.chunks), reply.media_type, reply.replica, reply.before)
        return reply, first

    async def next_piece(self) -> bytes:
        """Return what came after the first bytes were let out, where the reading still went on; or else nothing."""
        await self._reading
        piece = b"".join(self._pieces)
        self._pieces.clear()
        return piece

    def stop(self) -> None:
        """End the reading, and with it the backend's work, without waiting for either."""
        self._reading.cancel()

    async def drop(self) -> None:
        """End the reading and the backend's work."""
        self._reading.cancel()
        await asyncio.wait({self._reading})
        if self._reply is not None:
            await self._reply.chunks.aclose()

    async def _read(self) -> None:
        self._reply = reply = await self.route.backend.send(self._call)
        try:
            take = self._take_events if self._call.stream else self._pieces.append
            async for piece in reply.chunks:
                take(piece)
                if self._call.stream and not self.is_whole and self._has_enough():
                    return
            self._end()
        except BaseException as error:
            if isinstance(error, BackendError):
                error.before = reply.before  # who was asked before it has its price, too
            await reply.chunks.aclose()
            raise

    def _has_enough(self) -> bool:
        return self._is_wanted or (self._tokens is not None and self.tokens >= self._tokens)

    def _take_events(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._listener.hear(self._reader.feed(piece))
        if self._reader.failed and not self._is_wanted:
            raise StreamBroken("the stream told of an error")
        self.is_whole = self._reader.finished

    def _end(self) -> None:
        """Judge a reply that has ended."""
        if not self._call.stream:
            body = b"".join(self._pieces)
            if not body:
                raise Broken("the backend answered 2xx without a body")
            told = read_reply(body)
            self._sample, self._usage, self._contradicts = sample_of(body), told.usage, told.contradicts
            self.is_whole = True
            return
        if not self.is_whole:
            self._listener.hear(self._reader.finish())
            self.is_whole = self._reader.finished
        if not self.is_whole:
            raise StreamBroken("the stream ended without a finish reason or without [DONE]")


class _Following(Chunks):
    """What comes after a part that was let out while its reading still went on.

    A class, since closing a generator that was never started would leave the reading behind.
    """

    def __init__(self, held: HeldReply, chunks: AsyncGenerator[bytes, None]) -> None:
        self._held: HeldReply | None = held
        self._chunks = chunks

    async def __anext__(self) -> bytes:
        if self._held is not None:
            held, self._held = self._held, None
            piece = await held.next_piece()
            if piece:
                return piece
        return await anext(self._chunks)

    async def aclose(self) -> None:
        """Leave the rest."""
        if self._held is not None:
            held, self._held = self._held, None
            await held.drop()
        await self._chunks.aclose()


def _looked_at(reading: asyncio.Task[None]) -> None:
    """Take note of an error that nobody waits for any more."""
    if not reading.cancelled():
        reading.exception()
