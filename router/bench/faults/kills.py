"""Kills of the gateway under load -> what was lost, what was charged twice, and how long it was away.

SIGKILL at moments drawn by chance; in between a tier or Redis is killed too. Callers see connections that end without a
word: that is no fault here. What they were given before must stand in the ledger.
"""

import asyncio
import itertools
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from router.bench.faults.asking import Caller
from router.bench.faults.base import Asked, End, Got, Report
from router.bench.faults.books import read_books
from router.bench.faults.checking import check
from router.bench.faults.house import House, open_house
from router.bench.faults.mixed import CALLERS, report_of
from router.bench.faults.plan import plain
from router.bench.goals import at_most

READY_WITHIN: Final = 3.0
_SHORTEST, _LONGEST = 0.05, 0.6  # seconds between two kills
_OTHERS_EACH: Final = 7  # kills of the gateway for one of something else
_REFUSED_PAUSE: Final = 0.05  # seconds until a caller who was refused comes again
_WRITTEN: Final = 0.3  # seconds until the ledger's writer has certainly written
_PIECE: Final = 500


async def run_kills(*, seed: int, kills: int, say: Callable[[str], None], callers: int = CALLERS) -> Report:
    """Kill the gateway so many times.

    Raises:
        BenchError: a part did not come up, at first or again; see `router.bench.companions`.
    """
    with tempfile.TemporaryDirectory(prefix="tandem-kills-") as folder:
        async with open_house(Path(folder)) as house:
            return await kill_under_load(house, seed=seed, kills=kills, say=say, callers=callers, ends=True)


async def kill_under_load(
    house: House, *, seed: int, kills: int, say: Callable[[str], None], callers: int = CALLERS, ends: bool = False
) -> Report:
    """Kill the gateway of a house; `ends` stops it before the books are read.

    Raises:
        BenchError: a part did not come up again.
    """
    rng = random.Random(f"kills/{seed}")
    load = _Load(house, seed)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(callers):
            tasks.create_task(load.work())
        try:
            ready = await _kill(house, kills, rng, say)
        finally:
            load.is_over = True
    if ends:
        house.end_gateway()
    else:
        await asyncio.sleep(_WRITTEN)
    books = read_books(load.got, backend=house.book, ledger=house.ledger)
    found = check(books, kills=tuple(house.away))
    cut = sum(got.end in (End.CUT, End.REFUSED) for got in load.got)
    return report_of(
        seed,
        books,
        [finding for finding in found if finding.kind != "not_let_go"],  # a killed gateway lets go of all at once
        goals=(at_most("ready_again_s", round(max(ready), 3), READY_WITHIN),),
        details={"kills": len(ready), "connections_cut": cut},
    )


async def _kill(house: House, kills: int, rng: random.Random, say: Callable[[str], None]) -> list[float]:
    """Return the seconds after which the gateway was ready again, kill by kill."""
    ready = []
    for number in range(1, kills + 1):
        await asyncio.sleep(rng.uniform(_SHORTEST, _LONGEST))
        if number % _OTHERS_EACH == 0:
            await _kill_other(house, rng)
        ready.append(await house.kill_gateway())
        say(f"kill {number} of {kills}: ready again after {ready[-1]:.2f} s")
    await asyncio.sleep(_LONGEST)
    return ready


async def _kill_other(house: House, rng: random.Random) -> None:
    """Kill a tier or Redis, and start it again."""
    since = time.monotonic()
    target = rng.choice(("large", "mini", *(("redis",) if house.redis is not None else ())))
    process = house.process(target)
    process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()
    if target == "redis":
        house.start_redis()
    else:
        await asyncio.to_thread(house.start_backend, target)
    house.away.append((since, time.monotonic() + 1.0))  # what waited for it then takes a moment to fail


class _Load:
    """Callers that go on asking until it is over."""

    def __init__(self, house: House, seed: int) -> None:
        self._house = house
        self._asked = _endless(seed)
        self.got: list[Got] = []
        self.is_over = False

    async def work(self) -> None:
        caller = Caller(self._house.address)
        while not self.is_over:
            got = await caller.ask(next(self._asked))
            self.got.append(got)
            if got.end is End.REFUSED:
                await asyncio.sleep(_REFUSED_PAUSE)
        caller.close()


def _endless(seed: int) -> Iterator[Asked]:
    for number in itertools.count():
        yield from plain(seed * 1_000 + number, _PIECE).asked
