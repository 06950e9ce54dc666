"""What was counted -> figures for Prometheus, under the names that engines of the field give them.

Counting is plain arithmetic on the loop; families are built when somebody asks.
"""

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from backends.engines.base import Load
from backends.engines.serving.admission import Admission

PREFIX: Final = "tandem_engine_"

WINDOW: Final = 10
"""Seconds over which tokens per second are taken."""

_FIRST: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_EACH: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_SPANS: Final = {
    "time_to_first_token_seconds": "From a streamed request to its first token",
    "time_per_output_token_seconds": "Between two tokens of a stream, in the mean of one answer",
    "e2e_request_latency_seconds": "From a request to the end of its answer",
    "request_queue_time_seconds": "From a request to its place",
}
_ALONE: Final = "Of this kind of engine or store alone"


class _Histogram:
    """Observations by bucket; the last one has no upper bound."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.sum += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """Return (upper bound, observations up to it)."""
        names = [*(f"{bound:g}" for bound in self.bounds), "+Inf"]
        return list(zip(names, map(float, accumulate(self.counts)), strict=True))


class Metrics(Collector):
    """The figures of one engine server; touched by its loop alone.

    Args:
        model: its name, the label of every figure.
        clock: seconds.

    Attributes:
        finished: answers by why they ended; "abort" where the caller left, "error" where the engine broke.
        refused: requests that were not computed, by the code of the error.
        spans: histograms by name.
    """

    def __init__(self, model: str, admission: Admission, *, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.prompt_tokens = self.generation_tokens = 0
        self.finished: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.spans = {name: _Histogram(_EACH if "per_output" in name else _FIRST) for name in _SPANS}
        self._model = model
        self._admission = admission
        self._load: Callable[[], Load] = lambda: Load(running=0, waiting=0, kv_used=0.0)
        self._gauges: list[Callable[[], Mapping[str, float]]] = []
        self._seconds: deque[tuple[int, int]] = deque(maxlen=WINDOW + 1)  # (second, tokens)
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def watch(self, load: Callable[[], Load], *gauges: Callable[[], Mapping[str, float]]) -> None:
        """Take what tells the engine's own figures, once there is an engine."""
        self._load, self._gauges = load, list(gauges)

    def came(self, tokens: int) -> None:
        """Count tokens of which each second has its share."""
        second = int(self.clock())
        if self._seconds and self._seconds[-1][0] == second:
            tokens += self._seconds.pop()[1]
        self._seconds.append((second, tokens))

    def text(self) -> bytes:
        """Return all figures as Prometheus reads them."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        load, admission = self._load(), self._admission
        for name, words, value in (
            ("num_requests_running", "Answers that have a place", admission.running),
            ("num_requests_waiting", "Answers that wait for one", admission.waiting + load.waiting),
            ("kv_cache_usage_perc", "Share of the KV cache that is taken, 0 to 1", load.kv_used),
            ("avg_generation_throughput_toks_per_s", f"Tokens per second of the last {WINDOW} s", self._throughput()),
        ):
            yield self._gauge(name, words, value)
        for name, words, count in (
            ("prompt_tokens", "Tokens of prompts", self.prompt_tokens),
            ("generation_tokens", "Tokens of answers", self.generation_tokens),
            ("prefix_cache_queries", "Tokens of prompts that were looked for in the KV cache", load.prompt_tokens),
            ("prefix_cache_hits", "Tokens of prompts that were found there", load.cached_tokens),
        ):
            yield self._counter(name, words, {"": count})
        if load.drafted_tokens:
            drafted, accepted = load.drafted_tokens, load.accepted_tokens
            yield self._counter("spec_decode_num_draft_tokens", "Tokens that a draft model proposed", {"": drafted})
            yield self._counter("spec_decode_num_accepted_tokens", "Those that the model took", {"": accepted})
        yield self._counter("request_success", "Answers by why they ended", self.finished, label="finished_reason")
        yield self._counter("request_refused", "Requests that were not computed, by code", self.refused, label="code")
        for name, span in self.spans.items():
            family = HistogramMetricFamily(f"{PREFIX}{name}", _SPANS[name], labels=("model_name",))
            family.add_metric((self._model,), span.buckets(), span.sum)
            yield family
        for gauges in self._gauges:
            for name, value in gauges().items():
                counted = name.removesuffix("_total")
                is_gauge = counted == name
                yield self._gauge(name, _ALONE, value) if is_gauge else self._counter(counted, _ALONE, {"": value})

    def _throughput(self) -> float:
        since = int(self.clock()) - WINDOW
        return sum(tokens for second, tokens in self._seconds if second >= since) / WINDOW

    def _gauge(self, name: str, words: str, value: float) -> GaugeMetricFamily:
        family = GaugeMetricFamily(f"{PREFIX}{name}", words, labels=("model_name",))
        family.add_metric((self._model,), value)
        return family

    def _counter(self, name: str, words: str, counts: Mapping[str, float], *, label: str = "") -> CounterMetricFamily:
        labels = ("model_name", label) if label else ("model_name",)
        family = CounterMetricFamily(f"{PREFIX}{name}", words, labels=labels)
        for value, count in counts.items():
            family.add_metric((self._model, value) if label else (self._model,), count)
        return family
