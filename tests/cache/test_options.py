"""Tests cache/options.py."""

import asyncio
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from cache import options as options_module
from cache.base import KeptReply
from cache.connection import BUDGET, FAILURES
from cache.keys import reply_key
from cache.memory import MemoryStore
from cache.options import CacheOptions, open_replies
from cache.redis_store import RedisStore
from cache.supervisor import PrivateRedis

REPLY = KeptReply(b"{}", "application/json", "mini", "ministral", 1, 0, 1)
KEY = b"k" * 32
SECRET = SecretStr("a secret of some length")


def exists(path: str) -> bool:
    return Path(path).exists()


async def test_with_nothing_chosen_replies_are_kept_in_a_private_redis(server: PrivateRedis) -> None:
    async with open_replies(CacheOptions()) as opened:
        assert opened.kind == "private redis"
        assert isinstance(opened.store, RedisStore)
        assert opened.replies
        opened.replies.put(KEY, REPLY)
        assert await opened.replies.get(KEY) == REPLY
        socket = opened.store._address.path
        assert exists(socket)
    assert not exists(socket)


async def test_a_given_redis_is_used_and_shared_by_whoever_has_the_secret(server: PrivateRedis) -> None:
    chosen = CacheOptions(url=server.url, secret=SECRET)
    async with open_replies(chosen) as one, open_replies(chosen) as other:
        assert one.kind == "redis"
        assert one.replies
        assert other.replies
        keys = [
            reply_key(each.key_secret, tenant="a", path="/", fields=[], policy="p@1", tier="mini")
            for each in (one, other)
        ]
        assert keys[0] == keys[1]
        one.replies.put(keys[0], REPLY)
        assert await one.replies.get(keys[0]) == REPLY
        assert await other.replies.get(keys[1]) == REPLY
    assert isinstance(one.store, RedisStore)
    assert not await one.store.ready(0.1)  # closed with its block, though the server is there


async def test_without_a_secret_each_process_keeps_its_own(server: PrivateRedis) -> None:
    chosen = CacheOptions(url=server.url)
    async with open_replies(chosen) as one, open_replies(chosen) as other:
        assert one.key_secret != other.key_secret


async def test_a_given_redis_that_is_away_delays_the_start_by_a_second_and_is_tried_again() -> None:
    began = asyncio.get_running_loop().time()
    async with open_replies(CacheOptions(url="redis://127.0.0.1:1")) as opened:
        assert asyncio.get_running_loop().time() - began < 1.2
        assert opened.kind == "redis"
        assert opened.replies
        assert await opened.replies.get(KEY) is None
        assert opened.replies.stats().away == 1


async def test_without_any_server_replies_are_kept_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options_module, "find_binary", lambda: None)
    async with open_replies(CacheOptions()) as opened:
        assert opened.kind == "memory"
        assert isinstance(opened.store, MemoryStore)
        assert opened.replies
        opened.replies.put(KEY, REPLY)
        assert await opened.replies.get(KEY) == REPLY


async def test_a_server_that_cannot_be_started_is_said_and_memory_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    program = tmp_path / "redis-server"
    program.write_text("not a program")
    program.chmod(0o700)
    async with open_replies(CacheOptions()) as opened:
        assert opened.kind == "memory"
    assert "cannot be run" in caplog.text


async def test_switched_off_there_are_no_replies() -> None:
    async with open_replies(CacheOptions(enabled=False)) as opened:
        assert (opened.kind, opened.replies, opened.store) == ("off", None, None)


@pytest.mark.parametrize(
    "keys",
    [{"ttl": 0}, {"ttl": float("inf")}, {"max_reply_bytes": 0}, {"secret": "short"}, {"url": "http://x"}, {"urls": ""}],
)
def test_an_impossible_choice_is_refused(keys: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        CacheOptions.model_validate(keys)


def test_a_password_is_in_no_message() -> None:
    assert "xyzzy" not in repr(CacheOptions(url="redis://:xyzzy@cache", secret=SecretStr("xyzzy" * 9)))
    with pytest.raises(ValidationError) as caught:
        CacheOptions.model_validate({"url": "redis://:xyzzy/@cache", "ttl": -1})
    assert "xyzzy" not in str(caught.value)


def test_the_patience_is_the_same_however_the_server_was_named() -> None:
    assert (BUDGET, FAILURES) == (0.05, 5)
    for question in ("?timeout=5", "?socket_timeout=5", "#x"):
        with pytest.raises(ValidationError):
            CacheOptions(url=f"redis://cache{question}")


async def test_what_is_opened_hides_its_secret() -> None:
    async with open_replies(CacheOptions(enabled=False, secret=SECRET)) as opened:
        assert repr(opened.key_secret) not in repr(opened)
