"""Tests of router/metrics/counters.py: what was spent, by bucket, and why something is not known."""

from backends.base import Usage
from router.base import Attempt, Decision, Outcome, Record, Tier
from router.metrics.counters import Metrics
from router.metrics.families import exposition, families_of

DECISION = Decision(Tier.MINI, "score", None, None, "p@1")


def figures(*attempts: Attempt) -> str:
    metrics = Metrics()
    metrics.begin()
    metrics.end(DECISION, Record("1", Outcome.ANSWERED, 200, attempts, None, 0.1, None), stream=False)
    return exposition(families_of(metrics.registry)).decode()


def attempt(usage: Usage | None, cost: int | None, *, version: str = "v", source: str = "provider") -> Attempt:
    return Attempt("primary", Tier.MINI, "m", "h:1", usage, cost, version, usage_source=source)


def test_each_bucket_is_counted_by_itself() -> None:
    told = figures(attempt(Usage(1, 2, 3, cache_write=4, reasoning=5), 9))
    for bucket, tokens in {"fresh_input": 1, "cached_input": 2, "output": 3, "cache_write": 4, "reasoning": 5}.items():
        assert f'tandem_tokens_total{{bucket="{bucket}",tier="mini"}} {tokens}.0' in told
    assert "audio" not in told


def test_what_is_unpriced_is_counted_by_its_cause() -> None:
    tokens = Usage(1, 2, 3)
    told = figures(
        attempt(None, None, source="contradictory"),
        attempt(None, None, source="none"),
        attempt(tokens, None, version=""),
        attempt(Usage(1, 2, 3, service_tier="priority"), None),
        attempt(tokens, 5, source="tokenizer"),
    )
    assert "tandem_unpriced_attempts_total 4.0" in told
    for why in ("contradictory", "usage", "model", "service_tier"):
        assert f'tandem_unpriced_reasons_total{{why="{why}"}} 1.0' in told
    assert 'tandem_usage_sources_total{source="tokenizer"} 1.0' in told
    assert 'tandem_usage_sources_total{source="provider"} 2.0' in told
