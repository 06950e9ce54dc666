"""Tests cache/kv_blocks.py, and with it cache/guarded_redis.py, cache/kv_writer.py and cache/kv_index.py.

Each fault with a real redis-server.
"""

import asyncio
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis

from cache.kv_blocks import KvBlocks, open_store
from cache.kv_index import _SIZES, _USED, PREFIX
from cache.supervisor import PrivateRedis
from tests.cache.servers import free_port, paused, tcp_server

SECRET = b"a secret that stores share"
BUDGET = 0.05
AMPLE = 2.0  # a busy machine answers late; tests that are not about time must not fail for it


class Shelf:
    """Opens stores on one server, and closes them."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.opened: list[KvBlocks] = []

    def store(
        self,
        *,
        secret: bytes = SECRET,
        ttl: float = 60.0,
        cap_bytes: int = 1 << 30,
        host_bytes: int = 0,
        waiting_bytes: int = 64 << 20,
    ) -> KvBlocks:
        store = open_store(
            self.url, secret=secret, ttl=ttl, cap_bytes=cap_bytes, host_bytes=host_bytes, waiting_bytes=waiting_bytes
        )
        self.opened.append(store)
        return store


@pytest.fixture
async def shelf(server: PrivateRedis) -> AsyncGenerator[Shelf]:
    shelf = Shelf(server.url)
    yield shelf
    for store in shelf.opened:
        store.close()


def until(state: Callable[[], bool]) -> None:
    for _ in range(1000):
        if state():
            return
        time.sleep(0.005)
    pytest.fail("it did not come to that within five seconds")


def put(store: KvBlocks, values: dict[bytes, bytes]) -> None:
    """Put values and wait until they are written."""
    before = store.gauges()["kv_store_written_total"]
    store.put(list(values.items()))
    until(lambda: store.gauges()["kv_store_written_total"] == before + len(values))


def name_of(store: KvBlocks, key: bytes) -> bytes:
    return store._name_of(key)


def numbered(count: int, *, size: int = 1000) -> dict[bytes, bytes]:
    return {b"key %d" % i: bytes([i % 256]) * size for i in range(count)}


def took(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


# What is kept


async def test_what_one_process_put_another_finds(shelf: Shelf) -> None:
    put(shelf.store(), numbered(40))
    program = """
import sys
from cache.kv_blocks import open_store
store = open_store(sys.argv[1], secret=sys.argv[2].encode())
values = store.get([b"key 39", b"none", b"key 0"], within=2.0)
print([value and (value[0], len(value)) for value in values])
store.close()
"""
    command = [sys.executable, "-c", program, shelf.url, SECRET.decode()]
    found = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=True, timeout=30)
    assert found.stdout.decode().strip() == "[(39, 1000), None, (0, 1000)]"


async def test_values_come_in_the_order_of_their_keys_and_are_counted(shelf: Shelf) -> None:
    values = numbered(40)
    put(shelf.store(), values)
    store = shelf.store()
    keys = [*reversed(values), b"none"]
    assert store.get(keys, within=AMPLE) == [*reversed(values.values()), None]
    gauges = store.gauges()
    assert (gauges["kv_store_hits_total"], gauges["kv_store_misses_total"], gauges["kv_store_read_bytes_total"]) == (
        40,
        1,
        40_000,
    )
    assert gauges["kv_store_read_seconds_total"] > 0


async def test_sizes_say_what_is_here_what_is_there_and_what_is_nowhere(shelf: Shelf, hand: redis.Redis) -> None:
    writer = shelf.store()
    put(writer, {b"here": b"x" * 100, b"there": b"y" * 100, b"odd": b"z"})
    reader = shelf.store(host_bytes=1 << 20)
    reader.get([b"here"], within=AMPLE)
    hand.delete(name_of(writer, b"odd"))
    hand.rpush(name_of(writer, b"odd"), "a list")
    assert reader.sizes([b"there", b"none", b"odd", b"here"], within=AMPLE) == [117, None, None, 0]


async def test_a_value_that_nobody_could_have_put_is_never_fetched(shelf: Shelf, hand: redis.Redis) -> None:
    store = shelf.store(cap_bytes=1 << 20)
    hand.set(name_of(store, b"short"), b"\x01" + b"m" * 16)
    hand.setrange(name_of(store, b"huge"), 1 << 20, b"x")
    assert store.sizes([b"short", b"huge"], within=AMPLE) == [None, None]


async def test_values_in_host_memory_need_no_redis(shelf: Shelf, server: PrivateRedis) -> None:
    store = shelf.store(host_bytes=1 << 20)
    values = numbered(5)
    put(store, values)
    await server.aclose()
    assert store.get(list(values), within=AMPLE) == list(values.values())
    assert store.gauges()["kv_store_host_hits_total"] == 5
    assert store.gauges()["kv_store_hits_total"] == 0


async def test_what_was_fetched_is_in_host_memory_afterwards(shelf: Shelf) -> None:
    put(shelf.store(), numbered(3))
    store = shelf.store(host_bytes=1 << 20)
    for _ in range(2):
        store.get([b"key 1"], within=AMPLE)
    assert (store.gauges()["kv_store_hits_total"], store.gauges()["kv_store_host_hits_total"]) == (1, 1)


async def test_closing_writes_what_waits(shelf: Shelf, hand: redis.Redis) -> None:
    store = open_store(shelf.url, secret=SECRET)
    store.put(list(numbered(200, size=20_000).items()))
    store.close()
    assert hand.dbsize() == 202
    assert store.get([b"key 1"], within=AMPLE) == [None]


async def test_many_threads_may_ask_at_once(shelf: Shelf) -> None:
    values = numbered(64)
    put(shelf.store(), values)
    store = shelf.store(host_bytes=1 << 20)
    wrong: list[bytes] = []

    def ask(first: int) -> None:
        keys = list(values)[first : first + 20]
        for _ in range(20):
            wrong.extend(
                key for key, value in zip(keys, store.get(keys, within=AMPLE), strict=True) if value != values[key]
            )

    threads = [threading.Thread(target=ask, args=(first,)) for first in range(0, 40, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    assert not wrong


@pytest.mark.parametrize("url", ["http://localhost", "redis://localhost/?timeout=1"])
def test_a_url_that_names_no_redis_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="redis url"):
        open_store(url, secret=SECRET)


def test_a_store_without_a_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="secret"):
        open_store("redis://localhost", secret=b"")


# What is not ours


def flipped(value: bytes) -> bytes:
    return value[:-1] + bytes([value[-1] ^ 1])


@pytest.mark.parametrize(
    "spoil",
    [
        flipped,
        lambda value: value[:-1],
        lambda value: value + b"x",
        lambda value: b"\x02" + value[1:],
        lambda _: b"what another program keeps here",
        lambda _: b"",
    ],
    ids=["flipped bit", "cut", "longer", "other version", "foreign", "empty"],
)
async def test_a_value_that_is_not_as_it_was_put_is_a_miss_and_an_alarm_and_is_removed(
    shelf: Shelf, hand: redis.Redis, caplog: pytest.LogCaptureFixture, spoil: Callable[[bytes], bytes]
) -> None:
    put(shelf.store(), {b"a": b"value a", b"b": b"value b"})
    store = shelf.store()
    name = name_of(store, b"a")
    value = hand.get(name)
    assert isinstance(value, bytes)
    hand.set(name, spoil(value))
    assert store.get([b"a", b"b"], within=AMPLE) == [None, b"value b"]
    assert store.gauges()["kv_store_refused_total"] == 1
    assert "did not write, removed: 1" in caplog.text
    until(lambda: not hand.exists(name))
    put(store, {b"a": b"value a"})
    assert store.get([b"a"], within=AMPLE) == [b"value a"]


async def test_a_value_of_another_key_is_refused(shelf: Shelf, hand: redis.Redis) -> None:
    store = shelf.store()
    put(store, {b"a": b"value a", b"b": b"value b"})
    value = hand.get(name_of(store, b"a"))
    assert isinstance(value, bytes)
    hand.set(name_of(store, b"b"), value)
    assert store.get([b"b"], within=AMPLE) == [None]
    assert store.gauges()["kv_store_refused_total"] == 1


async def test_those_with_another_secret_find_nothing_and_raise_no_alarm(shelf: Shelf, hand: redis.Redis) -> None:
    put(shelf.store(), {b"a": b"value"})
    other = shelf.store(secret=b"another secret")
    assert other.get([b"a"], within=AMPLE) == [None]
    assert other.sizes([b"a"], within=AMPLE) == [None]
    assert other.gauges()["kv_store_refused_total"] == 0
    assert not [name for name in hand.scan_iter() if b"value" in name]


async def test_alarms_are_said_once_a_minute_and_counted_always(
    shelf: Shelf, hand: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    store = shelf.store()
    for i in range(10):
        hand.set(name_of(store, b"%d" % i), b"what another program keeps here")
        store.get([b"%d" % i], within=AMPLE)
    assert store.gauges()["kv_store_refused_total"] == 10
    assert len(caplog.records) == 1
    store._alarmed_at -= 60.0
    hand.set(name_of(store, b"a"), b"what another program keeps here")
    store.get([b"a"], within=AMPLE)
    assert "removed: 10" in caplog.messages[-1]


# How much is kept, and how long


def held_bytes(hand: redis.Redis) -> int:
    """Return the bytes of all values in Redis, counted in one step."""
    script = """
        local sum = 0
        for _, name in ipairs(redis.call('KEYS', ARGV[1] .. '*')) do
          if redis.call('TYPE', name).ok == 'string' then sum = sum + redis.call('STRLEN', name) end
        end
        return sum
    """
    sum_of: Callable[..., int] = hand.eval
    return sum_of(script, 0, PREFIX)


async def test_the_cap_holds_at_every_moment_while_several_write(shelf: Shelf, hand: redis.Redis) -> None:
    cap = 100_000
    stores = [shelf.store(cap_bytes=cap) for _ in range(4)]
    for writer, store in enumerate(stores):
        store.put([(b"%d %d" % (writer, i), b"x" * (500 + 37 * (i % 100))) for i in range(400)])
    seen: list[int] = []
    while sum(store.gauges()["kv_store_written_total"] for store in stores) < 1600:
        seen.append(held_bytes(hand))
        assert seen[-1] <= cap
    assert len(seen) > 5
    assert max(seen) > cap * 0.9
    assert held_bytes(hand) == int(hand.hget(_SIZES, "") or 0) <= cap
    assert sum(store.gauges()["kv_store_evicted_total"] for store in stores) == 1600 - hand.zcard(_USED)
    assert stores[0].gauges()["kv_store_held_bytes"] <= cap


async def test_what_was_used_longest_ago_is_evicted_whoever_used_it(shelf: Shelf) -> None:
    cap = 5 * 1017
    writer, reader = shelf.store(cap_bytes=cap), shelf.store(cap_bytes=cap)
    for key, value in numbered(5).items():
        put(writer, {key: value})
    reader.get([b"key 0"], within=AMPLE)
    reader.close()  # which writes down that it was used
    put(writer, {b"key 5": b"x" * 1000})
    kept = shelf.store().sizes(list(numbered(6)), within=AMPLE)
    assert [size is not None for size in kept] == [True, False, True, True, True, True]


async def test_a_chain_loses_its_end_first(shelf: Shelf) -> None:
    store = shelf.store(cap_bytes=5 * 1017)
    put(store, numbered(5))
    put(store, {b"other": b"x" * 2500})
    kept = store.sizes(list(numbered(5)), within=AMPLE)
    assert [size is not None for size in kept] == [True, True, False, False, False]


async def test_values_are_forgotten_a_while_after_their_last_use(shelf: Shelf, hand: redis.Redis) -> None:
    store = shelf.store(ttl=0.5)
    put(store, {b"used": b"value", b"unused": b"value"})
    for _ in range(8):
        await asyncio.sleep(0.1)
        assert store.get([b"used"], within=AMPLE) == [b"value"]
    assert store.get([b"unused"], within=AMPLE) == [None]
    await asyncio.sleep(0.6)
    put(store, {b"last": b"value"})
    assert hand.zcard(_USED) == 1
    assert held_bytes(hand) == int(hand.hget(_SIZES, "") or 0) == 22


async def test_a_value_put_again_counts_once(shelf: Shelf, hand: redis.Redis) -> None:
    store = shelf.store()
    put(store, {b"a": b"x" * 100})
    put(store, {b"a": b"x" * 50})
    assert held_bytes(hand) == int(hand.hget(_SIZES, "") or 0) == 67


@pytest.mark.parametrize("lost", [(_USED,), (_SIZES,), (_USED, _SIZES)], ids=["uses", "sizes", "both"])
async def test_a_lost_index_is_made_again(shelf: Shelf, hand: redis.Redis, lost: tuple[bytes, ...]) -> None:
    store = shelf.store(cap_bytes=10 * 1017)
    put(store, numbered(8))
    hand.delete(*lost)
    store.get(list(numbered(8)), within=AMPLE)
    put(store, {b"more": b"x" * 1000})
    until(lambda: hand.zcard(_USED) == 9)
    assert int(hand.hget(_SIZES, "") or 0) == held_bytes(hand) == 9 * 1017


async def test_a_value_larger_than_the_cap_is_dropped_and_evicts_nothing(shelf: Shelf) -> None:
    store = shelf.store(cap_bytes=2000)
    put(store, {b"a": b"value"})
    store.put([(b"b", b"x" * 2000)])
    assert store.gauges()["kv_store_dropped_total"] == 1
    assert store.get([b"a"], within=AMPLE) == [b"value"]


# When Redis is slow or away


async def test_a_stopped_server_costs_one_caller_the_budget_and_the_others_nothing(
    shelf: Shelf, server: PrivateRedis
) -> None:
    store = shelf.store()
    put(store, numbered(3))
    with paused(server):
        late = max(took(lambda: time.sleep(0.05)) - 0.05 for _ in range(3))
        first = took(lambda: store.get([b"key 1"], within=BUDGET))
        others = sorted(took(lambda: store.get([b"key 1"], within=BUDGET)) for _ in range(2000))
        assert 0.045 < first < 0.06 + late
        assert others[1980] < 0.001
        assert store.gauges()["kv_store_away"] == 1
        # Probing while it is away is nobody's cost either.
        began, slow = time.perf_counter(), 0
        while time.perf_counter() - began < 0.6:
            slow += took(lambda: store.get([b"key 1"], within=BUDGET)) > 0.02
            await asyncio.sleep(0.002)
        assert slow < 5  # this machine's pauses
    until(lambda: store.gauges()["kv_store_away"] == 0)
    assert store.get([b"key 1"], within=AMPLE) == [numbered(3)[b"key 1"]]


async def test_a_killed_server_is_a_miss_at_once_and_its_successor_is_found(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    store = open_store(f"redis://127.0.0.1:{port}/2", secret=SECRET, host_bytes=0)
    try:
        with tcp_server(port, tmp_path) as process:
            until(lambda: store.gauges()["kv_store_away"] == 0 and bool(store._redis._idle))
            put(store, numbered(3))
            process.kill()
            process.wait()
            assert took(lambda: store.get([b"key 1"], within=BUDGET)) < BUDGET
            assert store.gauges()["kv_store_away"] == 1
        store.put([(b"waits", b"value")])
        with tcp_server(port, tmp_path):
            until(lambda: store.gauges()["kv_store_written_total"] == 4)
            assert store.get([b"key 1", b"waits"], within=AMPLE) == [None, b"value"]
            with redis.Redis(port=port, db=2) as hand:
                assert hand.dbsize() == 3
    finally:
        store.close()
    assert sum("redis is away" in message for message in caplog.messages) <= 2  # before it was there, and killed


async def test_what_waits_for_a_server_that_is_away_is_bounded(shelf: Shelf, server: PrivateRedis) -> None:
    store = shelf.store(waiting_bytes=10_000)
    put(store, {b"a": b"value"})
    await server.aclose()
    store.get([b"a"], within=BUDGET)
    store.put(list(numbered(20).items()))
    assert store.gauges()["kv_store_dropped_total"] == 11
    began = time.perf_counter()
    store.close()
    assert time.perf_counter() - began < 1.2
    assert store.gauges()["kv_store_dropped_total"] == 20


async def test_closing_while_the_server_is_stopped_takes_a_second_at_most(shelf: Shelf, server: PrivateRedis) -> None:
    store = shelf.store()
    put(store, {b"a": b"value"})
    with paused(server):
        store.put([(b"b", b"value")])
        assert took(store.close) < 1.5


async def test_a_full_server_still_reads(shelf: Shelf, hand: redis.Redis) -> None:
    store = shelf.store()
    put(store, {b"a": b"value"})
    hand.config_set("maxmemory-policy", "noeviction")
    hand.config_set("maxmemory", "1")
    store.put([(b"b", b"value")])
    until(lambda: store.gauges()["kv_store_dropped_total"] == 1)
    assert store.get([b"a"], within=AMPLE) == [b"value"]
    assert store.gauges()["kv_store_away"] == 0


async def test_a_server_that_refuses_to_be_read_is_away(shelf: Shelf, hand: redis.Redis) -> None:
    store = shelf.store()
    put(store, {b"a": b"value"})
    execute: Callable[..., object] = hand.execute_command
    execute("ACL", "SETUSER", "default", "-mget")
    assert store.get([b"a"], within=AMPLE) == [None]
    assert "NOPERM" in store._redis._circuit.cause
    execute("ACL", "SETUSER", "default", "+mget")
    until(lambda: store.get([b"a"], within=AMPLE) == [b"value"])


async def test_a_server_that_forgot_our_scripts_is_told_again(shelf: Shelf, hand: redis.Redis) -> None:
    store = shelf.store()
    put(store, {b"a": b"value"})
    hand.script_flush()
    put(store, {b"b": b"value"})
    assert store.get([b"a", b"b"], within=AMPLE) == [b"value", b"value"]


@asynccontextmanager
async def slow_front(server: PrivateRedis, bytes_per_second: float) -> AsyncGenerator[int]:
    """Yield the port of a front that hands on the server's bytes at a pace."""
    path = server.url.removeprefix("unix://")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_unix_connection(path)

        async def answer() -> None:
            while data := await inner_reader.read(8192):
                await asyncio.sleep(len(data) / bytes_per_second)
                writer.write(data)

        answering = asyncio.create_task(answer())
        try:
            while data := await reader.read(65536):
                inner_writer.write(data)
        finally:  # also where the test has ended
            answering.cancel()
            inner_writer.close()
            writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listener:
        yield int(listener.sockets[0].getsockname()[1])


async def test_of_a_long_chain_over_a_slow_line_the_first_blocks_come_in_time(
    shelf: Shelf, server: PrivateRedis
) -> None:
    values = numbered(160, size=10_000)
    put(shelf.store(), values)
    async with slow_front(server, 2e6) as port:
        store = open_store(f"redis://127.0.0.1:{port}", secret=SECRET, host_bytes=0)
        await asyncio.to_thread(until, lambda: bool(store._redis._idle))
        began = time.perf_counter()
        found = await asyncio.to_thread(store.get, list(values), within=0.3)
        assert time.perf_counter() - began < 0.5
        count = sum(value is not None for value in found)
        assert 0 < count < 160
        assert found == [*list(values.values())[:count], *[None] * (160 - count)]
        gauges = store.gauges()
        assert (gauges["kv_store_late_total"], gauges["kv_store_away"]) == (
            1,
            0,
        )  # it is there, only asked for too much
        await asyncio.to_thread(store.close)


async def test_going_and_coming_back_are_said_once(
    shelf: Shelf, server: PrivateRedis, caplog: pytest.LogCaptureFixture
) -> None:
    store = shelf.store()
    put(store, {b"a": b"value"})
    with caplog.at_level(logging.INFO, logger="cache.guarded_redis"), paused(server):
        for _ in range(10):
            store.get([b"a"], within=BUDGET)
        os.kill(server.pid or 0, signal.SIGCONT)
        until(lambda: store.gauges()["kv_store_away"] == 0)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
