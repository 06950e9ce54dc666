"""One life of the real gateway, between a canned upstream and a load.

Start, first right answer, rest, whole answers, the upstream alone for comparison, streams, stop, count of the ledger.
CPU time is the gateway's own process; its Redis is told apart. Knows nothing of goals.
"""

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from router.base import Outcome
from router.bench.callers import MARK
from router.bench.companions import ROOT, BenchError, Cores, pinned, run_load, stop
from router.bench.load import BODY
from router.bench.process import Process, read_tree
from router.bench.upstream import CHUNKS
from router.ledger.reading import iter_requests

CHAT = "/v1/chat/completions"
STREAMS = 100
_STREAMS_EACH = 2
KEY = "tandem-bench-key"
"""That the gateway of a bench is asked with."""
REQUEST_WITHIN = 600.0
_START_LIMIT = 30.0
_POLL = 0.005
_REST = 1.0  # seconds from the first answer to the reading of the idle size
_SETTLE = 0.5  # seconds from the last answer until the ledger's writer has written it
_WARM_UP = 1.0
_OK = 200


@dataclass(frozen=True, slots=True)
class Life:
    """What one life of the gateway showed.

    Attributes:
        first_200_s: seconds from spawning it to its first right answer.
        start_cpu_s: CPU seconds of the gateway until it is idle; what of `first_200_s` is not the neighbours' doing.
        idle_rss_mb: of the gateway alone, a second later, millions of bytes; `loaded_rss_mb` at the end.
        cpu_us: of the gateway, microseconds for each whole answer; `redis_cpu_us` of its Redis.
        sse_cpu_us: of the gateway, microseconds for each chunk with text.
        direct_requests_per_s: of the same load on the upstream alone.
        sent: requests of this life.
        settled: records of the ledger that are closed; `left_open` those that are not.
        errors: answers that were not right and whole; `first_error` in words.
    """

    first_200_s: float
    start_cpu_s: float
    idle_rss_mb: float
    loaded_rss_mb: float
    cpu_us: float
    redis_cpu_us: float
    requests_per_s: float
    p50_s: float
    p99_s: float
    direct_requests_per_s: float
    direct_p50_s: float
    sse_cpu_us: float
    sent: int
    settled: int
    left_open: int
    errors: int
    first_error: str


@dataclass(frozen=True, slots=True)
class _Used:
    """CPU seconds of the gateway and of its Redis, and the gateway's resident bytes."""

    gateway: float
    redis: float
    rss: int


def live(folder: Path, *, upstream: str, cores: Cores, seconds: float, connections: int) -> Life:
    """Run the gateway once from start to stop.

    Args:
        folder: empty; takes the configuration, the ledger and the log.
        upstream: base address of the upstream, without a path.
        seconds: of the load with whole answers.

    Raises:
        BenchError: the gateway did not answer, or the load ended without a result.
    """
    port = _free_port()
    with _gateway(folder, port=port, upstream=upstream, core=cores.gateway) as (gateway, spawned):
        asked = _await_first_answer(gateway, port=port, log=folder / "log")
        first_200 = time.perf_counter() - spawned
        time.sleep(_REST)
        move_redis(gateway.pid, core=cores.others)
        idle = _used(gateway.pid)
        target = f"http://127.0.0.1:{port}{CHAT}"
        whole = ("--connections", str(connections), "--seconds")
        warm = run_load(target, *whole, str(_WARM_UP), key=KEY, core=cores.others)
        before = _used(gateway.pid)
        load = run_load(target, *whole, str(seconds), key=KEY, core=cores.others)
        after = _used(gateway.pid)
        direct = run_load(f"{upstream}{CHAT}", *whole, str(max(1.0, seconds / 3)), key=KEY, core=cores.others)
        still = _used(gateway.pid)
        flags = ("--connections", str(STREAMS), "--streams", str(_STREAMS_EACH), "--chunks", str(CHUNKS))
        streams = run_load(target, *flags, key=KEY, core=cores.others)
        end = _used(gateway.pid)
    settled, left_open = _count(folder / "ledger.db")
    loads = (warm, load, streams)
    return Life(
        first_200_s=round(first_200, 3),
        start_cpu_s=round(idle.gateway, 2),
        idle_rss_mb=round(idle.rss / 1e6, 1),
        loaded_rss_mb=round(end.rss / 1e6, 1),
        cpu_us=round((after.gateway - before.gateway) * 1e6 / load["requests"], 1),
        redis_cpu_us=round((after.redis - before.redis) * 1e6 / load["requests"], 1),
        requests_per_s=round(load["requests"] / load["seconds"], 1),
        p50_s=load["p50"],
        p99_s=load["p99"],
        direct_requests_per_s=round(direct["requests"] / direct["seconds"], 1),
        direct_p50_s=direct["p50"],
        sse_cpu_us=round((end.gateway - still.gateway) * 1e6 / (streams["requests"] * CHUNKS), 1),
        sent=asked + sum(each["sent"] for each in loads),
        settled=settled,
        left_open=left_open,
        errors=sum(each["errors"] for each in loads),
        first_error=next((each["first_error"] for each in loads if each["errors"]), ""),
    )


@contextlib.contextmanager
def running_gateway(
    folder: Path, *, upstream: str, core: int, limits: dict[str, object] | None = None, within: float = REQUEST_WITHIN
) -> Iterator[tuple[int, int]]:
    """Run the gateway with everything on, until the block ends; yields its process and its port when it answers.

    Args:
        limits: of each backend, as in the configuration; None for none.
        within: seconds that a whole request may take.

    Raises:
        BenchError: it gave no right answer in time.
    """
    port = _free_port()
    with _gateway(folder, port=port, upstream=upstream, core=core, limits=limits, within=within) as (gateway, _):
        _await_first_answer(gateway, port=port, log=folder / "log")
        yield gateway.pid, port


def used(pid: int) -> tuple[float, int]:
    """Return CPU seconds and resident bytes of a process tree as it is now, Redis left out."""
    tree = [process for process in read_tree(pid) if not _is_redis(process)]
    return sum(process.cpu for process in tree), sum(process.rss for process in tree)


@contextlib.contextmanager
def _gateway(
    folder: Path,
    *,
    port: int,
    upstream: str,
    core: int,
    limits: dict[str, object] | None = None,
    within: float = REQUEST_WITHIN,
) -> Iterator[tuple["subprocess.Popen[bytes]", float]]:
    """Spawn the gateway with everything on; yield it and the moment, stop it at the end."""
    configuration = folder / "tandem.yaml"
    configuration.write_text(
        _configuration(folder, port=port, upstream=upstream, limits=limits, within=within), encoding="utf-8"
    )
    command = [sys.executable, "-m", "router", "serve", "--config", str(configuration)]
    with (folder / "log").open("wb") as log, pinned(core):
        spawned = time.perf_counter()
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT)
    try:
        yield process, spawned
    finally:
        stop(process)


def _configuration(
    folder: Path,
    *,
    port: int,
    upstream: str,
    limits: dict[str, object] | None = None,
    within: float = REQUEST_WITHIN,
) -> str:
    """Return the gateway's configuration; JSON is YAML too. No cache address means a private Redis."""
    backend = {"use": "openai_http", "urls": [f"{upstream}/v1"], "limits": limits or {}}
    return json.dumps(
        {
            "server": {"host": "127.0.0.1", "port": port, "request_timeout": within},
            "backends": {
                "large": {**backend, "model": "bench-large", "price": "large"},
                "mini": {**backend, "model": "bench-mini", "price": "mini"},
            },
            "classifier": {"use": "linear"},
            "policy": {"use": "threshold", "threshold": 0.5},
            "ledger": {"use": "sqlite", "path": str(folder / "ledger.db")},
            "keys": [{"tenant": "bench", "key": KEY}],
        }
    )


def _await_first_answer(gateway: "subprocess.Popen[bytes]", *, port: int, log: Path) -> int:
    """Ask until the answer is right; return how many requests were answered at all.

    Raises:
        BenchError: it ended, or gave no right answer in time; with the last lines of its log.
    """
    until = time.perf_counter() + _START_LIMIT
    headers = {"content-type": "application/json", "authorization": f"Bearer {KEY}"}
    asked, seen = 0, "no connection"
    while time.perf_counter() < until and gateway.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_START_LIMIT)
        try:
            connection.request("POST", CHAT, body=BODY.replace(MARK, "first"), headers=headers)
            answer = connection.getresponse()
            text = answer.read()
        except OSError as error:
            seen = f"no connection: {error}"
        else:
            asked += 1
            if answer.status == _OK:
                return asked
            seen = f"status {answer.status}: {text[:200].decode(errors='replace')}"
        finally:
            connection.close()
        time.sleep(_POLL)
    tail = log.read_text(encoding="utf-8", errors="replace")[-2000:]
    how = "gave no right answer" if gateway.poll() is None else f"ended with exit code {gateway.returncode}"
    raise BenchError(f"the gateway {how} within {_START_LIMIT:g} s ({seen}); its log ends with:\n{tail}")


def _used(pid: int) -> _Used:
    """Return what the gateway and its Redis have used so far, when the ledger's writer is at rest."""
    time.sleep(_SETTLE)
    tree = read_tree(pid)
    return _Used(
        gateway=sum(process.cpu for process in tree if not _is_redis(process)),
        redis=sum(process.cpu for process in tree if _is_redis(process)),
        rss=sum(process.rss for process in tree if not _is_redis(process)),
    )


def move_redis(pid: int, *, core: int) -> None:
    """Move the gateway's private Redis to the others' core, as if it ran elsewhere."""
    for process in read_tree(pid):
        if _is_redis(process):
            os.sched_setaffinity(process.pid, {core})


def _is_redis(process: Process) -> bool:
    return process.name.startswith(("redis", "valkey"))


def _count(ledger: Path) -> tuple[int, int]:
    """Return how many requests have their record, and how many are still open or were given up."""
    outcomes = [request["outcome"] for request in iter_requests(ledger)]
    left_open = sum(outcome in {None, Outcome.INTERRUPTED} for outcome in outcomes)
    return len(outcomes) - left_open, left_open


def _free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
