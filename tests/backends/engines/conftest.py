"""Real weights and a real engine for the tests of this folder."""

import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def weights() -> Path:
    return _ROOT / "backends" / "engines" / "models" / "desk-mini.gguf"


@pytest.fixture(scope="session")
def server_command() -> list[str]:
    return [sys.executable, "-m", "backends.engines.server"]


@pytest.fixture(scope="session")
def root() -> Path:
    return _ROOT


@pytest.fixture
def broken_weights(weights: Path, tmp_path: Path) -> Path:
    """The magic is right and half of the rest is missing."""
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(weights.read_bytes()[:50_000])
    return broken


@pytest.fixture(scope="session")
def engine_port(weights: Path, server_command: list[str]) -> Iterator[int]:
    """One engine for all tests that only ask it something."""
    reading, writing = os.pipe()
    command = [*server_command, f"--model={weights}", "--name=desk-mini", f"--ready-fd={writing}"]
    with subprocess.Popen(command, cwd=_ROOT, pass_fds=(writing,)) as process:
        os.close(writing)
        with os.fdopen(reading) as pipe:
            assert select.select([pipe], [], [], 15)[0], "the engine did not start in 15 s"
            address = pipe.read()
        yield int(address.rpartition(":")[2])
        process.kill()
