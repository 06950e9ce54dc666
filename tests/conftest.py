"""What every process of the suite would pay for again and again: compiling, certificates, torch, walking what stays."""

import gc
import os
import signal
import sys
from collections.abc import Generator, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import httpcore2
import pytest

from tests.sharing import Sharing, instruct, is_left, is_shared

# Some machines forbid Python to keep what it compiled. Each of the hundred programs that tests start would then compile
# the gateway and its libraries anew, which takes longer than most of them run.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Each client reads all certificates of the machine when it is made, which takes longer than most of its requests.
httpcore2.default_ssl_context = cache(httpcore2.default_ssl_context)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the garbage collector from walking, again and again, the thousands of tests that stay until the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Sharing | None:
    return Sharing(config, log) if is_shared(config) else None


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    if is_shared(node.config):
        instruct(node)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return True if is_left(collection_path, config) else None


@pytest.fixture
def in_time() -> Iterator[None]:
    """Fail what waits for a pipe or reads a device without end, instead of all tests after it."""
    before = signal.signal(signal.SIGALRM, lambda *_: pytest.fail("it was waited for what never comes"))
    signal.setitimer(signal.ITIMER_REAL, 10.0)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0.0)
    signal.signal(signal.SIGALRM, before)
