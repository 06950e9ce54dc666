"""Tests cache/semantic/shared_index.py with a real redis-server."""

import os

import numpy as np
import pytest
import redis

from cache.base import StoreAway
from cache.redis_store import RedisStore
from cache.semantic.base import Entry
from cache.semantic.shared_index import SharedIndex
from cache.supervisor import PrivateRedis
from tests.cache.servers import paused

PARTITION = b"p" * 32
OTHER = b"q" * 32


def entry(number: int) -> Entry:
    vector = np.random.default_rng(number).normal(size=112).astype(np.float32)
    return Entry(f"{number}".encode().ljust(16), b"f" * 16, vector / np.float32(np.linalg.norm(vector)), b"\x01\x02")


def index(store: RedisStore, *, secret: bytes = b"s" * 32, source: str = "a@1") -> SharedIndex:
    return SharedIndex(store, secret=secret, source=source, ttl=60)


async def everything(shared: SharedIndex, partition: bytes = PARTITION) -> list[Entry]:
    found: list[Entry] = []
    generation, offset = b"", 0
    while True:
        part = await shared.read(partition, generation=generation, offset=offset)
        found += shared.opened(partition, part.data)
        generation, offset = part.generation, part.offset
        if part.is_all:
            return found


async def test_what_one_worker_appends_another_reads(store: RedisStore) -> None:
    index(store).append(PARTITION, entry(1))
    (found,) = await everything(index(store))
    assert (found.name, found.facts, found.words) == (entry(1).name, entry(1).facts, entry(1).words)
    assert np.allclose(found.vector, entry(1).vector, atol=1e-3)


async def test_reading_goes_on_where_it_stopped_and_begins_anew_after_a_rewrite(store: RedisStore) -> None:
    shared = index(store)
    shared.append(PARTITION, entry(1))
    first = await shared.read(PARTITION, generation=b"", offset=0)
    shared.append(PARTITION, entry(2))
    second = await shared.read(PARTITION, generation=first.generation, offset=first.offset)
    assert [each.name for each in shared.opened(PARTITION, second.data)] == [entry(2).name]
    shared.rewrite(PARTITION, [entry(3)])
    third = await shared.read(PARTITION, generation=second.generation, offset=second.offset)
    assert third.generation != second.generation
    assert [each.name for each in shared.opened(PARTITION, third.data)] == [entry(3).name]


async def test_hundreds_of_entries_come_in_parts(store: RedisStore) -> None:
    shared = index(store)
    for number in range(400):
        shared.append(PARTITION, entry(number))
    first = await shared.read(PARTITION, generation=b"", offset=0)
    assert not first.is_all
    assert [each.name for each in await everything(shared)] == [entry(number).name for number in range(400)]


async def test_partitions_secrets_and_sources_do_not_mix(store: RedisStore) -> None:
    index(store).append(PARTITION, entry(1))
    assert await everything(index(store), OTHER) == []
    assert await everything(index(store, secret=b"t" * 32)) == []
    assert await everything(index(store, source="b@1")) == []


async def test_what_others_wrote_is_not_read(store: RedisStore, hand: redis.Redis) -> None:
    shared = index(store)
    shared.append(PARTITION, entry(1))
    await everything(shared)
    (name,) = hand.keys()
    whole = hand.get(name)
    assert isinstance(whole, bytes)
    for place in range(10, len(whole)):  # each byte behind the mark and the length
        hand.set(name, whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert await everything(shared) == [], place
    assert shared.refused == len(whole) - 10
    shared.append(OTHER, entry(2))
    await everything(shared, OTHER)
    (other,) = [each for each in hand.keys() if each != name]  # noqa: SIM118 - a client's method
    ours = hand.get(other)
    assert isinstance(ours, bytes)
    hand.set(name, ours)  # but of another partition
    assert await everything(shared) == []
    for garbage in (b"", b"x", os.urandom(7), os.urandom(8), os.urandom(300), os.urandom(70_000), b"\xff" * 200_000):
        hand.set(name, garbage)
        assert await everything(shared) == []


async def test_an_index_is_kept_for_its_time_and_renewed(store: RedisStore, hand: redis.Redis) -> None:
    shared = index(store)
    shared.append(PARTITION, entry(1))
    await everything(shared)
    (name,) = hand.keys()
    assert 55_000 < hand.pttl(name) <= 60_000
    hand.pexpire(name, 1_000)
    shared.append(PARTITION, entry(2))
    await everything(shared)
    assert hand.pttl(name) > 55_000


async def test_a_server_that_is_away_or_holds_something_else_is_away(
    server: PrivateRedis, store: RedisStore, hand: redis.Redis, true_budget: None
) -> None:
    shared = index(store)
    shared.append(PARTITION, entry(1))
    await everything(shared)
    (name,) = hand.keys()
    hand.delete(name)
    hand.rpush(name, "a list")
    with pytest.raises(StoreAway):
        await everything(shared)
    with paused(server), pytest.raises(StoreAway):
        await everything(shared)


async def test_an_entry_that_no_length_can_tell_is_not_kept(store: RedisStore) -> None:
    shared = index(store)
    shared.append(PARTITION, Entry(b"n" * 16, b"f", np.zeros(40_000, np.float32), b""))
    assert await everything(shared) == []
