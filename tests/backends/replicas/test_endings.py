"""Tests backends/replicas/endings.py."""

import asyncio
import gc
from collections.abc import AsyncGenerator

import pytest

from backends.base import Chunks, Sink, StreamBroken, pour
from backends.replicas.endings import Followed

Ends = list[BaseException | None]


class Bucket:
    """A sink that is full after every other piece."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.drained = 0

    def write(self, data: bytes) -> bool:
        self.got.append(data)
        return len(self.got) % 2 == 0

    async def drain(self) -> None:
        self.drained += 1


class Pouring(Chunks):
    """Chunks with a way of their own."""

    def __init__(self) -> None:
        self.is_closed = False

    async def __anext__(self) -> bytes:
        raise AssertionError("they are poured")

    async def pour(self, sink: Sink) -> None:
        sink.write(b"own way")

    async def aclose(self) -> None:
        self.is_closed = True


async def two(error: BaseException | None = None) -> AsyncGenerator[bytes, None]:
    yield b"1"
    yield b"2"
    if error is not None:
        raise error


async def test_the_end_is_told_once() -> None:
    ends: Ends = []
    chunks = Followed(two(), ends.append)
    assert [piece async for piece in chunks] == [b"1", b"2"]
    assert ends == [None]
    await chunks.aclose()
    del chunks
    assert ends == [None]


async def test_a_break_is_told_with_its_error() -> None:
    ends: Ends = []
    broken = StreamBroken("off")
    with pytest.raises(StreamBroken):
        assert [piece async for piece in Followed(two(broken), ends.append)]
    assert ends == [broken]


async def test_leaving_is_told_also_by_one_who_forgets_to_close() -> None:
    ends: Ends = []
    chunks = Followed(two(), ends.append)
    await anext(chunks)
    await chunks.aclose()
    assert [type(end) for end in ends] == [GeneratorExit]
    forgotten = Followed(two(), ends.append)
    del forgotten
    gc.collect()
    assert len(ends) == 2


async def test_a_cancelled_reader_is_told() -> None:
    ends: Ends = []

    async def silent() -> AsyncGenerator[bytes, None]:
        await asyncio.Event().wait()
        yield b""

    chunks = Followed(silent(), ends.append)
    reading = asyncio.create_task(anext(chunks, b""))
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait({reading})
    assert [type(end) for end in ends] == [asyncio.CancelledError]


@pytest.mark.parametrize("error", [None, StreamBroken("off")])
async def test_what_is_poured_ends_in_the_same_way(error: StreamBroken | None) -> None:
    ends: Ends = []
    bucket = Bucket()
    pouring = Followed(two(error), ends.append).pour(bucket)
    if error is None:
        await pouring
    else:
        with pytest.raises(StreamBroken):
            await pouring
    assert (bucket.got, bucket.drained, ends) == ([b"1", b"2"], 1, [error])


async def test_chunks_are_poured_in_their_own_way_where_they_have_one() -> None:
    ends: Ends = []
    bucket, own = Bucket(), Pouring()
    await Followed(own, ends.append).pour(bucket)
    await pour(own, bucket)
    assert (bucket.got, ends) == ([b"own way", b"own way"], [None])
    chunks = Followed(own, ends.append)
    await chunks.aclose()
    assert own.is_closed
