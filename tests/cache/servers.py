"""Servers of tests: one that hangs for a while, one on TCP."""

import os
import signal
import socket
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from cache.supervisor import PrivateRedis, find_binary


@contextmanager
def paused(server: PrivateRedis) -> Generator[None]:
    assert server.pid
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def tcp_server(port: int, folder: Path, *more: str) -> Generator[subprocess.Popen[bytes]]:
    binary = find_binary()
    assert binary
    settings = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder), *more]
    with subprocess.Popen([binary, *settings], stdout=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()
