"""Reloads of the configuration -> counters by what became of them, and the version that serves."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


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
