"""A seed -> how much the ledger's writer takes, and what that costs of the processor.

Requests as a busy gateway has them, of two thousand users of five tenants, each with its attempt and its part in all
sums, go through the real writer: first as fast as it takes them, then as so many callers at the same time hand them
over, each with its next request as soon as its record is handed over. The processor's time is that of the writer's
thread; what the loop spends handing over is stated beside it. The same again on a private PostgreSQL, where it is
installed, and sums are compared with rows at the end.
"""

import asyncio
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from backends.base import Usage
from classifier.base import Score
from router.base import Attempt, Decision, Intent, Outcome, Rating, Record, Tier
from router.bench.goals import Goal, at_least, at_most, stated
from router.bench.private_postgres import running_postgres, why_not
from router.ledger.place import LedgerPlace, SqlitePlace
from router.ledger.retention import Retention
from router.ledger.rollup import verify
from router.ledger.writer import LedgerWriter

REQUESTS: Final = 40_000
AT_ONCE: Final = 1_000  # requests in a batch, as fast as they are taken
CALLERS: Final = (64, 8, 1)
USERS: Final = 2_000
TENANTS: Final = 5
EVERY: Final = 0.005  # seconds of the clock that the records tell, between two requests

_NOBODYS: Final = Rating("", "", 0.0, 0.0, None)  # is answered when all that was handed over before it is written

Told = tuple[Intent, Record]


@dataclass(frozen=True, slots=True)
class Spent:
    """What a run took.

    Attributes:
        rows: requests a second.
        writer: microseconds of the processor a request, in the writer's thread.
        loop: likewise, where requests are answered: handing over, and being told.
    """

    rows: float
    writer: float
    loop: float


def goals(*, seed: int, quick: bool) -> list[Goal]:
    """Return what was measured; see `router.bench.numbers.running`."""
    requests = REQUESTS // 10 if quick else REQUESTS
    with tempfile.TemporaryDirectory(prefix="tandem-numbers-") as folder:
        found = _measured("SQLite", [SqlitePlace(Path(folder, f"{number}.db")) for number in range(4)], requests, seed)
    if not why_not():
        with running_postgres() as server:
            places = [server.create() for _ in range(4)]
            found += [stated(goal.name, goal.value) for goal in _measured("PostgreSQL", places, requests // 4, seed)]
    return found


def _measured(engine: str, places: Sequence[LedgerPlace], requests: int, seed: int) -> list[Goal]:
    fastest = asyncio.run(_run(places[0], _traffic(requests, seed), callers=None))
    found = [
        at_least(f"requests a second with attempt and sums, {engine}", fastest.rows, 5_000),
        at_most(f"accounting in batches, us of CPU a request, {engine}", fastest.writer, 100),
        stated(f"handing over in batches, us of CPU a request, {engine}", fastest.loop),
    ]
    for place, callers in zip(places[1:], CALLERS, strict=True):
        spent = asyncio.run(_run(place, _traffic(max(callers, requests // 8), seed), callers=callers))
        name = f"accounting with {callers} callers, us of CPU a request, {engine}"
        found.append(at_most(name, spent.writer, 100) if callers == CALLERS[0] else stated(name, spent.writer))
    wrong = sum(len(verify(place)) for place in places)
    return [*found, at_most(f"sums that are not those of their rows, {engine}", wrong, 0)]


async def _run(place: LedgerPlace, traffic: Sequence[Told], *, callers: int | None) -> Spent:
    """Hand requests over; `callers` None is as fast as they are taken."""
    ledger = LedgerWriter(place, loop=asyncio.get_running_loop(), retention=Retention())
    clock = time.pthread_getcpuclockid(ledger.thread)
    begun, writer, loop = time.perf_counter(), time.clock_gettime(clock), time.thread_time()
    if callers is None:
        for first in range(0, len(traffic), AT_ONCE):
            part = traffic[first : first + AT_ONCE]
            await asyncio.gather(*(ledger.open(intent) for intent, _ in part))
            for _, record in part:
                ledger.settle(record)
    else:
        await asyncio.gather(*(_call(ledger, traffic[caller::callers]) for caller in range(callers)))
    await ledger.rate(_NOBODYS)
    took = time.perf_counter() - begun
    spent = Spent(
        len(traffic) / took,
        (time.clock_gettime(clock) - writer) / len(traffic) * 1e6,
        (time.thread_time() - loop) / len(traffic) * 1e6,
    )
    await ledger.aclose()
    return spent


async def _call(ledger: LedgerWriter, traffic: Sequence[Told]) -> None:
    for intent, record in traffic:
        await ledger.open(intent)
        ledger.settle(record)


def _traffic(requests: int, seed: int) -> list[Told]:
    """Return requests with what became of them; most are answered by Mini, times spread as such times do."""
    chance, begun = random.Random(seed), 1_795_178_096.0
    return [_request(chance, number, begun + EVERY * number) for number in range(requests)]


def _request(chance: random.Random, number: int, started: float) -> Told:
    tier = Tier.MINI if chance.random() < 0.7 else Tier.LARGE  # noqa: PLR2004 - a share
    user = chance.randrange(USERS)
    decision = Decision(tier, "score", Score(chance.random(), "linear@1"), 0.5, "threshold@1")
    intent = Intent(
        f"req_{int(started * 1_000):012x}{'a' * 10}{number:06x}",
        "",
        f"tenant-{user % TENANTS}",
        "auto",
        stream=True,
        started=started,
        decision=decision,
        user=f"{user:016x}",
        conversation=f"{number // 4:016x}",
        config="0123456789ab",
    )
    usage = Usage(chance.randrange(20, 4_000), chance.randrange(1_000), chance.randrange(1, 800))
    attempt = Attempt("primary", tier, f"model-{tier}", "127.0.0.1:1", usage, chance.randrange(1_000_000), "v1")
    first_byte = chance.lognormvariate(-1.0, 0.5)
    record = Record(
        intent.id,
        Outcome.ANSWERED,
        200,
        (attempt,),
        first_byte,
        first_byte + chance.expovariate(1.0),
        chance.randrange(1_000_000),
        overhead=chance.lognormvariate(-8.0, 0.4),
        finish="stop",
    )
    return intent, record
