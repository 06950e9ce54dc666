"""An event loop -> how often and for how long it stood still, and what its process takes.

Whoever blocks the loop keeps every caller waiting, and no profiler is there when it happens: so it is counted. Costs a
wake-up every 50 ms.
"""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

EVERY: Final = 0.05  # seconds between two beats
LATE: Final = 0.1  # seconds by which a beat is late from which on it is counted

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class LoopMonitor(Collector):
    """Beats for as long as the loop runs; `start` and `stop`, once.

    Attributes:
        late: beats that were more than a tenth of a second late.
        lost: seconds by which these were late.
        on_tick: called with each beat; may be set.
    """

    def __init__(self) -> None:
        self.late, self.lost = 0, 0.0
        self.on_tick: Callable[[], None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0

    def start(self) -> None:
        """Begin to beat on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._wait()

    def stop(self) -> None:
        """Beat no more."""
        if self._timer is not None:
            self._timer.cancel()

    def collect(self) -> Iterator[Metric]:
        """Yield what Prometheus is told."""
        yield CounterMetricFamily("tandem_loop_stalls", "Times the event loop stood still over 0.1 s", value=self.late)
        yield CounterMetricFamily("tandem_loop_stalled_seconds", "Seconds of them", value=self.lost)
        yield GaugeMetricFamily("tandem_resident_bytes", "Memory of the process", value=resident_bytes())

    def _wait(self) -> None:
        self._due = time.monotonic() + EVERY
        self._timer = self._loop.call_later(EVERY, self._beat)

    def _beat(self) -> None:
        late = time.monotonic() - self._due
        if late > LATE:
            self.late += 1
            self.lost += late
        if self.on_tick is not None:
            self.on_tick()
        self._wait()


class Reloads(Collector):
    """Which configuration serves, and how often another one was to take its place."""

    RESULTS: Final = ("done", "unchanged", "refused")

    def __init__(self) -> None:
        self.version = ""
        self._results: Counter[str] = Counter()

    def count(self, result: str) -> None:
        """Count a reload by what became of it; one of `RESULTS`."""
        self._results[result] += 1

    def collect(self) -> Iterator[Metric]:
        """Yield what Prometheus is told."""
        info = GaugeMetricFamily("tandem_config_info", "The configuration that serves", labels=("version",))
        info.add_metric([self.version], 1)
        yield info
        reloads = CounterMetricFamily("tandem_config_reloads", "Reloads by result", labels=("result",))
        for result in self.RESULTS:
            reloads.add_metric([result], self._results[result])
        yield reloads


def resident_bytes() -> int:
    """Return the process's memory; 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0
