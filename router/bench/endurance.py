"""The gateway for longer and under more than it can take -> figures beside their goals.

Added waiting at a steady rate, an overload beyond what the backend can serve, many streams held open, and many requests
one after the other. Everything is on, as in `router.bench.gateway`. What a shorter run says of memory is worth less.
"""

import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from router.bench.companions import ROOT, BenchError, Cores, free_cores, pinned, run_load, run_offered, running_upstream
from router.bench.gateway import Report, machine
from router.bench.goals import Goal, at_least, at_most
from router.bench.lives import CHAT, KEY, move_redis, running_gateway, used

RATE = 500.0
_ROUNDS = 3
_SLOTS = 32  # that the overloaded backend has, each busy for `_THINK`
_THINK = 0.02
_TIMES = 3.0  # the best rate
_HEALTH_EVERY = 0.05
_WARM_UP = 100_000
_CHUNK_GAP = 1.0
_LEFT_OVER = 60.0  # seconds, beyond those that streams are held
_AT_ONCE = 64

_Part = Callable[[Path], tuple[list[Goal], dict[str, object]]]
"""Takes an empty folder."""


def measure_endurance(
    *, streams: int, minutes: float, requests: int, seconds: float = 5.0, say: Callable[[str], None]
) -> Report:
    """Measure on this machine.

    Args:
        streams: held open at once.
        minutes: that they are held.
        requests: asked one after the other on 64 connections; a tenth of them warms up.
        seconds: of each load whose length does not follow from these.

    Raises:
        BenchError: a part did not come up, or gave nothing to measure.
    """
    cores = free_cores()
    goals: list[Goal] = []
    details: dict[str, object] = {"first_error": ""}
    with tempfile.TemporaryDirectory(prefix="tandem-bench-") as folder:
        place = Path(folder)
        parts: tuple[tuple[str, _Part], ...] = (
            ("added waiting", lambda at: _added(at, cores, seconds)),
            ("overload", lambda at: _overload(at, cores, seconds)),
            (
                f"{streams} streams for {minutes:g} min",
                lambda at: _streams(at, cores, streams=streams, minutes=minutes),
            ),
            (f"{requests} requests", lambda at: _memory(at, cores, seconds, requests=requests)),
        )
        for name, part in parts:
            say(name)
            home = place / str(len(details))
            home.mkdir()
            found, told = part(home)
            goals += found
            details[name] = told
    return Report(goals=tuple(goals), details={**details, "median": {}}, machine=machine(cores, busy=0.0))


def _added(place: Path, cores: Cores, seconds: float) -> tuple[list[Goal], dict[str, object]]:
    with (
        running_upstream(cores.others) as upstream,
        running_gateway(place, upstream=upstream, core=cores.gateway) as (
            pid,
            port,
        ),
    ):
        move_redis(pid, core=cores.others)
        added = []
        for _ in range(_ROUNDS):
            plain = run_offered(f"{upstream}{CHAT}", rate=RATE, seconds=seconds, core=cores.others)
            ours = run_offered(f"http://127.0.0.1:{port}{CHAT}", rate=RATE, seconds=seconds, key=KEY, core=cores.others)
            added.append(ours["p50"] - plain["p50"])
    value = round(statistics.median(added) * 1e3, 3)
    return [at_most("added_p50_ms_at_500_rps", value, 0.45)], {"rounds_ms": [round(each * 1e3, 3) for each in added]}


def _overload(place: Path, cores: Cores, seconds: float) -> tuple[list[Goal], dict[str, object]]:
    """Offer three times what a backend of a few slots can serve; what is beyond must be refused fast."""
    limits: dict[str, object] = {"in_flight": _SLOTS, "queue": 4 * _SLOTS, "wait": 0.5}
    with (
        running_upstream(cores.others, "--think", str(_THINK)) as upstream,
        running_gateway(place, upstream=upstream, core=cores.gateway, limits=limits) as (pid, port),
    ):
        move_redis(pid, core=cores.others)
        url = f"http://127.0.0.1:{port}{CHAT}"
        best = run_load(url, "--connections", str(_SLOTS), "--seconds", str(seconds), key=KEY, core=cores.others)
        rate = best["requests"] / best["seconds"]
        waits: list[float] = []
        over = threading.Event()
        asking = threading.Thread(target=_ask_health, args=(port, over, waits))
        asking.start()
        try:
            found = run_offered(
                url, rate=_TIMES * rate, seconds=2 * seconds, connections=1_000, key=KEY, core=cores.others
            )
        finally:
            over.set()
            asking.join()
    goals = [
        at_least("goodput_share_at_3x", round(found["rate"] / rate, 3), 0.85),
        at_most("health_p99_s_at_3x", round(sorted(waits)[int(len(waits) * 0.99)], 4), 0.1),
        at_most("neither_answered_nor_refused_at_3x", float(found["failed"]), 0.0),
    ]
    return goals, {"best_rate": round(rate, 1), **found}


def _ask_health(port: int, over: threading.Event, waits: list[float]) -> None:
    while not over.wait(_HEALTH_EVERY):
        begun = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5.0)
        try:
            connection.request("GET", "/healthz")
            connection.getresponse().read()
        except OSError:
            waits.append(5.0)
        else:
            waits.append(time.perf_counter() - begun)
        finally:
            connection.close()


def _streams(place: Path, cores: Cores, *, streams: int, minutes: float) -> tuple[list[Goal], dict[str, object]]:
    chunks = max(2, round(minutes * 60 / _CHUNK_GAP))
    pace = ("--chunks", str(chunks), "--gap", str(_CHUNK_GAP))
    longest = minutes * 60 + _LEFT_OVER
    with (
        running_upstream(cores.others, *pace) as upstream,
        running_gateway(place, upstream=upstream, core=cores.gateway, within=longest) as (pid, port),
    ):
        move_redis(pid, core=cores.others)
        _, rest = used(pid)
        command = (sys.executable, "-m", "router.bench.load", "--url", f"http://127.0.0.1:{port}{CHAT}", "--key", KEY)
        flags = (
            "--connections",
            str(streams),
            "--streams",
            "1",
            "--chunks",
            str(chunks),
            "--longest",
            str(longest),
        )
        sizes = []
        with pinned(cores.others):
            load = subprocess.Popen((*command, *flags), stdout=subprocess.PIPE, cwd=ROOT, text=True)
        until = time.monotonic() + minutes * 60
        while load.poll() is None:
            time.sleep(min(5.0, minutes * 6))
            if time.monotonic() < until:
                sizes.append(used(pid)[1])
        told = load.communicate()[0]
    if not told:
        raise BenchError("the streams ended without a result")
    result = json.loads(told)
    sizes = sizes or [rest]
    half = sizes[len(sizes) // 2 :]
    slope = (half[-1] - half[0]) / 1e6 / max(minutes / 2, 1e-9)
    goals = [
        at_most("chunks_lost", float(result["events_expected"] - result["events"]), 0.0),
        at_most("kb_per_open_stream", round((max(sizes) - rest) / streams / 1e3, 1), 16.0),
        at_most("mb_per_minute_with_open_streams", round(slope, 3), 0.1),
    ]
    return goals, {
        "streams": streams,
        "minutes": minutes,
        "errors": result["errors"],
        "first_error": result["first_error"],
    }


def _memory(place: Path, cores: Cores, seconds: float, *, requests: int) -> tuple[list[Goal], dict[str, object]]:
    with (
        running_upstream(cores.others) as upstream,
        running_gateway(place, upstream=upstream, core=cores.gateway) as (
            pid,
            port,
        ),
    ):
        move_redis(pid, core=cores.others)
        url = f"http://127.0.0.1:{port}{CHAT}"
        sizes, done, errors = [0], 0, 0
        while done < requests:
            found = run_load(
                url, "--connections", str(_AT_ONCE), "--seconds", str(2 * seconds), key=KEY, core=cores.others
            )
            done += found["requests"]
            errors += found["errors"]
            if done >= min(_WARM_UP, requests // 10):
                sizes.append(used(pid)[1])
    growth = (sizes[-1] - sizes[1]) / 1e6
    return [
        at_most("mb_grown_after_warm_up", round(growth, 2), 5.0),
        at_most("failed_requests", float(errors), 0.0),
    ], {"requests": done, "mb": [round(size / 1e6, 1) for size in sizes[1:]]}
