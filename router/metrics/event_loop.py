"""An event loop -> how often and for how long it stood still, and what its process takes.

Whoever blocks the loop keeps every caller waiting, and no profiler is there when it happens: so it is counted. Costs a
wake-up every 50 ms.
"""

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

EVERY: Final = 0.05  # seconds between two ticks
LATE: Final = 0.1  # seconds by which a tick is late from which on it is counted

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class LoopMonitor(Collector):
    """Ticks for as long as the loop runs; `start` and `stop`, once.

    Attributes:
        late: ticks that were more than a tenth of a second late.
        lost: seconds by which these were late.
        on_tick: called with each tick; may be set.
    """

    def __init__(self) -> None:
        self.late, self.lost = 0, 0.0
        self.on_tick: Callable[[], None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0

    def start(self) -> None:
        """Begin to tick on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._wait()

    def stop(self) -> None:
        """Tick no more."""
        if self._timer is not None:
            self._timer.cancel()

    def collect(self) -> Iterator[Metric]:
        """Yield what Prometheus is told."""
        yield CounterMetricFamily("tandem_loop_stalls", "Times the event loop stood still over 0.1 s", value=self.late)
        yield CounterMetricFamily("tandem_loop_stalled_seconds", "Seconds of them", value=self.lost)
        yield GaugeMetricFamily("tandem_resident_bytes", "Memory of the process", value=resident_bytes())

    def _wait(self) -> None:
        self._due = time.monotonic() + EVERY
        self._timer = self._loop.call_later(EVERY, self._tick)

    def _tick(self) -> None:
        late = time.monotonic() - self._due
        if late > LATE:
            self.late += 1
            self.lost += late
        if self.on_tick is not None:
            self.on_tick()
        self._wait()


def resident_bytes() -> int:
    """Return the process's memory; 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0
