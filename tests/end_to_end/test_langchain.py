"""LangChain's own standard integration tests for its OpenAI classes, against a running Tandem.

They run in an environment of their own, which is made anew and takes packages from a registry; so only where
TANDEM_CLIENTS is set.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end.conftest import SUITE_KEY, Wired

PACKAGES = ("langchain-openai", "langchain-tests", "pytest", "pytest-asyncio")
OPTIONS = (  # LangChain keeps one client for all tests, so that they need one loop
    "-q --noconftest -p no:cacheprovider -c /dev/null -o asyncio_mode=auto"
    " -o asyncio_default_test_loop_scope=session -o asyncio_default_fixture_loop_scope=session"
)
TESTS = Path(__file__).with_name("langchain_standard.py")
MADE_WITHIN = 240  # seconds
ENDED_WITHIN = 120  # seconds
FEWEST = 80  # tests that must pass


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """Return the interpreter of an environment that has LangChain."""
    if "TANDEM_CLIENTS" not in os.environ:
        pytest.skip("NOT PROVEN: LangChain's tests want an environment of their own; set TANDEM_CLIENTS=1 to run them")
    interpreter = tmp_path / "environment" / "bin" / "python"
    for command in (
        [sys.executable, "-m", "venv", str(interpreter.parents[1])],
        [str(interpreter), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES],
    ):
        try:
            subprocess.run(command, check=True, timeout=MADE_WITHIN, capture_output=True)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            pytest.skip(f"NOT PROVEN: LangChain could not be installed ({type(error).__name__}): no registry?")
    return interpreter


def test_every_standard_test_passes(python: Path, wired: Wired, tmp_path: Path) -> None:
    ended = subprocess.run(
        [str(python), "-m", "pytest", *OPTIONS.split(), f"--rootdir={tmp_path}", str(TESTS)],
        env={**os.environ, "TANDEM_URL": wired.url, "TANDEM_KEY": SUITE_KEY, "LANGSMITH_TRACING": "false"},
        cwd=tmp_path,
        check=False,
        timeout=ENDED_WITHIN,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout[-8_000:] + ended.stderr[-2_000:]
    passed = int(ended.stdout.rsplit(" passed", 1)[0].split()[-1])
    assert passed >= FEWEST, ended.stdout
