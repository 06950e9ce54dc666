"""Tests router/metrics/counters.py, router/metrics/components.py: what backends count, as families of Prometheus."""

from prometheus_client import generate_latest

from backends.base import Backend, Broken
from backends.replicas.options import ReplicaOptions
from backends.replicas.stack import stack_of
from router.base import Tier
from router.metrics.counters import Metrics
from tests.backends.replicas.played import Played, call_of
from tests.router.scripted import ScriptedBackend


async def test_what_backends_count_is_told_by_tier() -> None:
    chosen = ReplicaOptions.model_validate({"limits": {"in_flight": 5}, "health": {"enabled": False}})
    backends: dict[Tier, Backend] = {
        Tier.LARGE: stack_of([Played("a:1", failures=[Broken("", status=502)]), Played("b:1")], chosen),
        Tier.MINI: stack_of([Played("c:1")], ReplicaOptions()),
    }
    registry = Metrics(backends=backends).registry
    await backends[Tier.LARGE].send(call_of())
    await backends[Tier.MINI].send(call_of())
    for name, labels, expected in (
        ("replica_state", {"tier": "large", "replica": "a:1", "state": "in"}, 1),
        ("replica_state", {"tier": "large", "replica": "a:1", "state": "out"}, 0),
        ("replica_failures_total", {"tier": "large", "replica": "a:1", "cause": "Broken"}, 1),
        ("replica_answers_total", {"tier": "large", "replica": "b:1"}, 1),
        ("replica_answers_total", {"tier": "mini", "replica": "c:1"}, 1),
        ("retries_total", {"tier": "large", "cause": "Broken"}, 1),
        ("queued", {"tier": "large"}, 0),
    ):
        assert registry.get_sample_value(f"tandem_backend_{name}", labels) == expected, name
    assert generate_latest(registry).count(b"# TYPE tandem_backend_replica_state gauge") == 1


def test_a_backend_that_counts_nothing_has_no_families() -> None:
    registry = Metrics(backends={Tier.LARGE: ScriptedBackend("large")}).registry
    assert b"tandem_backend" not in generate_latest(registry)
