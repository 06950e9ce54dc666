"""Peers and ourselves, in turn and in front of one upstream -> what each costs, and our share of it.

All of them run at once, on one core, and wait; short loads go to one after the other, round after round, so that what
the machine does meanwhile meets all alike. Only ratios within a round count. Knows nothing of how a peer is installed.
"""

import contextlib
import os
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from router.bench.companions import BenchError, Cores, free_cores, pinned, run_load, running_upstream, stop
from router.bench.gateway import Report, machine
from router.bench.goals import Goal, at_most
from router.bench.lives import CHAT, KEY, STREAMS, move_redis, running_gateway, used
from router.bench.peers.base import CannotInstall, Cost, Peer
from router.bench.peers.known import PEERS
from router.bench.process import read_tree
from router.bench.upstream import CHUNKS

OURS = "tandem"
_START_LIMIT = 90.0
_SETTLE = 0.3


def installed(peers: Sequence[Peer], *, home: Path, say: Callable[[str], None]) -> dict[str, tuple[Peer, Path]]:
    """Return those that can be had, with the folder of each; the others are said, with the reason."""
    found = {}
    for peer in peers:
        folder = home / f"{peer.name}-{peer.version or 'system'}"
        try:
            if not (folder / "whole").exists():
                say(f"installing {peer.name} {peer.version}")
                folder.mkdir(parents=True, exist_ok=True)
                peer.install(folder)
                (folder / "whole").touch()
        except CannotInstall as error:
            say(f"{peer.name} is left out: {error}")
            continue
        found[peer.name] = (peer, folder)
    return found


def compare(
    peers: dict[str, tuple[Peer, Path]],
    *,
    place: Path,
    upstream: str,
    cores: Cores,
    seconds: float,
    connections: int,
    rounds: int,
    say: Callable[[str], None],
) -> dict[str, list[Cost]]:
    """Return what each round cost, by name; one that does not answer is said and left out.

    Args:
        place: an empty folder.
        seconds: of whole answers, for each in each round.
    """
    with contextlib.ExitStack() as owned:
        targets: dict[str, tuple[int, str, tuple[str, ...], bool]] = {}
        home = place / OURS
        home.mkdir()
        pid, port = owned.enter_context(running_gateway(home, upstream=upstream, core=cores.gateway))
        move_redis(pid, core=cores.others)
        targets[OURS] = (pid, f"http://127.0.0.1:{port}", ("--key", KEY), True)
        for name, (peer, folder) in peers.items():
            own = place / name
            own.mkdir()
            try:
                pid, url, headers = owned.enter_context(_running(peer, folder, own, upstream, cores))
            except BenchError as error:
                say(f"{name} is left out: {error}")
                continue
            targets[name] = (pid, url, tuple(flag for header in headers for flag in ("--header", header)), peer.streams)
        costs: dict[str, list[Cost]] = {name: [] for name in targets}
        for number in range(rounds + 1):  # the first one warms up
            say(f"round {number} of {rounds}")
            order = list(targets.items())
            for name, (pid, url, flags, streams) in order if number % 2 else reversed(order):
                load = ("--connections", str(connections), "--seconds", str(seconds if number else 1.0), *flags)
                cost = _cost(pid, url, load, flags, streams=streams and number > 0, core=cores.others)
                if number:
                    costs[name].append(cost)
    return costs


def measure_peers(*, seconds: float, connections: int, rounds: int, say: Callable[[str], None]) -> Report:
    """Install the peers, where that was not done before, and compare.

    Raises:
        BenchError: our own gateway did not come up, or gave nothing to measure.
    """
    cores = free_cores()
    busy = os.getloadavg()[0]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    peers = installed(PEERS, home=cache / "tandem-bench", say=say)
    with tempfile.TemporaryDirectory(prefix="tandem-bench-") as folder, running_upstream(cores.others) as upstream:
        costs = compare(
            peers,
            place=Path(folder),
            upstream=upstream,
            cores=cores,
            seconds=seconds,
            connections=connections,
            rounds=rounds,
            say=say,
        )
    details: dict[str, object] = {
        "connections": connections,
        "median": {name: _median(found) for name, found in costs.items() if found},
        "left_out": [peer.name for peer in PEERS if peer.name not in costs],
        "first_error": "",
    }
    return Report(goals=goals_of(costs, peers), details=details, machine=machine(cores, busy=busy))


def _median(found: list[Cost]) -> dict[str, float]:
    chunks = [cost.chunk_us for cost in found if cost.chunk_us is not None]
    return {
        "request_us": statistics.median(cost.request_us for cost in found),
        **({"chunk_us": statistics.median(chunks)} if chunks else {}),
        "rss_mb": statistics.median(cost.rss_mb for cost in found),
    }


def goals_of(costs: dict[str, list[Cost]], peers: dict[str, tuple[Peer, Path]]) -> tuple[Goal, ...]:
    """Return our share of each one's CPU, the median of the rounds, beside its goal."""
    goals = []
    ours = costs[OURS]
    for name, theirs in costs.items():
        if name == OURS:
            continue
        ratio = statistics.median(mine.request_us / other.request_us for mine, other in zip(ours, theirs, strict=True))
        goals.append(at_most(f"cpu_per_request_vs_{name}", round(ratio, 4), round(peers[name][0].at_most, 4)))
    routers = [name for name in ("sglang-router", "vllm-router") if name in costs]
    for name in routers:
        pairs = [(mine.chunk_us, other.chunk_us) for mine, other in zip(ours, costs[name], strict=True)]
        ratio = statistics.median(mine / other for mine, other in pairs if mine and other)
        goals.append(at_most(f"cpu_per_chunk_vs_{name}", round(ratio, 3), 1.0))
    return tuple(goals)


def _cost(pid: int, url: str, load: Sequence[str], flags: Sequence[str], *, streams: bool, core: int) -> Cost:
    before, _ = used(pid)
    whole = run_load(f"{url}{CHAT}", *load, core=core)
    time.sleep(_SETTLE)
    after, rss = used(pid)
    chunk = None
    if streams:
        begun = ("--connections", str(STREAMS), "--streams", "1", "--chunks", str(CHUNKS), *flags)
        streamed = run_load(f"{url}{CHAT}", *begun, core=core)
        time.sleep(_SETTLE)
        chunk = (used(pid)[0] - after) * 1e6 / (streamed["requests"] * CHUNKS)
    return Cost(
        request_us=round((after - before) * 1e6 / whole["requests"], 1),
        chunk_us=None if chunk is None else round(chunk, 1),
        rss_mb=round(rss / 1e6, 1),
    )


@contextlib.contextmanager
def _running(
    peer: Peer, folder: Path, place: Path, upstream: str, cores: Cores
) -> Iterator[tuple[int, str, tuple[str, ...]]]:
    """Run a peer; yields its process, its address and what its requests need."""
    port = _free_pair()
    started = peer.start(folder, place, port, upstream)
    url = f"http://127.0.0.1:{port}"
    with (place / "log").open("wb") as log, pinned(cores.gateway):
        process = subprocess.Popen(
            started.command, stdout=log, stderr=log, cwd=place, env={**os.environ, **started.environment}
        )
    try:
        flags = [flag for header in started.headers for flag in ("--header", header)]
        until, seen = time.monotonic() + _START_LIMIT, "nothing"
        while True:
            try:
                run_load(f"{url}{CHAT}", "--connections", "1", "--seconds", "0.05", *flags, core=cores.others)
                break
            except BenchError as error:
                seen = str(error)
            if time.monotonic() > until or process.poll() is not None:
                tail = (place / "log").read_text(encoding="utf-8", errors="replace")[-300:]
                raise BenchError(f"it gave no right answer ({seen[-200:]}); its log ends with: {tail}")
            time.sleep(0.5)
        read_tree(process.pid)
        yield process.pid, url, started.headers
    finally:
        stop(process)


def _free_pair() -> int:
    """Return a port that was free a moment ago, as was the next one."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            with contextlib.suppress(OSError, OverflowError):
                second.bind(("127.0.0.1", port + 1))
                return port
