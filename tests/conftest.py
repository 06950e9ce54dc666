"""What every process of the suite pays for: compiled modules are kept, and collected tests are not collected again."""

import gc
import os
import sys
from collections.abc import Generator

import pytest

# Some machines forbid Python to keep what it compiled. Each of the hundred programs that tests start would then compile
# the gateway and its libraries anew, which takes longer than most of them run.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the garbage collector from walking, again and again, the thousands of tests that stay until the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()
