"""Tests cache/replies.py with a real redis-server and by hand-written values."""

import os
import signal
import time

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from cache.base import KeptReply
from cache.memory import MemoryStore
from cache.redis_store import RedisStore
from cache.replies import Replies
from cache.supervisor import PrivateRedis

KEY = b"k" * 32
REPLY = KeptReply(
    body=b'data: {"usage":{"prompt_tokens":3}}\n\ndata: [DONE]\n\n',
    media_type="text/event-stream",
    tier="mini",
    model="ministral",
    fresh_input=3,
    cached_input=None,
    output=5,
)


def opened(store: RedisStore | MemoryStore, *, secret: bytes = b"s" * 32) -> Replies:
    return Replies(store, secret, ttl=60)


@given(
    st.builds(
        KeptReply,
        body=st.binary(),
        media_type=st.text(max_size=9),
        tier=st.text(max_size=9),
        model=st.text(max_size=9),
        fresh_input=st.none() | st.integers(0, 1 << 40),
        cached_input=st.none() | st.integers(0, 1 << 40),
        output=st.none() | st.integers(0, 1 << 40),
    )
)
async def test_a_reply_comes_back_byte_for_byte(reply: KeptReply) -> None:
    replies = opened(MemoryStore(1 << 20))
    replies.put(KEY, reply)
    assert await replies.get(KEY) == reply


async def test_a_kept_reply_is_a_hit_in_redis(store: RedisStore) -> None:
    replies = opened(store)
    assert await replies.get(KEY) is None
    replies.put(KEY, REPLY)
    assert await replies.get(KEY) == REPLY
    stats = replies.stats()
    assert (stats.hits, stats.misses, stats.away, stats.alarms, stats.kept) == (1, 1, 0, 0, 1)


async def test_what_others_wrote_is_served_zero_times(store: RedisStore, hand: redis.Redis) -> None:
    replies = opened(store)
    replies.put(KEY, REPLY)
    assert await replies.get(KEY) == REPLY
    whole = hand.get(KEY)
    assert isinstance(whole, bytes)
    foreign = opened(store, secret=b"t" * 32)
    foreign.put(b"f" * 32, REPLY)
    foreign.put(KEY, REPLY)
    assert await foreign.get(KEY) == REPLY
    other_secret = hand.get(KEY)
    assert isinstance(other_secret, bytes)
    forged = [
        b"",
        b"\x01",
        whole[:17],
        b"\x02" + whole[1:],
        other_secret,
        os.urandom(400),
        whole + b"\x00",
        b"\x80\x04.",
    ]
    forged += [whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :] for i in range(len(whole))]
    for value in forged:
        hand.set(KEY, value)
        assert await replies.get(KEY) is None
    hand.set(b"x" * 32, whole)  # a true value under another key
    assert await replies.get(b"x" * 32) is None
    assert replies.stats().alarms == len(forged) + 1
    hand.set(KEY, whole)
    assert await replies.get(KEY) == REPLY


async def test_a_value_of_ours_with_other_fields_is_an_alarm() -> None:
    store = MemoryStore(1 << 20)
    replies = opened(store)
    payload = b"\x80"  # an empty map
    store.set(KEY, b"\x01" + replies._mac(KEY, payload) + payload, ttl=60)
    assert await replies.get(KEY) is None
    assert replies.stats().alarms == 1


async def test_a_wrong_type_is_away(store: RedisStore, hand: redis.Redis) -> None:
    hand.rpush(KEY, "not a string")
    replies = opened(store)
    assert await replies.get(KEY) is None
    assert replies.stats().away == 1


async def test_a_store_that_is_away_is_a_miss_in_time(server: PrivateRedis, store: RedisStore) -> None:
    replies = opened(store)
    assert server.pid
    os.kill(server.pid, signal.SIGKILL)
    for _ in range(20):
        began = time.perf_counter()
        assert await replies.get(KEY) is None
        replies.put(KEY, REPLY)
        assert time.perf_counter() - began < 0.06
    assert replies.stats().away == 20


@pytest.mark.parametrize(("size", "kept"), [(1 << 20, 1), ((1 << 20) + 1, 0)])
async def test_a_reply_over_a_mebibyte_is_not_kept(size: int, kept: int) -> None:
    replies = opened(MemoryStore(1 << 22))
    reply = KeptReply(b"x" * size, "text/plain", "mini", "ministral", None, None, None)
    replies.put(KEY, reply)
    assert (await replies.get(KEY) == reply) == bool(kept)
    assert replies.stats().too_large == 1 - kept


async def test_two_processes_with_one_secret_share_replies(server: PrivateRedis, store: RedisStore) -> None:
    opened(store).put(KEY, REPLY)
    second = RedisStore(server.url)
    assert await second.ready(2.0)
    await store.get(KEY)
    assert await opened(second).get(KEY) == REPLY
    await second.aclose()


async def test_the_reply_is_kept_for_its_time() -> None:
    now = 0.0
    replies = Replies(MemoryStore(1 << 20, clock=lambda: now), b"s", ttl=10)
    replies.put(KEY, REPLY)
    now = 9.9
    assert await replies.get(KEY) == REPLY
    now = 10.0
    assert await replies.get(KEY) is None
