"""A reply's chunks -> the same, and a plain call when they have ended.

Whichever way they end: whole, broken, left by their reader, or dropped by one who forgot to close them. The call is
plain, since whoever leaves cancels every `await`.
"""

from collections.abc import AsyncGenerator, Callable

from backends.base import Chunks, Sink, pour

Ended = Callable[[BaseException | None], None]
"""Takes what the chunks ended with: None where they were whole, `GeneratorExit` where their reader left."""


class Followed(Chunks):
    """Chunks whose end somebody waits for.

    Args:
        chunks: closed together with this.
        ended: called exactly once.
    """

    __slots__ = ("_chunks", "_ended")

    def __init__(self, chunks: AsyncGenerator[bytes, None], ended: Ended) -> None:
        self._chunks = chunks
        self._ended: Ended | None = ended

    def __del__(self) -> None:
        self._end(GeneratorExit())

    async def __anext__(self) -> bytes:
        try:
            return await self._chunks.__anext__()
        except StopAsyncIteration:
            self._end(None)
            raise
        except BaseException as error:
            self._end(error)
            raise

    async def pour(self, sink: Sink) -> None:
        """See `Chunks.pour`."""
        try:
            await pour(self._chunks, sink)
        except BaseException as error:
            self._end(error)
            raise
        self._end(None)

    async def aclose(self) -> None:
        """Leave the reply."""
        try:
            await self._chunks.aclose()
        finally:
            self._end(GeneratorExit())

    def _end(self, error: BaseException | None) -> None:
        ended, self._ended = self._ended, None
        if ended is not None:
            ended(error)
