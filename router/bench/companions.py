"""The upstream and the load of a bench, each a process on a core of its choice.

Whoever starts something here ends it. Knows nothing of the gateway.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]  # what `python -m` must be able to import from
_STOP_LIMIT = 15.0


class BenchError(Exception):
    """A part of the bench did not come up, or gave nothing to measure."""


@dataclass(frozen=True, slots=True)
class Cores:
    """Where things run; one and the same where there is only one."""

    gateway: int
    others: int


def free_cores() -> Cores:
    """Return two cores that this process may use, or one twice."""
    cores = sorted(os.sched_getaffinity(0))
    return Cores(gateway=cores[0], others=cores[min(1, len(cores) - 1)])


@contextlib.contextmanager
def pinned(core: int) -> Iterator[None]:
    """Bind what is spawned inside to one core: children inherit it from the thread that spawns them."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def running_upstream(core: int, *flags: str) -> Iterator[str]:
    """Run the canned upstream, with flags of its own; yield its base address.

    Raises:
        BenchError: it did not come up.
    """
    with pinned(core):
        process = subprocess.Popen(
            [sys.executable, "-m", "router.bench.upstream", *flags], stdout=subprocess.PIPE, cwd=ROOT, text=True
        )
    try:
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            raise BenchError(
                "the upstream of the bench ended at once: run `python -m router.bench.upstream` to see why"
            )
        yield f"http://127.0.0.1:{json.loads(line)['port']}"
    finally:
        stop(process)


def run_load(url: str, *flags: str, key: str = "", core: int) -> dict[str, Any]:
    """Run the load to its end and return what it printed.

    Raises:
        BenchError: it failed, or not one answer was right.
    """
    result = _printed("router.bench.load", url, *flags, key=key, core=core)
    if not result["requests"]:
        raise BenchError(f"the load on {url} got no right answer: {result['first_error']}")
    return result


def run_offered(
    url: str, *, rate: float, seconds: float, connections: int = 256, key: str = "", core: int
) -> dict[str, Any]:
    """Offer a rate of requests and return what `router.bench.offered` printed.

    Raises:
        BenchError: it failed.
    """
    flags = ("--rate", str(rate), "--seconds", str(seconds), "--connections", str(connections))
    return _printed("router.bench.offered", url, *flags, key=key, core=core)


def _printed(module: str, url: str, *flags: str, key: str, core: int) -> dict[str, Any]:
    with pinned(core):
        load = subprocess.run(
            [sys.executable, "-m", module, "--url", url, "--key", key, *flags],
            capture_output=True,
            check=False,
            cwd=ROOT,
            text=True,
        )
    if load.returncode:
        raise BenchError(f"the load on {url} ended with exit code {load.returncode}:\n{load.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(load.stdout)
    return result


def stop(process: "subprocess.Popen[Any]") -> None:
    """Ask a process to end, make it end when it does not, close its pipe."""
    process.terminate()
    try:
        process.wait(_STOP_LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
