"""Tests of cache/shared_limits.py and of the steps in cache/limits_script.py, on a real server."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import redis

from cache import shared_limits
from cache.shared_limits import NO_LIMIT, Account, Ask, Grant, SharedLimits, Tenant
from cache.supervisor import PrivateRedis
from tests.cache.servers import free_port, paused, tcp_server

BUDGET = 1_000_000


@dataclass
class Worker:
    """One process' side, in this one.

    Attributes:
        ceilings: what Redis has allowed it to spend alone, latest last.
    """

    name: str
    spent: int = 0
    budget: int = BUDGET
    window: int = 100
    held: int = 0
    leases: list[str] = field(default_factory=list)
    elsewhere: dict[str, int] = field(default_factory=dict)
    ceilings: list[int] = field(default_factory=list)
    lasting: bool = True
    limits: SharedLimits = field(init=False)

    def tenant(self) -> Tenant:
        return Tenant("shop", "month", self.budget, self.window, self.spent, self.held)

    def ask(
        self,
        amount: int = 0,
        *,
        requests: int = NO_LIMIT,
        tokens: int = NO_LIMIT,
        running: int = NO_LIMIT,
        need: int = 0,
    ) -> Ask:
        return Ask(requests, tokens, running, need, amount, self.limits.lease(amount))

    async def admit(self, ask: Ask) -> Grant:
        grant = await self.limits.admit(self.tenant(), ask)
        assert grant is not None
        if not grant.met:
            self.leases.append(ask.lease)
            self.held = grant.ceiling
        return grant

    def settle(self, ask: Ask, cost: int, *, correction: int = 0) -> None:
        self.spent += cost
        self.leases.remove(ask.lease)
        self.limits.settle(self.tenant(), ask, correction=correction)


@asynccontextmanager
async def joined(url: str, *workers: Worker) -> AsyncGenerator[None]:
    async with AsyncExitStack() as owned:
        for worker in workers:
            worker.limits = opened(url, worker, workers=len(workers))
            owned.push_async_callback(worker.limits.aclose)
        for worker in workers:
            assert await worker.limits.ready(3.0)
        yield


def opened(url: str, worker: Worker, *, workers: int) -> SharedLimits:
    async def elsewhere() -> Mapping[str, Mapping[str, int]]:
        return {"shop": dict(worker.elsewhere)}

    return SharedLimits(
        url,
        worker=worker.name,
        workers=workers,
        accounts=lambda: [Account(worker.tenant(), [*worker.leases])],
        elsewhere=elsewhere,
        raised=lambda _name, ceiling, _since: worker.ceilings.append(ceiling),
        lasting=lambda: worker.lasting,
    )


@pytest.fixture
def lasting(server: PrivateRedis, hand: redis.Redis) -> str:
    hand.config_set("maxmemory-policy", "volatile-lru")
    return server.url


async def until(holds: object, *, seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # type: ignore[operator]
            await asyncio.sleep(0.01)


async def test_a_minutes_worth_is_admitted_among_all_and_not_one_more(lasting: str) -> None:
    workers = [Worker(name) for name in "abcd"]
    async with joined(lasting, *workers):
        grants = await asyncio.gather(*(each.admit(each.ask(requests=50)) for each in workers for _ in range(40)))
    assert sum(not grant.met for grant in grants) == 50
    refused = next(grant for grant in grants if grant.met)
    assert refused.met == "requests"
    assert 0 < refused.wait <= 1.2
    assert refused.requests > 49


async def test_tokens_are_corrected_and_a_level_drains_by_the_servers_clock(lasting: str) -> None:
    (worker,) = workers = [Worker("a")]
    async with joined(lasting, *workers):
        first = worker.ask(tokens=60_000, need=50_000)
        assert (await worker.admit(first)).tokens == 50_000
        assert (await worker.admit(worker.ask(tokens=60_000, need=20_000))).met == "tokens"
        worker.settle(first, 0, correction=-40_000)
        grant = await worker.admit(worker.ask(tokens=60_000, need=40_000))
        assert not grant.met
        assert grant.tokens < 50_000 + 1
        await asyncio.sleep(0.1)
        assert (await worker.admit(worker.ask(tokens=60_000, need=0))).tokens <= grant.tokens - 90


async def test_room_is_counted_among_all_and_given_back(lasting: str) -> None:
    one, other = workers = [Worker("a"), Worker("b")]
    async with joined(lasting, *workers):
        asks = [one.ask(running=3), other.ask(running=3), one.ask(running=3)]
        for who, ask in zip((one, other, one), asks, strict=True):
            assert not (await who.admit(ask)).met
        assert (await other.admit(other.ask(running=3))).met == "in_flight"
        one.settle(asks[0], 0)
        assert not (await one.admit(one.ask(running=3))).met  # asked on the connection that said it before
        assert (await other.admit(other.ask(running=3))).met == "in_flight"


async def test_all_that_is_reserved_and_spent_anywhere_stays_within_the_budget(lasting: str) -> None:
    workers = [Worker(name) for name in "abcd"]
    async with joined(lasting, *workers):
        for _ in range(12):
            asks = [(each, each.ask(30_000)) for each in workers for _ in range(10)]
            grants = await asyncio.gather(*(each.admit(ask) for each, ask in asks))
            running = [(each, ask) for (each, ask), grant in zip(asks, grants, strict=True) if not grant.met]
            assert sum(each.spent for each in workers) + 30_000 * len(running) <= BUDGET
            for each, ask in running:
                each.settle(ask, 17_000)
            assert sum(max(each.held, each.spent) for each in workers) <= BUDGET
        total = sum(each.spent for each in workers)
        assert BUDGET - 150_000 < total <= BUDGET
        assert {grant.met for grant in grants} <= {"budget", "reserved", ""}


async def test_what_a_dead_worker_held_is_free_again_when_it_is_over(
    lasting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_limits, "LASTS", 0.5)
    one, other = workers = [Worker("a"), Worker("b")]
    async with joined(lasting, *workers):
        assert not (await one.admit(one.ask(700_000, running=1))).met
        assert (await other.admit(other.ask(400_000, running=1))).met == "in_flight"
        assert (await other.admit(other.ask(400_000))).met == "reserved"
        one.limits._keeper.cancel()  # nobody renews it
        await asyncio.sleep(0.7)
        assert not (await other.admit(other.ask(400_000, running=1))).met


async def test_what_is_in_flight_is_renewed_for_as_long_as_its_worker_lives(
    lasting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_limits, "LASTS", 0.6)
    monkeypatch.setattr(shared_limits, "RENEWED", 0.1)
    one, other = workers = [Worker("a"), Worker("b")]
    async with joined(lasting, *workers):
        assert not (await one.admit(one.ask(700_000, running=1))).met
        await asyncio.sleep(1.0)
        assert (await other.admit(other.ask(200_000, running=1))).met == "in_flight"
        assert (await other.admit(other.ask(400_000))).met == "reserved"


async def test_a_server_that_forgot_everything_is_told_again_before_it_is_asked(
    lasting: str, hand: redis.Redis
) -> None:
    one, other = workers = [Worker("a"), Worker("b")]
    async with joined(lasting, *workers):
        ask = one.ask(100_000)
        await one.admit(ask)
        one.settle(ask, 90_000)
        await one.admit(one.ask(400_000))
        other.elsewhere = {"gone": 300_000}  # a worker that is dead, as the ledger has it
        await other.admit(other.ask(100_000))
        hand.flushall()
        assert await one.limits.admit(one.tenant(), one.ask(1)) is None
        assert await one.limits.admit(one.tenant(), one.ask(1)) is None  # until all have introduced themselves
        assert await other.limits.admit(other.tenant(), other.ask(1)) is None
        await until(lambda: one.limits.is_joined and other.limits.is_joined)
        async with asyncio.timeout(5):
            while (grant := await other.limits.admit(other.tenant(), other.ask(120_000))) is None:
                await asyncio.sleep(0.05)
        assert grant.met == "reserved"  # 90,000 and 300,000 spent, 400,000 and 100,000 reserved
        assert sum(max(each.held, each.spent) for each in workers) <= BUDGET


async def test_nothing_is_admitted_before_all_workers_have_introduced_themselves(lasting: str) -> None:
    worker = Worker("a")
    worker.limits = opened(lasting, worker, workers=2)
    try:
        assert await worker.limits.ready(3.0)
        assert await worker.limits.admit(worker.tenant(), worker.ask(1)) is None
        assert set(worker.ceilings) == {0}
    finally:
        await worker.limits.aclose()


async def test_who_has_not_introduced_itself_is_not_answered_however_many_others_have(
    lasting: str, hand: redis.Redis
) -> None:
    worker = Worker("a")
    worker.limits = opened(lasting, worker, workers=1)
    try:
        await until(lambda: worker.limits.is_joined)
        hand.flushall()
        hand.sadd("tandem:limits:members", "x", "y")
        assert await worker.limits.admit(worker.tenant(), worker.ask(1)) is None
        await until(lambda: worker.limits.is_joined)
        assert not (await worker.admit(worker.ask(1))).met
    finally:
        await worker.limits.aclose()


async def test_nobody_waits_longer_than_the_budget_for_a_server_that_hangs(
    lasting: str, server: PrivateRedis, true_budget: None
) -> None:
    (worker,) = workers = [Worker("a")]
    async with joined(lasting, *workers):
        await worker.admit(worker.ask(10_000))
        with paused(server):
            clock = asyncio.get_running_loop().time
            began = clock()
            assert await worker.limits.admit(worker.tenant(), worker.ask(10_000)) is None
            assert clock() - began < 0.5
            began = clock()
            assert await worker.limits.admit(worker.tenant(), worker.ask(10_000)) is None
            assert clock() - began < 0.01
        await until(lambda: worker.limits.is_joined)
        # What hung may have been done meanwhile: nothing of it may be left.
        everything = BUDGET - 10_000
        assert (await worker.admit(worker.ask(everything + 1))).met
        assert not (await worker.admit(worker.ask(everything))).met


async def test_a_killed_server_is_found_again_and_told_again(tmp_path: Path) -> None:
    port, worker = free_port(), Worker("a", spent=800_000)
    url = f"redis://127.0.0.1:{port}"
    with tcp_server(port, tmp_path) as process:
        worker.limits = opened(url, worker, workers=1)
        try:
            await until(lambda: worker.limits.is_joined)
            assert (await worker.admit(worker.ask(300_000))).met == "budget"
            os.kill(process.pid, signal.SIGKILL)
            await until(lambda: not worker.limits.is_joined)
            assert await worker.limits.admit(worker.tenant(), worker.ask(1)) is None
            with tcp_server(port, tmp_path):
                await until(lambda: worker.limits.is_joined)
                assert (await worker.admit(worker.ask(300_000))).met == "budget"
        finally:
            await worker.limits.aclose()


async def test_a_server_that_may_evict_budgets_is_not_used(server: PrivateRedis, hand: redis.Redis) -> None:
    hand.config_set("maxmemory-policy", "allkeys-lru")
    worker = Worker("a")
    worker.limits = opened(server.url, worker, workers=1)
    try:
        assert not await worker.limits.ready(3.0)
        assert worker.limits.is_forgetful
        assert "allkeys-lru" in worker.limits.cause
        hand.config_set("maxmemory-policy", "noeviction")
        await until(lambda: worker.limits.is_joined)
    finally:
        await worker.limits.aclose()
    hand.config_set("maxmemory-policy", "allkeys-lru")
    rates = Worker("b", lasting=False, budget=NO_LIMIT)
    async with joined(server.url, rates):
        assert not rates.limits.is_forgetful


async def test_a_new_window_begins_with_nothing_spent_and_all_that_runs_reserved(lasting: str) -> None:
    one, other = workers = [Worker("a"), Worker("b")]
    async with joined(lasting, *workers):
        ask = one.ask(500_000)
        await one.admit(ask)
        one.settle(ask, 500_000)
        await one.admit(one.ask(300_000))
        assert (await other.admit(other.ask(600_000))).met == "budget"
        other.window, other.spent = 200, 0
        assert (await other.admit(other.ask(800_000))).met == "reserved"
        assert not (await other.admit(other.ask(600_000))).met
        one.limits.settle(one.tenant(), one.ask(), correction=0)  # of the old window: its word counts no more
        assert (await other.admit(other.ask(200_000))).met == "reserved"


async def test_a_callers_leaving_leaves_nothing_behind(lasting: str, server: PrivateRedis) -> None:
    (worker,) = workers = [Worker("a")]
    async with joined(lasting, *workers):
        for _ in range(20):
            asked = asyncio.create_task(worker.limits.admit(worker.tenant(), worker.ask(900_000, running=1)))
            await asyncio.sleep(0)
            asked.cancel()
            await asyncio.wait({asked})
        assert not (await worker.admit(worker.ask(900_000, running=1))).met


async def test_clocks_that_jump_neither_free_nor_block(lasting: str, hand: redis.Redis) -> None:
    """What the server's clock said before it was set back is in the future now."""
    (worker,) = workers = [Worker("a")]
    async with joined(lasting, *workers):
        await worker.admit(worker.ask(requests=1))
        (at,) = hand.hmget("tandem:limits:shop:levels", "at")
        hand.hset("tandem:limits:shop:levels", "at", int(at) + 30 * 86_400 * 10**6)  # type: ignore[arg-type]
        hand.zadd("tandem:limits:shop:leases", {"x:1:900000": int(at) + 30 * 86_400 * 10**6})  # type: ignore[arg-type]
        grant = await worker.admit(worker.ask(900_000, requests=60, running=2))
        assert (grant.met, grant.requests) == ("", 2.0)
        await asyncio.sleep(0.2)
        assert (await worker.admit(worker.ask(requests=600))).requests < 2.9


async def test_each_worker_hears_what_all_have_spent(lasting: str) -> None:
    one, other = workers = [Worker("a"), Worker("b")]
    async with joined(lasting, *workers):
        first = one.ask(100_000)
        assert (await one.admit(first)).spent == 0
        one.settle(first, 60_000)
        assert (await other.admit(other.ask(100_000))).spent == 60_000
        too_dear = await other.admit(other.ask(1_000_000))
        assert (too_dear.met, too_dear.spent) == ("budget", 60_000)
