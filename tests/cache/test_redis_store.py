"""Tests cache/redis_store.py: each fault with a real redis-server."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import redis

from cache.base import StoreAway
from cache.redis_store import RedisStore
from cache.supervisor import PrivateRedis
from tests.cache.servers import free_port, paused, tcp_server


async def refusal(store: RedisStore) -> float:
    """Return the seconds after which a get was refused."""
    began = time.perf_counter()
    with pytest.raises(StoreAway):
        await store.get(b"key")
    return time.perf_counter() - began


def order(hand: redis.Redis, *words: str) -> object:
    """Send a command for which the client has no typed method."""
    execute: Callable[..., object] = hand.execute_command
    return execute(*words)


async def until(state: Callable[[], bool]) -> None:
    for _ in range(1000):
        if state():
            return
        await asyncio.sleep(0.005)
    pytest.fail("it did not come to that within five seconds")


async def refusals(store: RedisStore, count: int) -> tuple[list[float], float]:
    """Return the seconds after which so many gets at once were refused, and how many of them the machine took away.

    That is by how much waits of 10 ms, all the while, were longer than the 12 ms that a free machine makes of them.
    """
    asked = asyncio.gather(*(refusal(store) for _ in range(count)))
    late = 0.0
    while not asked.done():
        began = time.perf_counter()
        await asyncio.wait([asked], timeout=0.01)
        late += max(0.0, time.perf_counter() - began - 0.012)
    return await asked, late


async def until_cause(store: RedisStore, words: str) -> None:
    """Ask until the breaker is open for that cause."""
    async with asyncio.timeout(3):
        while words not in store.stats().cause:
            with suppress(StoreAway):
                await store.get(b"key")
            await asyncio.sleep(0.001)


@asynccontextmanager
async def slow_front(server: PrivateRedis, delay: list[float]) -> AsyncGenerator[int]:
    """Yield the port of a front that hands bytes to the server `delay[0]` seconds late."""
    path = server.url.removeprefix("unix://")

    async def pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter, wait: list[float]) -> None:
        while data := await source.read(65536):
            asyncio.get_running_loop().call_later(wait[0], target.write, data)
        target.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_unix_connection(path)
        try:
            with suppress(OSError):
                await asyncio.gather(pass_on(reader, inner_writer, delay), pass_on(inner_reader, writer, [0.0]))
        finally:  # also where the test has ended
            inner_writer.close()
            writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listener:
        yield int(listener.sockets[0].getsockname()[1])


async def test_constructing_waits_for_nothing_and_the_first_get_begins_to_connect(server: PrivateRedis) -> None:
    store = RedisStore(server.url)
    assert store.stats().breaker_open
    assert await refusal(store) < 0.01
    await until(lambda: not store.stats().breaker_open)
    assert await store.get(b"key") is None
    await store.aclose()


@pytest.mark.usefixtures("true_budget")
async def test_a_paused_server_costs_60_ms_until_the_breaker_opens_and_then_2(
    server: PrivateRedis, store: RedisStore
) -> None:
    store.set(b"key", b"value", ttl=60)
    assert await store.get(b"key") == b"value"
    before: list[tuple[list[float], float]] = []
    after: list[float] = []
    with paused(server):
        while not store.stats().breaker_open and len(before) < 10:
            before.append(await refusals(store, 1))
        for _ in range(500):
            after.append(await refusal(store))
            await asyncio.sleep(0.001)
    assert len(before) == 5
    assert all(0.045 < took < 0.06 + late for (took,), late in before)
    assert sorted(after)[int(len(after) * 0.99)] < 0.002
    assert store.stats().timeouts >= 5
    await until(lambda: not store.stats().breaker_open)
    assert await store.get(b"key") == b"value"


@pytest.mark.usefixtures("true_budget")
async def test_many_callers_of_a_paused_server_are_all_refused_in_time(server: PrivateRedis, store: RedisStore) -> None:
    with paused(server):
        took, late = await refusals(store, 64)
        assert max(took) < 0.06 + late
        assert store.stats().breaker_open


async def test_an_open_breaker_refuses_within_20_us(store: RedisStore, server: PrivateRedis) -> None:
    await server.aclose()
    await until(lambda: store.stats().breaker_open)
    took = sorted([await refusal(store) for _ in range(2000)])
    assert took[len(took) // 2] < 20e-6


async def test_a_killed_server_is_noticed_at_once_and_its_successor_found(tmp_path: Path) -> None:
    port = free_port()
    with tcp_server(port, tmp_path) as first:
        store = RedisStore(f"redis://127.0.0.1:{port}/2")
        assert await store.ready(3.0)
        store.set(b"key", b"value", ttl=60)
        assert await store.get(b"key") == b"value"
        first.kill()
        await until(lambda: store.stats().breaker_open)
        assert await refusal(store) < 0.002
    with tcp_server(port, tmp_path):
        await until(lambda: not store.stats().breaker_open)
        assert await store.get(b"key") is None
        store.set(b"key", b"again", ttl=60)
        assert await store.get(b"key") == b"again"
        with redis.Redis(port=port, db=2) as hand:
            assert hand.get("key") == b"again"
        await store.aclose()


@pytest.mark.usefixtures("true_budget")
async def test_a_server_that_is_200_ms_slow_stays_refused_and_is_probed_ever_more_seldom(server: PrivateRedis) -> None:
    async with slow_front(server, [0.2]) as port:
        store = RedisStore(f"redis://127.0.0.1:{port}")
        assert not await store.ready(1.2)
        assert await refusal(store) < 0.01
        stats = store.stats()
        assert "no answer within 0.05 s" in stats.cause
        assert stats.breaker_open
        assert 3 <= stats.errors <= 5  # at 0, 0.15, 0.4 and 0.85 s, give or take the dice
        await store.aclose()


@pytest.mark.usefixtures("true_budget")
async def test_answers_that_come_too_late_keep_no_breaker_closed(server: PrivateRedis) -> None:
    delay = [0.0]
    async with slow_front(server, delay) as port:
        store = RedisStore(f"redis://127.0.0.1:{port}")
        assert await store.ready(1.0)
        delay[0] = 0.12
        for _ in range(5):
            assert not store.stats().breaker_open
            await refusal(store)
        assert store.stats().breaker_open
        assert store.stats().timeouts == 5
        await store.aclose()


async def test_a_wrong_type_is_refused_and_opens_no_breaker(store: RedisStore, hand: redis.Redis) -> None:
    hand.rpush("key", "not a string")
    for _ in range(20):
        await refusal(store)
    stats = store.stats()
    assert stats.errors == 20
    assert not stats.breaker_open
    assert await store.get(b"other") is None


async def test_a_password_is_needed_and_given(server: PrivateRedis, hand: redis.Redis) -> None:
    hand.config_set("requirepass", "open sesame")
    without = RedisStore(server.url)
    assert not await without.ready(0.1)
    assert "NOAUTH" in without.stats().cause
    assert await refusal(without) < 0.01
    await without.aclose()
    wrong = RedisStore(server.url.replace("unix://", "unix://:guess@"))
    assert not await wrong.ready(0.1)
    assert "WRONGPASS" in wrong.stats().cause
    await wrong.aclose()
    right = RedisStore(server.url.replace("unix://", "unix://:open%20sesame@"))
    assert await right.ready(1.0)
    assert await right.get(b"key") is None
    await right.aclose()


async def test_rights_that_are_taken_away_open_the_breaker(store: RedisStore, hand: redis.Redis) -> None:
    order(hand, "ACL", "SETUSER", "default", "-get", "-ping")
    await until_cause(store, "NOPERM")
    order(hand, "ACL", "SETUSER", "default", "+get", "+ping")
    await until(lambda: not store.stats().breaker_open)


async def test_a_full_server_still_reads(store: RedisStore, hand: redis.Redis) -> None:
    store.set(b"key", b"value", ttl=60)
    assert await store.get(b"key") == b"value"
    hand.config_set("maxmemory-policy", "noeviction")
    hand.config_set("maxmemory", "1")
    store.set(b"other", b"value", ttl=60)
    assert await store.get(b"key") == b"value"
    assert store.stats().errors == 1
    assert not store.stats().breaker_open


async def test_writes_alone_that_fail_open_the_breaker(store: RedisStore, hand: redis.Redis) -> None:
    hand.config_set("maxmemory-policy", "noeviction")
    hand.config_set("maxmemory", "1")
    for i in range(5):
        store.set(b"%d" % i, b"value", ttl=60)
    await until(lambda: store.stats().breaker_open)
    assert "OOM" in store.stats().cause


async def test_a_primary_that_became_a_replica_is_left(store: RedisStore, hand: redis.Redis) -> None:
    order(hand, "REPLICAOF", "127.0.0.1", "1")
    store.set(b"key", b"value", ttl=60)
    await until(lambda: "replica" in store.stats().cause)
    assert store.stats().breaker_open
    order(hand, "REPLICAOF", "NO", "ONE")
    await until(lambda: not store.stats().breaker_open)
    store.set(b"key", b"value", ttl=60)
    assert await store.get(b"key") == b"value"


@pytest.mark.usefixtures("true_budget")
async def test_a_server_that_loads_its_data_is_away_until_it_has(tmp_path: Path) -> None:
    port = free_port()
    store = RedisStore(f"redis://127.0.0.1:{port}")
    with tcp_server(port, tmp_path, "--rdbcompression", "no"), redis.Redis(port=port) as hand:
        assert await store.ready(3.0)
        for i in range(20):
            hand.set(f"{i}", b"x" * (1 << 20))
        hand.save()
    with tcp_server(port, tmp_path, "--key-load-delay", "20000"):  # microseconds
        await until_cause(store, "LOADING")
        await until(lambda: not store.stats().breaker_open)
        assert await store.get(b"7") == b"x" * (1 << 20)
        await store.aclose()


async def test_a_server_busy_with_a_script_is_away_until_it_has_ended(
    server: PrivateRedis, store: RedisStore, hand: redis.Redis
) -> None:
    hand.config_set("lua-time-limit", "5")
    endless = asyncio.create_task(asyncio.to_thread(hand.eval, "while true do end", 0))
    await until_cause(store, "BUSY")
    with redis.Redis.from_url(server.url) as other:
        other.script_kill()
    with pytest.raises(redis.ResponseError):
        await endless
    await until(lambda: not store.stats().breaker_open)


async def test_values_for_a_server_far_behind_are_dropped(server: PrivateRedis, store: RedisStore) -> None:
    with paused(server):
        for i in range(4):
            store.set(b"%d" % i, b"x" * (5 << 20), ttl=60)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert store.stats().errors == 2


async def test_closing_sends_what_was_handed_over(server: PrivateRedis, hand: redis.Redis) -> None:
    store = RedisStore(server.url)
    assert await store.ready(2.0)
    for i in range(200):
        store.set(b"%d" % i, b"x" * 20_000, ttl=60)
        if i % 50 == 49:
            await store.get(b"%d" % i)
    await store.aclose()
    assert hand.dbsize() == 200


@pytest.mark.usefixtures("true_budget")
async def test_closing_waits_longer_for_a_server_than_a_call_does(store: RedisStore, hand: redis.Redis) -> None:
    hand.client_pause(200)
    for i in range(10):
        store.set(b"%d" % i, b"value", ttl=60)
    await store.aclose()
    assert hand.dbsize() == 10


@pytest.mark.usefixtures("true_budget")
async def test_closing_a_store_whose_server_is_silent_takes_a_second(server: PrivateRedis, store: RedisStore) -> None:
    with paused(server):
        store.set(b"key", b"value", ttl=60)
        await asyncio.wait_for(store.aclose(), 1.2)


async def test_a_closed_store_stays_closed(server: PrivateRedis, store: RedisStore) -> None:
    unused = RedisStore(server.url)
    for each in (store, unused):
        await each.aclose()
        await refusal(each)
        assert not await each.ready(0.1)


async def test_nobody_at_the_address_is_away_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    store = RedisStore(f"redis://127.0.0.1:{free_port()}")
    assert not await store.ready(0.01)
    assert await refusal(store) < 0.01
    assert "cannot be reached" in store.stats().cause
    await until(lambda: store.stats().errors == 3)
    assert len(caplog.records) == 1
    await store.aclose()


async def test_hits_and_misses_are_counted(store: RedisStore) -> None:
    store.set(b"key", b"value", ttl=60)
    await store.get(b"key")
    await store.get(b"key")
    await store.get(b"other")
    stats = store.stats()
    assert (stats.hits, stats.misses, stats.errors, stats.timeouts) == (2, 1, 0, 0)


async def test_going_and_coming_back_are_said_once(
    store: RedisStore, hand: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="cache.redis_store"):
        order(hand, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await until(lambda: store.stats().breaker_open)
        await until(lambda: not store.stats().breaker_open)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
