"""The fault backend of one tier, as a process."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from router.bench.companions import ROOT, stop
from router.bench.faults.asking import Address
from router.bench.faults.base import Served
from router.bench.faults.books import read_backend


@dataclass(frozen=True)
class Running:
    """Where it listens, and what it writes."""

    address: Address
    book: Path

    def calls(self, name: str) -> tuple[Served, ...]:
        return read_backend(self.book).get(name, ())


@pytest.fixture(scope="session")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    book = tmp_path_factory.mktemp("backend") / "book.jsonl"
    command = [
        sys.executable,
        "-m",
        "router.bench.faults.backend",
        "--tier",
        "mini",
        "--book",
        str(book),
        "--port",
        "0",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True)
    assert process.stdout is not None
    (port,) = json.loads(process.stdout.readline())["ports"]
    # The bench's callers ask for the gateway's path, which ends in that of a backend.
    yield Running(Address("127.0.0.1", port, {"acme": "key", "rival": "other"}, deadline=0.6), book)
    stop(process)
