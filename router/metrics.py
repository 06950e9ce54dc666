"""Records -> counters for Prometheus.

Every label has a fixed, small set of values, whatever clients send.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from router.base import Decision, Outcome, Record, Tier

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """The gateway's own figures; children of labels are looked up once, here."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        requests = Counter(
            "tandem_requests", "Requests by tier and outcome", ["tier", "outcome"], registry=self.registry
        )
        reasons = Counter(
            "tandem_decisions", "Decisions by tier and reason", ["tier", "reason"], registry=self.registry
        )
        first_byte = Histogram(
            "tandem_time_to_first_token_seconds",
            "From a request's first byte to the first byte of its answer",
            ["answered_by"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        tokens = Counter("tandem_tokens", "Tokens by tier and bucket", ["tier", "bucket"], registry=self.registry)
        cost = Counter("tandem_cost_nano_usd", "Cost by tier", ["tier"], registry=self.registry)
        self._refused = Counter(
            "tandem_refused_requests",
            "Requests answered with an error before routing",
            ["status"],
            registry=self.registry,
        )
        self._unpriced = Counter("tandem_unpriced_requests", "Requests whose cost is unknown", registry=self.registry)
        self._failures = Counter(
            "tandem_attempt_failures", "Failed attempts by tier and cause", ["tier", "cause"], registry=self.registry
        )
        self._running = Gauge("tandem_requests_in_flight", "Requests being answered", registry=self.registry)
        self._requests = {(t, o): requests.labels(t.value, o.value) for t in Tier for o in Outcome}
        self._first_byte = {name: first_byte.labels(name) for name in (*Tier, "cache")}
        self._tokens = {
            (t, b): tokens.labels(t.value, b) for t in Tier for b in ("fresh_input", "cached_input", "output")
        }
        self._cost = {tier: cost.labels(tier.value) for tier in Tier}
        self._reasons = reasons

    def begin(self) -> None:
        """Count a request in."""
        self._running.inc()

    def end(self, decision: Decision, record: Record) -> None:
        """Count a request out, with what it took."""
        self._running.dec()
        self._requests[decision.tier, record.outcome].inc()
        self._reasons.labels(decision.tier.value, decision.reason).inc()
        if record.first_byte is not None:
            by = "cache" if record.outcome is Outcome.KEPT else decision.tier
            self._first_byte[by].observe(record.first_byte)
        if record.cost is None:
            self._unpriced.inc()
        for attempt in record.attempts:
            if attempt.error:
                self._failures.labels(attempt.tier.value, attempt.error).inc()
            if attempt.cost:
                self._cost[attempt.tier].inc(attempt.cost)
            if attempt.usage is not None:
                self._tokens[attempt.tier, "fresh_input"].inc(attempt.usage.fresh_input)
                self._tokens[attempt.tier, "cached_input"].inc(attempt.usage.cached_input or 0)
                self._tokens[attempt.tier, "output"].inc(attempt.usage.output)

    def refuse(self, status: int) -> None:
        """Count a request that never reached the pipeline."""
        self._refused.labels(str(status)).inc()
