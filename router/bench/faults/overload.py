"""Three times what the backends can -> how much is still answered, how fast, and whether health is still told.

Each tier's backend works on a few calls at once and lets the others wait, as an engine does. First callers in a closed
loop show the best rate; then requests come three times as often, whether or not they are answered.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from router.bench.companions import BenchError
from router.bench.faults.asking import Address, Caller
from router.bench.faults.base import OK, Asked, Got, Report
from router.bench.faults.books import read_books
from router.bench.faults.checking import check
from router.bench.faults.house import House, get, open_house
from router.bench.faults.mixed import report_of
from router.bench.faults.plan import plain
from router.bench.faults.playing import SLOTS, WORK
from router.bench.goals import at_most

TIMES: Final = 3
GOODPUT: Final = 0.85  # of the best rate
SLOWER: Final = 2.0  # the slowest hundredth of what is answered, against that at the best rate
HEALTH_WITHIN: Final = 0.1  # seconds
_SECONDS: Final = 5.0
_REPLICAS: Final = 2
_HEALTH_EACH: Final = 0.1  # seconds
_REFUSED: Final = frozenset((429, 503))


@dataclass(frozen=True, slots=True)
class Rate:
    """What a load gave.

    Attributes:
        goodput: answers with status 200, a second.
        p99: seconds of these.
    """

    goodput: float
    p99: float


async def run_overload(*, seed: int, say: Callable[[str], None], seconds: float = _SECONDS) -> Report:
    """Measure the best rate, then overload.

    Raises:
        BenchError: a part did not come up, or nothing was answered.
    """
    with tempfile.TemporaryDirectory(prefix="tandem-overload-") as folder:
        async with open_house(Path(folder), has_redis=False, change=_limited) as house:
            best_got = await closed_loop(house.address, seed, seconds)
            best = rate_of(best_got, seconds)
            if not best.goodput:
                raise BenchError("no request was answered before the overload")
            say(f"best rate {best.goodput:.0f}/s, p99 {best.p99:.3f} s; now {TIMES} times as many")
            health, got = await asyncio.gather(
                _health(house, seconds), open_loop(house.address, seed, rate=TIMES * best.goodput, seconds=seconds)
            )
            over = rate_of(got, seconds)
            house.end_gateway()
            books = read_books([*best_got, *got], backend=house.book, ledger=house.ledger)
    shed = [each for each in got if each.status in _REFUSED]
    goals = (
        at_most("goodput_lost", round(1 - over.goodput / best.goodput, 3), round(1 - GOODPUT, 3)),
        at_most("slower_times", round(over.p99 / best.p99, 2), SLOWER),
        at_most("health_s", round(max(health), 4), HEALTH_WITHIN),
    )
    details: dict[str, object] = {
        "best_requests_per_s": round(best.goodput, 1),
        "best_p99_s": round(best.p99, 4),
        "asked_per_s": round(len(got) / seconds, 1),
        "answered_per_s": round(over.goodput, 1),
        "p99_s": round(over.p99, 4),
        "refused": len(shed),
        "refused_p99_s": round(_p99(shed), 4),
    }
    return report_of(seed, books, list(check(books)), goals=goals, details=details)


def _limited(house: House) -> None:
    """Tell the gateway how much the backends can; it is what an operator would."""
    for tier in house.configuration["backends"].values():
        each = SLOTS // _REPLICAS
        tier["limits"] = {"in_flight_per_replica": each, "queue": SLOTS, "wait": 2 * WORK}


async def closed_loop(address: Address, seed: int, seconds: float) -> list[Got]:
    """Ask by as many callers as both tiers can work for, and as may wait."""
    until = time.monotonic() + seconds
    got: list[Got] = []
    numbers = iter(range(1_000_000))

    async def work() -> None:
        caller = Caller(address)
        while time.monotonic() < until:
            got.append(await caller.ask(_asked(seed, f"best-{next(numbers)}")))
        caller.close()

    await asyncio.gather(*(work() for _ in range(3 * SLOTS)))
    return got


async def open_loop(address: Address, seed: int, *, rate: float, seconds: float) -> list[Got]:
    """Ask at equal distances in time."""
    idle: list[Caller] = []
    got: list[Got] = []
    began = time.monotonic()

    async def ask(asked: Asked) -> None:
        caller = idle.pop() if idle else Caller(address)
        got.append(await caller.ask(asked))
        idle.append(caller)

    async with asyncio.TaskGroup() as tasks:
        number = 0
        while (now := time.monotonic() - began) < seconds:
            while number < now * rate:
                tasks.create_task(ask(_asked(seed, f"over-{number}")))
                number += 1
            await asyncio.sleep(1 / rate)
    for caller in idle:
        caller.close()
    return got


async def _health(house: House, seconds: float) -> list[float]:
    """Return how long each look at the gateway's health took."""
    until = time.monotonic() + seconds
    waits = []
    while time.monotonic() < until:
        began = time.monotonic()
        await get(house.port, "/healthz")
        waits.append(time.monotonic() - began)
        await asyncio.sleep(_HEALTH_EACH)
    return waits


def _asked(seed: int, name: str) -> Asked:
    (asked,) = plain(seed, 1, plays=("work",), leaves=0.0).asked
    number = int(name.rpartition("-")[2])
    return replace(asked, id=name, nonce=name, stream=False, slowly=False, model=("large", "mini")[number % 2])


def rate_of(got: list[Got], seconds: float) -> Rate:
    """Return what a load gave in so many seconds."""
    answered = [each for each in got if each.status == OK]
    return Rate(len(answered) / seconds, _p99(answered))


def _p99(got: list[Got]) -> float:
    waits = sorted(each.ended - each.began for each in got)
    return waits[min(int(0.99 * len(waits)), len(waits) - 1)] if waits else 0.0
