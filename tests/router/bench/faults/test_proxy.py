"""Tests `router/bench/faults/proxy.py` in front of a server that sends back what it gets."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from router.bench.faults.proxy import Fault, Proxy, Weather


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            writer.write(data)
    writer.close()


@asynccontextmanager
async def opened() -> AsyncGenerator[Proxy]:
    server = await asyncio.start_server(_echo, "127.0.0.1", 0)
    async with server:
        async with Proxy("127.0.0.1", server.sockets[0].getsockname()[1]) as proxy:
            yield proxy
        await asyncio.sleep(0.01)  # its end reaches the other side


async def exchange(proxy: Proxy, data: bytes, *, within: float = 2.0) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        async with asyncio.timeout(within):
            writer.write(data)
            writer.write_eof()
            return await reader.read()
    finally:
        writer.close()


async def test_in_fair_weather_bytes_and_ends_pass() -> None:
    async with opened() as proxy:
        assert await exchange(proxy, b"x" * 300_000) == b"x" * 300_000


@pytest.mark.parametrize("fault", [Fault.REFUSE, Fault.RESET])
async def test_connections_are_refused_or_reset_old_ones_too_and_then_no_more(fault: Fault) -> None:
    async with opened() as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"hi")
        assert await reader.read(2) == b"hi"
        await proxy.turn(Weather(fault))
        with pytest.raises(ConnectionError):
            await exchange(proxy, b"x")
        with pytest.raises(ConnectionError):
            await reader.read()
        await proxy.turn(Weather())
        assert await exchange(proxy, b"back") == b"back"
        writer.close()


async def test_a_black_hole_gives_back_what_it_swallowed_when_it_is_over() -> None:
    async with opened() as proxy:
        await proxy.turn(Weather(Fault.BLACKHOLE))
        with pytest.raises(TimeoutError):
            await exchange(proxy, b"x", within=0.1)
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"later")
        await asyncio.sleep(0.05)
        await proxy.turn(Weather())
        assert await reader.read(5) == b"later"
        writer.close()


async def test_the_way_back_takes_longer() -> None:
    async with opened() as proxy:
        await proxy.turn(Weather(Fault.DELAY, seconds=0.2))
        began = time.monotonic()
        assert await exchange(proxy, b"x") == b"x"
        assert 0.2 <= time.monotonic() - began < 1.5


async def test_the_way_back_ends_after_so_many_bytes() -> None:
    async with opened() as proxy:
        await proxy.turn(Weather(Fault.CUT, bytes=700))
        assert await exchange(proxy, b"x" * 5_000) == b"x" * 700


async def test_ends_arrive_later() -> None:
    async with opened() as proxy:
        await proxy.turn(Weather(Fault.SLOW_CLOSE, seconds=0.2))
        began = time.monotonic()
        assert await exchange(proxy, b"x") == b"x"
        assert time.monotonic() - began >= 0.2


async def test_who_cannot_be_reached_behind_it_is_a_reset() -> None:
    async with Proxy("127.0.0.1", 1) as proxy:
        with pytest.raises(ConnectionError):
            await exchange(proxy, b"x")
