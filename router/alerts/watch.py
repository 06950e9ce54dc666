"""Intents, records and labels -> detectors, in slices -> once a second what fires, in figures and for a webhook.

What a request costs here is a place in a list. The work is done beside requests, in slices so short that none of them
waits for it. Touched by the loop alone; what takes long is handed to a thread.
"""

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from router.alerts.base import Alert, Detector, Settled
from router.alerts.detectors.accuracy import AccuracyDrop
from router.alerts.kinds import KINDS
from router.alerts.memory import Memory
from router.alerts.states import States
from router.alerts.webhook import RESULTS, Webhook
from router.base import Label, Ledger, Record
from router.wrapped_ledger import WrappedLedger

EVERY: Final = 1.0  # seconds
SLICE: Final = 50  # requests, after which others get their turn
MOST: Final = 200_000  # requests that wait to be looked at; more are not looked at, and counted
SAVED_EVERY: Final = 60.0  # seconds

_log = logging.getLogger(__name__)


class Watch(Collector):
    """Watches what ledgers are given.

    Args:
        detectors: of requests.
        accuracy: the one of them that hears labels.
        memory: of what was learnt; its changes are saved.
        webhook: is told; None where nobody is. Closed with the watch.
        wall: seconds since 1970.
    """

    def __init__(
        self,
        detectors: Sequence[Detector],
        accuracy: AccuracyDrop,
        *,
        states: States,
        memory: Memory,
        webhook: Webhook | None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._detectors, self._accuracy = (*detectors, accuracy), accuracy
        self._states, self._memory, self._webhook, self._wall = states, memory, webhook, wall
        self._settled: deque[Settled] = deque()
        self._labels: deque[Label] = deque(maxlen=MOST)
        self._fired: Counter[str] = Counter()
        self._unseen = 0
        self._told: dict[str, float] = {}
        self._saved = wall()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look, on the running loop."""
        self._task = asyncio.create_task(self._run(), name="alerts")

    def watched(self, ledger: Ledger) -> Ledger:
        """Return a ledger whose intents, records and labels are watched."""
        return _WatchedLedger(ledger, self)

    def firing(self) -> tuple[Alert, ...]:
        """Return what fires now."""
        return self._states.firing()

    def see(self, settled: Settled) -> None:
        """Take a request that has ended; looked at within a second."""
        if len(self._settled) >= MOST:
            self._unseen += 1
            return
        self._settled.append(settled)
        if len(self._settled) % SLICE == 0 and self._task is not None:  # while it is still at hand for the processor
            self._task.get_loop().call_soon(self._take)

    def hear(self, label: Label) -> None:
        """Take a label; likewise."""
        self._labels.append(label)

    async def look(self) -> None:
        """Look at all that was seen until now."""
        while self._settled:
            self._take()
            await asyncio.sleep(0)
        while self._labels:
            self._accuracy.hear(self._labels.popleft())
        if self._accuracy.wants_chart:
            await asyncio.to_thread(self._accuracy.prepare)
        now = self._wall()
        readings = [reading for detector in self._detectors for reading in detector.look(now)]
        self._tell(self._states.take(readings, now), now)
        if self._memory.has_changed and not 0.0 <= now - self._saved < SAVED_EVERY:
            await self.save()

    def _take(self) -> None:
        """Give the detectors a slice of what was seen."""
        part = [self._settled.popleft() for _ in range(min(SLICE, len(self._settled)))]
        for detector in self._detectors:
            detector.take(part)

    async def save(self) -> None:
        """Write what was learnt, where there is something new."""
        self._saved = self._wall()
        if self._memory.has_changed:
            await asyncio.to_thread(self._memory.save, self._memory.written())

    def collect(self) -> Iterator[Metric]:
        """Yield what Prometheus is told."""
        firing = Counter(alert.kind for alert in self.firing())
        state = GaugeMetricFamily("tandem_alert_state", "Alerts of this kind that fire now", labels=("alert",))
        fired = CounterMetricFamily("tandem_alerts_fired", "Alerts that have begun to fire", labels=("alert",))
        for kind in KINDS:
            state.add_metric([kind], firing[kind])
            fired.add_metric([kind], self._fired[kind])
        yield state
        yield fired
        yield CounterMetricFamily(
            "tandem_alerts_unseen_requests", "Requests that no alert has seen", value=self._unseen
        )
        told = CounterMetricFamily("tandem_alert_deliveries", "Alerts by what the webhook did", labels=("result",))
        for result in RESULTS:
            told.add_metric([result], 0 if self._webhook is None else self._webhook.results[result])
        yield told

    async def aclose(self) -> None:
        """Look no more; what was learnt is saved, what waits for the webhook is tried once more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        await self.save()
        if self._webhook is not None:
            await self._webhook.aclose()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            try:
                await self.look()
            except Exception:  # noqa: BLE001  (a mistake in one look must not end all watching)
                _log.exception("alerts could not look at what was seen")

    def _tell(self, changed: Sequence[Alert], now: float) -> None:
        for alert in changed:
            where = "".join(f", {name} {value}" for name, value in alert.labels)
            if alert.ended is None:
                self._fired[alert.kind] += 1
                _log.warning("alert %s%s: %s; %s", alert.kind, where, alert.said, alert.of.do)
            else:
                _log.info("alert %s%s has ended: %s", alert.kind, where, alert.said)
        if self._webhook is None:
            return
        repeat, firing = self._webhook.options.repeat, self.firing()
        again = [each for each in firing if now - self._told.get(each.fingerprint, now) >= repeat]
        news = [*changed, *again]
        if news:
            self._webhook.tell(news)
            self._told |= {each.fingerprint: now for each in news}
        if len(self._told) > len(firing):
            self._told = {each.fingerprint: self._told.get(each.fingerprint, now) for each in firing}


class _WatchedLedger(WrappedLedger):
    """A ledger that lets a watch see what it is given; see `router.base.Ledger`."""

    def __init__(self, ledger: Ledger, watch: Watch) -> None:
        super().__init__(ledger)
        self._watch = watch

    def settle(self, record: Record) -> None:
        """Hand over a record, and let it be seen."""
        super().settle(record)
        if record.intent is not None:
            self._watch.see((record.intent, record))

    def label(self, label: Label) -> None:
        """Hand over a label, and let it be heard."""
        super().label(label)
        self._watch.hear(label)
