"""Records -> counters for Prometheus.

Counting is plain arithmetic on the loop, since it happens for every request; families are built when
somebody asks. Every label has a fixed, small set of values, whatever clients send.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from backends.base import INPUT_BUCKETS, OUTPUT_BUCKETS, Backend
from cache.holders import HolderStats
from cache.replies import RepliesStats
from cache.semantic.figures import SemanticStats
from router.base import Attempt, Decision, Outcome, Record, Tier
from router.metrics.components import backend_families, counter, prefix_families, semantic_families

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_CACHE = "cache"
_OFTEN = ("fresh_input", "cached_input", "output")
_SELDOM = tuple(name for name in (*INPUT_BUCKETS, *OUTPUT_BUCKETS) if name not in _OFTEN)

Watched = Mapping[str, int] | Mapping[tuple[str, str], int]
"""Counts by the value of one label, or by those of two."""


class _Histogram:
    """Observations by bucket; the last bucket has no upper bound."""

    def __init__(self) -> None:
        self.counts = [0] * (len(_SECONDS) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(_SECONDS, seconds)] += 1
        self.sum += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """Return (upper bound, observations up to it), as Prometheus wants them."""
        bounds = [*(f"{second:g}" for second in _SECONDS), "+Inf"]
        return list(zip(bounds, map(float, accumulate(self.counts)), strict=True))


class Metrics(Collector):
    """The gateway's own figures; touched by the loop alone."""

    def __init__(
        self,
        cache_figures: Callable[[], RepliesStats] | None = None,
        prefix_figures: Callable[[], Mapping[Tier, HolderStats]] | None = None,
        backends: Mapping[Tier, Backend] | None = None,
    ) -> None:
        """Take what tells the cache's own counters, and those of prefixes; None where nothing is kept.

        Args:
            backends: those of them that count something have a method `figures`.
        """
        self._cache_figures, self._prefix_figures = cache_figures, prefix_figures
        self._backends = backends or {}
        self.registry = CollectorRegistry()
        self.registry.register(self)
        self.semantic_figures: Callable[[], SemanticStats] | None = None
        self._running = 0
        self._unpriced: Counter[str] = Counter()
        self._told: Counter[str] = Counter()
        self._requests: Counter[tuple[str, str]] = Counter()
        self._decisions: Counter[tuple[str, str]] = Counter()
        self._failures: Counter[tuple[str, str]] = Counter()
        self._stood_in: Counter[tuple[str, str]] = Counter()
        self._tokens: Counter[tuple[str, str]] = Counter()
        self._cost: Counter[str] = Counter()
        self._refused: Counter[int] = Counter()
        self._beyond_share: Counter[tuple[str, str]] = Counter()
        self._verdicts: Counter[str] = Counter()
        self._shadows: Counter[str] = Counter()
        self._learning_cost: Counter[str] = Counter()
        self._ratings: Counter[str] = Counter()
        self._limited: Counter[tuple[str, str]] = Counter()
        self._watched: list[tuple[str, str, tuple[str, ...], Watched]] = []
        self._stored: Counter[str] = Counter()
        self._first_byte = {by: _Histogram() for by in (Tier.LARGE, Tier.MINI, _CACHE)}

    def begin(self) -> None:
        """Count a request in."""
        self._running += 1

    def end(self, decision: Decision, record: Record, *, stream: bool) -> None:
        """Count a request out, with what it took; only a stream has a time to its first token."""
        self._running -= 1
        tier = decision.tier
        self._requests[tier, record.outcome] += 1
        self._decisions[tier, decision.reason] += 1
        if stream and record.first_byte is not None:
            answered_by = _CACHE if record.outcome is Outcome.KEPT or not record.attempts else record.attempts[-1].tier
            self._first_byte[answered_by].observe(record.first_byte)
        if len(record.attempts) > 1 and record.outcome is Outcome.ANSWERED:
            last = record.attempts[-1]
            if last.kind == "failover":
                self._stood_in[tier, last.tier] += 1
        for attempt in record.attempts:
            self._end_attempt(attempt)

    def _end_attempt(self, attempt: Attempt) -> None:
        if attempt.error:
            self._failures[attempt.tier, attempt.error] += 1
        if attempt.cost is None:
            self._unpriced[_why_unpriced(attempt)] += 1
        else:
            self._cost[attempt.tier] += attempt.cost
        usage = attempt.usage
        if usage is None:
            return
        if attempt.usage_source:
            self._told[attempt.usage_source] += 1
        self._tokens[attempt.tier, "fresh_input"] += usage.fresh_input
        self._tokens[attempt.tier, "cached_input"] += usage.cached_input or 0
        self._tokens[attempt.tier, "output"] += usage.output
        if usage.has_more_buckets:
            for name in _SELDOM:
                tokens = getattr(usage, name)
                if tokens:
                    self._tokens[attempt.tier, name] += tokens

    def judge(self, verdict: str) -> None:
        """Count what became of a reply of Mini that was to be verified; one of `router.cascade.VERDICTS`."""
        self._verdicts[verdict] += 1

    def note_limit(self, tenant: str, limit: str) -> None:
        """Count a request that was refused for its tenant's limits; one of `router.guards.limits.refusals.Met`."""
        self._limited[tenant, limit] += 1

    def watch(self, name: str, words: str, label: str | tuple[str, ...], counts: Watched) -> None:
        """Show what somebody else counts, under one label of few values, or under several."""
        self._watched.append((name, words, (label,) if isinstance(label, str) else label, counts))

    def note_share(self, tenant: str, found: str) -> None:
        """Count a decision by score beyond a tenant's usual share of Large; "" is none."""
        if found:
            self._beyond_share[tenant, found] += 1

    def shadow(self, result: str) -> None:
        """Count a sampled request by what became of its shadow call, in one of a few words."""
        self._shadows[result] += 1

    def spend_on_learning(self, attempt: Attempt) -> None:
        """Count what a shadow call cost; no part of what requests cost."""
        if attempt.cost is None:
            self._unpriced[_why_unpriced(attempt)] += 1
        else:
            self._learning_cost[attempt.tier] += attempt.cost

    def rate(self, word: str) -> None:
        """Count a rating or signal that was kept: "good", "bad", "score" or one of `router.base.SIGNAL_KINDS`."""
        self._ratings[word] += 1

    def store(self, result: str) -> None:
        """Count an answer that was to be stored: "stored", "full" or "failed"."""
        self._stored[result] += 1

    def refuse(self, status: int) -> None:
        """Count a request that never reached the pipeline."""
        self._refused[status] += 1

    def collect(self) -> Iterator[Metric]:
        """Yield the families, as Prometheus' client wants them."""
        yield GaugeMetricFamily("tandem_requests_in_flight", "Requests being answered", value=self._running)
        unpriced = sum(self._unpriced.values())
        yield CounterMetricFamily("tandem_unpriced_attempts", "Attempts whose cost is unknown", value=unpriced)
        reasons = [((why,), count) for why, count in self._unpriced.items()]
        yield counter("tandem_unpriced_reasons", "Attempts whose cost is unknown, by why", ("why",), reasons)
        sources = [((source,), count) for source, count in self._told.items()]
        yield counter("tandem_usage_sources", "Attempts by who told what they took", ("source",), sources)
        for name, words, labels, counts in (
            ("tandem_requests", "Requests by decided tier and outcome", ("tier", "outcome"), self._requests.items()),
            ("tandem_decisions", "Decisions by tier and reason", ("tier", "reason"), self._decisions.items()),
            (
                "tandem_failovers",
                "Requests that one tier answered in the other's place",
                ("of", "by"),
                self._stood_in.items(),
            ),
            ("tandem_attempt_failures", "Failed attempts by tier and cause", ("tier", "cause"), self._failures.items()),
            ("tandem_tokens", "Tokens by tier and bucket", ("tier", "bucket"), self._tokens.items()),
        ):
            yield counter(name, words, labels, counts)
        yield counter(
            "tandem_cost_nano_usd", "Cost by tier", ("tier",), [((tier,), nano) for tier, nano in self._cost.items()]
        )
        learning = [((tier,), nano) for tier, nano in self._learning_cost.items()]
        yield counter("tandem_learning_cost_nano_usd", "Cost of shadow calls by tier", ("tier",), learning)
        shadows = [((result,), count) for result, count in self._shadows.items()]
        yield counter("tandem_shadow_calls", "Sampled requests by what their shadow call gave", ("result",), shadows)
        ratings = [((word,), count) for word, count in self._ratings.items()]
        yield counter("tandem_ratings", "Ratings of answers by people", ("rating",), ratings)
        stored = [((result,), count) for result, count in self._stored.items()]
        yield counter("tandem_stored_completions", "Answers that were to be stored, by result", ("result",), stored)
        verdicts = [((verdict,), count) for verdict, count in self._verdicts.items()]
        yield counter("tandem_verifications", "Replies of Mini by what became of them", ("verdict",), verdicts)
        for found, meant in (
            ("over", "Scored requests that went to Large beyond their tenant's usual share"),
            ("capped", "Scored requests that the cap on a tenant's share of Large sent to Mini, or left there"),
        ):
            beyond = [((tenant,), count) for (tenant, each), count in self._beyond_share.items() if each == found]
            yield counter(f"tandem_large_share_{found}", meant, ("tenant",), beyond)
        yield counter("tandem_limited_requests", "Beyond a limit", ("tenant", "limit"), self._limited.items())
        for name, words, under, seen in self._watched:
            yield counter(name, words, under, [(_values(word), count) for word, count in seen.items()])
        refused = [((str(status),), count) for status, count in self._refused.items()]
        yield counter("tandem_refused_requests", "Requests refused before routing", ("status",), refused)
        if self._cache_figures is not None:
            figures = self._cache_figures()
            lookups = [((name,), getattr(figures, name)) for name in ("hits", "misses", "away", "alarms")]
            yield counter("tandem_cache_lookups", "Look-ups of kept replies by result", ("result",), lookups)
        if self.semantic_figures is not None:
            yield from semantic_families(self.semantic_figures())
        if self._prefix_figures is not None:
            yield from prefix_families(self._prefix_figures())
        yield from backend_families(self._backends)
        histogram = HistogramMetricFamily(
            "tandem_time_to_first_token_seconds",
            "From a streamed request's first byte to the first byte of its answer",
            labels=("answered_by",),
        )
        for by, observed in self._first_byte.items():
            histogram.add_metric((str(by),), observed.buckets(), observed.sum)
        yield histogram


def _values(word: str | tuple[str, str]) -> tuple[str, ...]:
    """Return the values of one label or of two."""
    return (word,) if isinstance(word, str) else word


def _why_unpriced(attempt: Attempt) -> str:
    """Return what is not known: "contradictory" or no "usage", a "model" or "service_tier" that has no price."""
    if attempt.usage is None:
        return "contradictory" if attempt.usage_source == "contradictory" else "usage"
    return "service_tier" if attempt.price_version else "model"
