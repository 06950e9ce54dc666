"""Metric families of several gateways or processes -> one of each, as text for Prometheus.

Counters and buckets add up, and so do gauges, since each process tells its own part of a whole. What ends leaves its
counts behind, or Prometheus would see them fall. Knows no family by name but for one ending: what is `_info` is the
same everywhere.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct
from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

_LASTING: Final = ("counter", "histogram")
_SAME_EVERYWHERE: Final = "_info"

Labels = tuple[tuple[str, str], ...]


class Family(Struct, frozen=True):
    """One metric at one moment.

    Attributes:
        kind: in Prometheus' words: "counter", "gauge" or "histogram".
        samples: each with its own name, which a histogram has several of, labels in the order of their names, and
            value.
    """

    name: str
    kind: str
    meaning: str
    samples: tuple[tuple[str, Labels, float], ...]


def families_of(collector: Collector) -> tuple[Family, ...]:
    """Return what a collector tells now."""
    return tuple(
        Family(
            metric.name,
            metric.type,
            metric.documentation,
            tuple((each.name, tuple(sorted(each.labels.items())), each.value) for each in metric.samples),
        )
        for metric in collector.collect()
    )


def total(parts: Iterable[Iterable[Family]]) -> tuple[Family, ...]:
    """Return each family once, with the sum of its samples; in the order in which they are first told of."""
    seen: dict[str, Family] = {}
    sums: dict[str, dict[tuple[str, Labels], float]] = {}
    for part in parts:
        for family in part:
            seen.setdefault(family.name, family)
            summed = sums.setdefault(family.name, {})
            for name, labels, value in family.samples:
                before = summed.get((name, labels), 0.0)
                summed[name, labels] = value if name.endswith(_SAME_EVERYWHERE) else before + value
    return tuple(
        Family(name, family.kind, family.meaning, tuple((*key, value) for key, value in sums[name].items()))
        for name, family in seen.items()
    )


def lasting(families: Iterable[Family]) -> tuple[Family, ...]:
    """Return what stays true of something that has ended: its counts, and none of its gauges."""
    return tuple(family for family in families if family.kind in _LASTING)


def exposition(families: Sequence[Family]) -> bytes:
    """Return Prometheus' text format."""
    return generate_latest(_Told(families))


class _Told(Collector):
    """What was collected elsewhere."""

    def __init__(self, families: Sequence[Family]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        for family in self._families:
            metric = Metric(family.name, family.meaning, family.kind)
            for name, labels, value in family.samples:
                metric.add_sample(name, dict(labels), value)
            yield metric
