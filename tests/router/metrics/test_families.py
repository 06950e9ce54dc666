"""Figures of several processes as one.

Tests router/metrics/families.py, router/metrics/event_loop.py and router/metrics/reloads.py.
"""

import asyncio
import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from router.metrics.event_loop import LoopMonitor, resident_bytes
from router.metrics.families import exposition, families_of, lasting, total
from router.metrics.reloads import Reloads


def counted(number: int) -> CollectorRegistry:
    registry = CollectorRegistry()
    Counter("asked", "Requests", ["tier"], registry=registry).labels("mini").inc(number)
    Gauge("running", "Now", registry=registry).set(number)
    Histogram("waited", "Seconds", registry=registry, buckets=[1.0]).observe(number)
    changes = Reloads()
    changes.version = "abc"
    registry.register(changes)
    return registry


def test_counts_buckets_and_gauges_add_up_and_what_is_said_by_all_is_said_once() -> None:
    both = exposition(total([families_of(counted(1)), families_of(counted(4))])).decode()
    assert 'asked_total{tier="mini"} 5.0' in both
    assert "running 5.0" in both
    assert 'waited_bucket{le="1.0"} 1.0' in both
    assert "waited_count 2.0" in both
    assert 'tandem_config_info{version="abc"} 1.0' in both
    assert both.count("# TYPE asked_total counter") == 1


def test_one_process_alone_is_told_as_prometheus_client_tells_it() -> None:
    alone = exposition(families_of(counted(3)))
    assert alone.startswith(b"# HELP asked_total Requests\n# TYPE asked_total counter\n")
    assert b"# TYPE waited histogram" in alone


def test_what_ends_leaves_its_counts_and_none_of_its_gauges() -> None:
    left = exposition(lasting(families_of(counted(2)))).decode()
    assert "asked_total" in left
    assert "waited_count" in left
    assert "running" not in left
    assert "config_info" not in left


async def test_a_loop_that_stands_still_is_counted_and_one_that_does_not_is_not() -> None:
    loop_monitor, beats = LoopMonitor(), list[float]()
    loop_monitor.on_tick = lambda: beats.append(time.monotonic())
    loop_monitor.start()
    await asyncio.sleep(0.12)
    assert (loop_monitor.late, len(beats)) == (0, 2)
    time.sleep(0.25)  # noqa: ASYNC251 - this is what is to be found
    await asyncio.sleep(0.06)
    loop_monitor.stop()
    assert loop_monitor.late == 1
    assert 0.1 < loop_monitor.lost < 0.5
    seen = len(beats)
    await asyncio.sleep(0.12)
    assert len(beats) == seen
    told = exposition(families_of(loop_monitor)).decode()
    assert "tandem_loop_stalls_total 1.0" in told
    assert resident_bytes() > 10_000_000
