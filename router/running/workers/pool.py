"""Configuration -> several workers on one port, kept running until the gateway is told to stop.

The parent opens once what all share: the ledger's lock, the private Redis, engines of our own, the listening sockets.
A socket outlives the worker that takes connections from it, so that no caller meets a closed door while a worker is
replaced. Answers no request itself.
"""

import asyncio
import logging
import signal
import socket
import time
from collections import Counter
from collections.abc import AsyncGenerator, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from router.base import Unavailable
from router.config.models import Config
from router.config.reading import Chosen
from router.ledger.holding import Held, interrupt
from router.metrics.event_loop import LoopMonitor
from router.metrics.families import Family, families_of, lasting, total
from router.metrics.reloads import Reloads
from router.resources.engines import Engines, engine_key, is_engine
from router.resources.shared import Inherited, SharedCache
from router.running.serving import LINGER, bound
from router.running.workers.base import Begin, Change, Total, WorkerFailed
from router.running.workers.process import Cause, WorkerProcess, spawn

LINGER_WHEN_REPLACED: Final = 2.0  # seconds in which a caller whose connection is open sends its next request
FIRST_PAUSE: Final = 0.1  # seconds before a worker that ended early is started again; each time twice as many
LONGEST_PAUSE: Final = 5.0  # seconds
STEADY_AFTER: Final = 10.0  # seconds of life after which a worker that ends is replaced at once
TELL_WITHIN: Final = 0.5  # seconds that workers get to tell what they have counted
KILL_AFTER: Final = 0.8  # seconds beyond the time for running answers
BEYOND: Final = 60.0  # seconds that a request may have begun before its longest time, as clocks go

_WATCH: Final = "watches a worker"
_CAUSES: Final[tuple[Cause, ...]] = ("ended", "stuck", "replaced", "refused")
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Slot:
    """One of the places on the port.

    Attributes:
        sockets: stay open while workers come and go.
        worker: takes connections; None while there is none.
        pause: seconds before the next worker is started, should this one end.
        filling: held by whoever starts one.
    """

    sockets: Sequence[socket.socket]
    worker: WorkerProcess | None = None
    pause: float = 0.0
    filling: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(frozen=True, slots=True)
class Provisioned:
    """A configuration with what workers need for it; closing `owned` ends engines that no other one needs."""

    chosen: Chosen
    inherited: Inherited
    owned: AsyncExitStack


class WorkerPool(Collector):
    """All workers; see `open_pool`.

    Attributes:
        changes: which configuration answers, and reloads.
        restarts: workers that are no more, by cause.
    """

    def __init__(self, cache: SharedCache, lock: Held) -> None:
        self.reloads, self.loop_monitor = Reloads(), LoopMonitor()
        self.restarts: Counter[Cause] = Counter()
        self._cache, self._engines, self._lock = cache, Engines(), lock
        self._provisioned: Provisioned | None = None
        self._slots: list[Slot] = []
        self._left: tuple[Family, ...] = ()  # what workers have counted that are gone
        self._workers: set[WorkerProcess] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._one_at_a_time = asyncio.Lock()
        self._is_stopping = False

    @property
    def config(self) -> Config:
        """Return the configuration of new requests."""
        return self._now.chosen.config

    @property
    def _now(self) -> Provisioned:
        if self._provisioned is None:
            raise WorkerFailed("no worker has begun")
        return self._provisioned

    async def begin(self, chosen: Chosen, sockets: Sequence[Sequence[socket.socket]]) -> None:
        """Return when a worker listens on each of these.

        Raises:
            WorkerFailed: one does not; the text says why.
            BackendError: an engine of our own could not be started.
        """
        self._provisioned = await self._provision(chosen)
        self.reloads.version = chosen.config.version
        self.loop_monitor.start()
        self._slots = [Slot(each) for each in sockets]
        await asyncio.gather(*map(self._fill, self._slots))

    async def change(self, chosen: Chosen) -> None:
        """Have all workers answer by another configuration; where the first will not, none does.

        Raises:
            WorkerFailed: it cannot be opened; the text says why.
            BackendError: an engine of our own could not be started.
        """
        async with self._one_at_a_time:
            provisioned = await self._provision(chosen)
            order = Change(chosen.values, provisioned.inherited)
            stay = [each for each in self._listening() if each.cause == "ended"]
            try:
                if not stay:
                    raise WorkerFailed("no worker listens now")  # noqa: TRY301 - said as what a worker says
                await stay[0].change(order)
            except WorkerFailed:
                await provisioned.owned.aclose()
                raise
            before, self._provisioned = self._now, provisioned
            self.reloads.version = chosen.config.version
            await asyncio.gather(*(_follow(each, order) for each in stay[1:]))
            self._begin_task(self._give_back(before, stay))

    async def replace_all(self) -> None:
        """Put a new worker in the place of each, one after the other, without a caller who notices.

        Raises:
            WorkerFailed: a new one does not listen; the old one stays.
        """
        async with self._one_at_a_time:
            for slot in self._slots:
                async with slot.filling:
                    before = slot.worker
                    await self._fill(slot)
                if before is not None:
                    within = self.config.server.request_timeout
                    before.stop(linger=LINGER_WHEN_REPLACED, within=within, cause="replaced")

    async def aclose(self) -> None:
        """Let all answers end, as far as the time for that goes, and end all workers and engines."""
        self._is_stopping = True
        if self._provisioned is None:
            return
        drain = self.config.server.drain_timeout
        for slot in self._slots:
            for each in slot.sockets:
                each.close()
        for worker in self._workers:
            worker.stop(linger=LINGER, within=drain)
        if self._workers:
            watched = [task for task in self._tasks if task.get_name() == _WATCH]
            await asyncio.wait(watched, timeout=drain + KILL_AFTER)
            for worker in self._workers:
                worker.kill("ended")
        self.loop_monitor.stop()
        for task in self._tasks:
            if task.get_name() != _WATCH:
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._provisioned.owned.aclose()

    def hurry(self) -> None:
        """Wait for no answer any more."""
        for worker in self._workers:
            worker.signal(signal.SIGTERM)

    def collect(self) -> Iterator[Metric]:
        """Yield what Prometheus is told of the workers."""
        yield GaugeMetricFamily("tandem_workers", "Workers that listen", value=sum(1 for _ in self._listening()))
        restarts = CounterMetricFamily("tandem_worker_restarts", "Workers that are no more", labels=("cause",))
        for cause in _CAUSES:
            restarts.add_metric([cause], self.restarts[cause])
        yield restarts

    def status(self) -> Mapping[str, object]:
        """Return how things are; a worker that is being replaced is none any more."""
        workers = [slot.worker.pid for slot in self._slots if slot.worker is not None]
        return {"config": self.reloads.version, "workers": workers}

    def _listening(self) -> Iterator[WorkerProcess]:
        return (each for each in self._workers if each.began is not None)

    async def _provision(self, chosen: Chosen) -> Provisioned:
        """Return a configuration with what it needs; nothing is left open where that cannot be had."""
        cache = chosen.config.cache
        shared = await self._cache.under(cache)
        url, secret = shared.url_for(cache), shared.key_secret_for(cache)
        async with AsyncExitStack() as owned:
            leases = {}
            for options in chosen.config.backends.by_tier.values():
                if is_engine(options):
                    leases[engine_key(options)] = lease = self._engines.lease(options, url=url, secret=secret)
                    owned.push_async_callback(lease.aclose)
            urls = await asyncio.gather(*(lease.engine.url() for lease in leases.values()))
            engines = dict(zip(leases, urls, strict=True))
            return Provisioned(chosen, Inherited(shared.secret.hex(), shared.private_url, engines), owned.pop_all())

    async def _give_back(self, before: Provisioned, workers: Sequence[WorkerProcess]) -> None:
        """End what an earlier configuration needed, once no worker answers by it any more."""
        while any(each in self._workers and each.gateways != 1 for each in workers):  # noqa: ASYNC110 - processes tell
            await asyncio.sleep(1.0)
        await before.owned.aclose()

    async def _fill(self, slot: Slot) -> None:
        """Have a new worker listen in a place; one that is there goes on."""
        provisioned = self._now
        begin = Begin(provisioned.chosen.values, provisioned.inherited, tuple(each.fileno() for each in slot.sockets))
        worker = await spawn(begin, slot.sockets, keeps=self._lock.fileno(), gather=self._gather)
        self._workers.add(worker)
        self._begin_task(self._watch(worker, slot), name=_WATCH)
        await worker.ready()
        slot.worker = worker
        if provisioned is not self._now:  # another configuration has come meanwhile
            await worker.change(Change(self._now.chosen.values, self._now.inherited))

    async def _watch(self, worker: WorkerProcess, slot: Slot) -> None:
        """See a worker to its end, and have another one in its place."""
        code = await worker.ended()
        self._workers.discard(worker)
        self._left = lasting(total([self._left, worker.counted]))
        if code and worker.maker:
            await self._interrupt(worker.maker)
        self.restarts[worker.cause] += 1
        if slot.worker is not worker or self._is_stopping:
            return
        slot.worker = None
        clock = asyncio.get_running_loop().time
        if worker.began is not None and clock() - worker.began > STEADY_AFTER:
            slot.pause = 0.0
        _log.error("a worker is gone (%s, exit code %d): another one takes its place", worker.cause, code)
        self._begin_task(self._refill(slot))

    async def _refill(self, slot: Slot) -> None:
        async with slot.filling:
            while slot.worker is None and not self._is_stopping:
                pause, slot.pause = slot.pause, min(max(2 * slot.pause, FIRST_PAUSE), LONGEST_PAUSE)
                await asyncio.sleep(pause)
                try:
                    await self._fill(slot)
                except WorkerFailed as error:
                    _log.warning("a worker does not start: %s", error)
                    self._renew(slot)

    def _renew(self, slot: Slot) -> None:
        """Give a place other sockets: who waits for one that nobody takes connections from would wait for long."""
        host, port = slot.sockets[0].getsockname()[:2]
        for each in slot.sockets:
            each.close()
        slot.sockets = bound(self.config.server.host or host, port)

    async def _interrupt(self, maker: str) -> None:
        """Close what a worker that was killed has left open in the ledger."""
        since = time.time() - self.config.server.request_timeout - BEYOND
        try:
            closed = await asyncio.to_thread(interrupt, self.config.ledger.place, maker, since=since)
        except Unavailable as error:  # what stays open is closed at the next start
            _log.warning("what a worker has left open stays so: %s", error)
        else:
            _log.warning("%d requests of a worker that is gone are closed as interrupted", closed)

    def _gather(self, asking: WorkerProcess) -> None:
        self._begin_task(self._add_up(asking))

    async def _add_up(self, asking: WorkerProcess) -> None:
        """Tell a worker what all have counted; one that cannot tell in time counts as it last told."""
        others = [each for each in self._listening() if each is not asking]
        await asyncio.gather(*(each.tell(TELL_WITHIN) for each in others))
        own = [families_of(each) for each in (self, self.loop_monitor, self.reloads, self._cache)]
        counted = [each.counted for each in (asking, *others)]
        asking.say(Total(total([*counted, *own, self._left])))

    def _begin_task(self, work: Coroutine[Any, Any, None], *, name: str = "") -> None:
        task = asyncio.create_task(work, name=name or None)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _follow(worker: WorkerProcess, order: Change) -> None:
    """Have a worker answer by what another one answers by already, or another worker in its place."""
    try:
        await worker.change(order)
    except WorkerFailed as error:
        _log.warning("a worker does not take the configuration that others have taken: %s", error)
        worker.kill("refused")


@asynccontextmanager
async def open_pool(lock: Held) -> AsyncGenerator[WorkerPool, None]:
    """Yield a pool that has no workers yet; ends all that it has when the block ends.

    Args:
        lock: of the ledger; see `router.ledger.holding`.
    """
    async with AsyncExitStack() as owned:
        pool = WorkerPool(SharedCache(owned), lock)
        try:
            yield pool
        finally:
            await pool.aclose()
