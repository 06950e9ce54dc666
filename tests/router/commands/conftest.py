"""The program in a process of its own, as a shell starts it."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

Tandem = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def tandem(tmp_path: Path) -> Tandem:
    """Run `tandem` with arguments, in an empty folder."""

    def call(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "router", *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1", "NO_COLOR": "1", **more},
        )

    return call
