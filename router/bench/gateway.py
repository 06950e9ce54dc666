"""Several lives of the gateway -> figures beside their goals.

Everything is on: keys, score, exact cache on a private Redis, ledger, metrics. Rounds are interleaved with the bare
upstream, and each figure is the median over the rounds, so that a neighbour's noise in one of them does not decide.
"""

import datetime as dt
import os
import platform
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from router.bench.companions import Cores, free_cores, running_upstream
from router.bench.goals import Goal, at_most
from router.bench.lives import STREAMS, Life, live

ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Report:
    """What all rounds say together; `details` and `machine` are plain JSON values."""

    goals: tuple[Goal, ...]
    details: dict[str, object]
    machine: dict[str, object]


def measure_gateway(*, seconds: float, connections: int, rounds: int = ROUNDS, say: Callable[[str], None]) -> Report:
    """Measure the gateway on this machine.

    Args:
        seconds: of load with whole answers, in each round.
        connections: of that load.
        say: told what happens now, a line at a time.

    Raises:
        BenchError: a part did not come up, or gave nothing to measure.
    """
    cores = free_cores()
    busy = os.getloadavg()[0]
    lives = []
    with tempfile.TemporaryDirectory(prefix="tandem-bench-") as folder, running_upstream(cores.others) as upstream:
        for number in range(1, rounds + 1):
            say(f"round {number} of {rounds}: {seconds:g} s at {connections} connections, then {STREAMS} streams")
            place = Path(folder, str(number))
            place.mkdir()
            lives.append(live(place, upstream=upstream, cores=cores, seconds=seconds, connections=connections))
    return Report(
        goals=goals_of(lives),
        details={
            "connections": connections,
            "seconds": seconds,
            "streams": STREAMS,
            "median": {name: _median(lives, name) for name in _MEDIANS},
            "first_error": next((life.first_error for life in lives if life.first_error), ""),
            "rounds": [asdict(life) for life in lives],
        },
        machine=machine(cores, busy=busy),
    )


def goals_of(lives: list[Life]) -> tuple[Goal, ...]:
    """Return each figure beside its goal; what may never happen is summed, everything else is a median.

    A record that is there twice counts as much as one that is not there.
    """
    figures = (
        ("cpu_us_per_request", _median(lives, "cpu_us"), 250.0),
        ("sse_cpu_us_per_chunk", _median(lives, "sse_cpu_us"), 40.0),
        ("idle_rss_mb", _median(lives, "idle_rss_mb"), 90.0),
        ("start_to_first_200_s", _median(lives, "first_200_s"), 2.0),
        ("lost_records", float(sum(abs(life.sent - life.settled) for life in lives)), 0.0),
        ("failed_requests", float(sum(life.errors for life in lives)), 0.0),
    )
    return tuple(at_most(name, value, goal) for name, value, goal in figures)


_MEDIANS = (
    "requests_per_s",
    "p50_s",
    "p99_s",
    "redis_cpu_us",
    "start_cpu_s",
    "direct_requests_per_s",
    "direct_p50_s",
    "loaded_rss_mb",
)


def _median(lives: list[Life], name: str) -> float:
    return float(statistics.median(getattr(life, name) for life in lives))


def machine(cores: Cores, *, busy: float) -> dict[str, object]:
    """Return where and when the figures were taken; `busy` is the load average before the first round."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "gateway_core": cores.gateway,
        "other_core": cores.others,
        "load_average_before": round(busy, 2),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
    }
