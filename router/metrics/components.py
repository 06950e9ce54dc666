"""What caches and backends count -> families for Prometheus, built when somebody asks."""

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from backends.base import Backend
from backends.optional import figures_of
from cache.holders import HolderStats
from cache.semantic.figures import SemanticStats
from router.base import Tier

_SEMANTIC_RESULTS = ("hits", "misses", "unread", "gone", "switched_off")
_PREFIX_RESULTS = ("hits", "moved", "misses")


def semantic_families(figures: SemanticStats) -> Iterator[Metric]:
    """Yield what the semantic cache counts."""
    lookups = [((name,), getattr(figures, name)) for name in _SEMANTIC_RESULTS]
    yield counter("tandem_semantic_lookups", "Look-ups of kept replies by meaning, by result", ("result",), lookups)
    checks = [((name,), getattr(figures, name)) for name in ("agreed", "disagreed", "untold")]
    yield counter("tandem_semantic_checks", "Hits by meaning that were verified, by result", ("result",), checks)
    yield counter("tandem_semantic_refused", "Shared entries that we did not write", (), [((), figures.refused)])
    for name, words in (
        ("entries", "Answered questions that can be found by meaning"),
        ("partitions", "Tenants, system prompts and sets of parameters that they belong to"),
        ("bytes", "Bytes that they take in this process"),
        ("threshold", "Similarity from which on something is a hit"),
        ("evidence", "That more hits are wrong than is tolerated; 1 for nothing, 1000 switches off"),
        ("is_off", "1 where it has switched itself off"),
    ):
        yield GaugeMetricFamily(f"tandem_semantic_{name}", words, value=float(getattr(figures, name)))


def backend_families(by_tier: Mapping[Tier, Backend]) -> Iterator[Metric]:
    """Yield what backends count, each thing once for both tiers."""
    families: dict[str, GaugeMetricFamily | CounterMetricFamily] = {}
    for tier, backend in by_tier.items():
        for figure in figures_of(backend):
            family = families.get(figure.name)
            if family is None:
                name, labels = f"tandem_backend_{figure.name}", ("tier", *figure.labels)
                kind = GaugeMetricFamily if figure.is_gauge else CounterMetricFamily
                family = families[figure.name] = kind(name, figure.words, labels=labels)
            for values, count in figure.counts.items():
                family.add_metric([str(tier), *values], count)
    yield from families.values()


def prefix_families(by_tier: Mapping[Tier, HolderStats]) -> Iterator[Metric]:
    """Yield what is known of conversations' prefixes, by tier."""
    for name, words in (
        ("held", "Beginnings of conversations whose replica is known"),
        ("bytes", "Bytes that knowing them takes"),
    ):
        gauge = GaugeMetricFamily(f"tandem_prefixes_{name}", words, labels=("tier",))
        for tier, figures in by_tier.items():
            gauge.add_metric([str(tier)], getattr(figures, name))
        yield gauge
    lookups = [((tier, name), getattr(each, name)) for tier, each in by_tier.items() for name in _PREFIX_RESULTS]
    yield counter("tandem_prefix_lookups", "Answers by what was known of their prefix", ("tier", "result"), lookups)
    for name, words in (
        ("matched_tokens", "Prompt tokens that a replica was expected to have cached"),
        ("corrected", "Answers with far fewer cached tokens than expected"),
        ("evicted", "Beginnings that were forgotten for lack of room"),
    ):
        counts = [((tier,), getattr(figures, name)) for tier, figures in by_tier.items()]
        yield counter(f"tandem_prefix_{name}", words, ("tier",), counts)


def counter(
    name: str, words: str, labels: tuple[str, ...], counts: Iterable[tuple[tuple[str, ...], int]]
) -> CounterMetricFamily:
    """Return a counter with these labels; each count has the values of all of them."""
    family = CounterMetricFamily(name, words, labels=labels)
    for values, count in counts:
        family.add_metric([str(value) for value in values], count)
    return family
