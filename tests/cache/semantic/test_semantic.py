"""Tests cache/semantic/semantic.py with a real redis-server.

Also cache/semantic/probes.py, cache/semantic/options.py and cache/semantic/figures.py.
"""

import asyncio
import logging
import os
import signal

import pytest
import redis
from pydantic import ValidationError

from cache.base import KeptReply
from cache.memory import MemoryStore
from cache.redis_store import RedisStore
from cache.semantic import semantic as semantic_module
from cache.semantic.base import Look
from cache.semantic.options import SemanticOptions
from cache.semantic.probes import fault_of
from cache.semantic.semantic import Semantic, open_semantic
from cache.semantic.shared_index import SharedIndex
from cache.supervisor import PrivateRedis
from classifier.meaning.reader import StaticReader
from classifier.meaning.vectors import load
from tests.cache.semantic.conftest import WordReader

PARTITION, OTHER = b"p" * 32, b"q" * 32
QUESTION = "the long road to the old mill by the river"
ALIKE = "the long road to the old mill near the river"
REPLY = KeptReply(b'{"usage":{"prompt_tokens":3}}\r\n \x00', "application/json", "mini", "ministral", 3, None, 5)


@pytest.fixture(autouse=True)
def looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What others added is looked at with each request."""
    monkeypatch.setattr(semantic_module, "_READ_EVERY", 0.0)


def opened(
    store: RedisStore | MemoryStore, reader: WordReader | None = None, *, secret: bytes = b"s" * 32, **more: object
) -> Semantic:
    reader = WordReader() if reader is None else reader
    index = SharedIndex(store, secret=secret, source=reader.source, ttl=60) if isinstance(store, RedisStore) else None
    return open_semantic(
        SemanticOptions.model_validate({"enabled": True, **more}),
        store,
        reader,
        secret=secret,
        threshold=0.8,
        max_reply_bytes=1 << 20,
        index=index,
    )


async def look(semantic: Semantic, text: str, partition: bytes = PARTITION) -> Look:
    found = await semantic.look(partition, text)
    assert found is not None
    return found


async def filled(semantic: Semantic, text: str = QUESTION, partition: bytes = PARTITION) -> None:
    semantic.keep(await look(semantic, text, partition), REPLY)


async def read_by(semantic: Semantic, text: str) -> Look:
    """Look until what others have added was read."""
    for _ in range(100):
        found = await look(semantic, text)
        if found.found:
            break
        await asyncio.sleep(0.01)
    return found


async def test_another_wording_gets_the_kept_bytes(store: RedisStore) -> None:
    semantic = opened(store)
    await filled(semantic)
    found = (await look(semantic, ALIKE)).found
    assert found is not None
    assert found.reply == REPLY
    assert 0.8 <= found.similarity < 1.0
    stats = semantic.stats()
    assert (stats.hits, stats.misses, stats.entries, stats.partitions) == (1, 1, 1, 1)
    await semantic.aclose()


@pytest.mark.parametrize("text", ["something else altogether", f"{QUESTION} 7"])
async def test_what_is_not_alike_or_differs_in_facts_is_a_miss(store: RedisStore, text: str) -> None:
    semantic = opened(store)
    await filled(semantic)
    assert (await look(semantic, text)).found is None
    await semantic.aclose()


async def test_a_partition_is_never_crossed(store: RedisStore) -> None:
    semantic = opened(store)
    partitions = [bytes([number]) * 32 for number in range(50)]
    for number, partition in enumerate(partitions):
        reply = KeptReply(b"%d" % number, "text/plain", "mini", "m", None, None, None)
        semantic.keep(await look(semantic, QUESTION, partition), reply)
    for number, partition in enumerate(partitions):
        found = (await look(semantic, ALIKE, partition)).found
        assert found is not None
        assert found.reply.body == b"%d" % number
    assert (await look(semantic, QUESTION, OTHER)).found is None
    await semantic.aclose()


async def test_another_worker_and_a_restart_find_it(server: PrivateRedis, store: RedisStore) -> None:
    first = opened(store)
    await filled(first)
    second_store = RedisStore(server.url)
    assert await second_store.ready(2.0)
    second = opened(second_store)
    assert (await read_by(second, ALIKE)).found is not None
    stranger = opened(second_store, secret=b"t" * 32)
    await asyncio.sleep(0.05)
    assert (await look(stranger, QUESTION)).found is None
    for each in (first, second, stranger):
        await each.aclose()
    await second_store.aclose()


async def test_two_workers_lose_nothing_of_each_other(server: PrivateRedis, store: RedisStore) -> None:
    second_store = RedisStore(server.url)
    assert await second_store.ready(2.0)
    workers = opened(store), opened(second_store)
    texts = [f"question number {number} of all" for number in range(60)]
    for number, text in enumerate(texts):
        await filled(workers[number % 2], text)
    for worker in workers:
        for _ in range(100):
            await look(worker, "nothing like it")
            if worker.stats().entries == len(texts):
                break
            await asyncio.sleep(0.01)
        assert worker.stats().entries == len(texts)
        assert all([(await look(worker, text)).found for text in texts])
        await worker.aclose()
    await second_store.aclose()


async def test_a_reply_that_is_gone_is_a_miss_and_its_entry_goes_too(store: RedisStore, hand: redis.Redis) -> None:
    semantic = opened(store)
    await filled(semantic)
    await store.get(b"x")
    hand.flushall()
    assert (await look(semantic, ALIKE)).found is None
    stats = semantic.stats()
    assert (stats.gone, stats.entries) == (1, 0)
    await semantic.aclose()


async def test_forged_replies_and_entries_are_served_zero_times(
    store: RedisStore, hand: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    semantic = opened(store)
    await filled(semantic)
    await store.get(b"x")
    for key in hand.keys():  # noqa: SIM118 - a client's method
        hand.set(key, os.urandom(8) + b"\x40\x00" + os.urandom(80))
    fresh = opened(store)
    for _ in range(5):
        assert (await look(semantic, QUESTION)).found is None
        assert (await look(fresh, QUESTION)).found is None
        await asyncio.sleep(0.01)
    assert fresh.stats().refused > 0
    assert "did not write" in caplog.text
    await semantic.aclose()
    await fresh.aclose()


async def test_redis_away_is_a_miss_and_never_an_error(
    server: PrivateRedis, store: RedisStore, true_budget: None
) -> None:
    semantic = opened(store)
    await filled(semantic)
    assert server.pid
    os.kill(server.pid, signal.SIGKILL)
    for _ in range(10):
        assert (await look(semantic, ALIKE)).found is None
        await filled(semantic)
    await asyncio.sleep(0.05)
    await semantic.aclose()


async def test_where_nothing_is_shared_it_works_in_one_process() -> None:
    store = MemoryStore(1 << 20)
    semantic = opened(store)
    await filled(semantic)
    assert (await look(semantic, ALIKE)).found is not None
    await semantic.aclose()


async def test_an_index_that_grew_too_long_is_written_anew(
    store: RedisStore, hand: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(semantic_module, "_INDEX_ENTRY_BYTES", 160)
    semantic = opened(store, max_entries=20)
    for number in range(100):
        await filled(semantic, f"question number {number} of all")
        await asyncio.sleep(0)
    await asyncio.sleep(0.1)
    await look(semantic, QUESTION)
    await asyncio.sleep(0.1)
    assert semantic.stats().entries == 20
    largest = max(hand.strlen(key) for key in hand.keys())  # noqa: SIM118 - a client's method
    assert largest < 60 * 200
    await semantic.aclose()


async def test_disagreement_tightens_and_enough_of_it_switches_off(caplog: pytest.LogCaptureFixture) -> None:
    semantic = opened(MemoryStore(1 << 20))
    await filled(semantic)
    first = await look(semantic, ALIKE)
    semantic.verified(first, agreed=True)
    semantic.verified(first, agreed=None)
    assert semantic.stats().threshold == 0.8
    semantic.verified(first, agreed=False)
    stats = semantic.stats()
    assert (stats.agreed, stats.disagreed, stats.untold, stats.entries) == (1, 1, 1, 0)
    assert stats.threshold > 0.8
    await filled(semantic)
    assert (await look(semantic, ALIKE)).found is None  # as low is no hit here any more
    with caplog.at_level(logging.WARNING):
        for _ in range(10):
            semantic.verified(first, agreed=False)
    assert semantic.stats().is_off
    assert caplog.text.count("switched itself off") == 1
    assert await semantic.look(PARTITION, ALIKE) is None
    semantic.keep(first, REPLY)
    assert (semantic.stats().switched_off, semantic.stats().entries) == (1, 0)
    await semantic.aclose()


@pytest.mark.parametrize(("share", "drawn"), [(0.0, 0), (1.0, 400)])
def test_hits_are_drawn_by_chance_alone(share: float, drawn: int) -> None:
    semantic = opened(MemoryStore(1 << 20), verify=share)
    assert sum(semantic.draws() for _ in range(400)) == drawn


async def test_the_shipped_reader_passes_the_probes() -> None:
    vocabulary = load()
    assert await fault_of(StaticReader(vocabulary), threshold=vocabulary.threshold(0.001)) == ""


@pytest.mark.parametrize(("constant", "said"), [("yes", "are alike"), ("", "for the same")])
async def test_a_model_that_tells_nothing_switches_it_off(
    constant: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    semantic = opened(MemoryStore(1 << 20), WordReader(constant=bool(constant)))
    fault = await semantic.check()
    assert said in fault
    assert semantic.stats().is_off
    assert "switched itself off" in caplog.text
    assert await semantic.look(PARTITION, QUESTION) is None


async def test_a_text_that_cannot_be_read_is_counted() -> None:
    semantic = opened(MemoryStore(1 << 20))
    assert await semantic.look(PARTITION, " ") is None
    assert semantic.stats().unread == 1


def test_it_is_off_by_default_and_another_models_vectors_need_a_threshold() -> None:
    assert not SemanticOptions().enabled
    assert SemanticOptions().false_hits == 0.001
    with pytest.raises(ValidationError, match="needs threshold"):
        SemanticOptions(enabled=True, embeddings=True)
    assert SemanticOptions(enabled=True, embeddings=True, threshold=0.9).threshold == 0.9
    for wrong in ({"verify": 2}, {"max_entries": 0}, {"false_hits": 0}, {"unknown": 1}):
        with pytest.raises(ValidationError):
            SemanticOptions.model_validate(wrong)
