"""One gateway between fault backends, proxies and a real Redis, for all tests of this folder that do not end it.

Its wall clock is wrong by as many seconds as stand in a file. Which fault is tried where:

    answers lost, doubled, hung, cut in silence, foreign    test_mixed.py: all plays and events, by seed
    backends that refuse, hang, drip, lie, break            test_mixed.py, tests/backends/test_pool.py
    one replica away; ejection, queues, retries             test_mixed.py, tests/backends/replicas
    repeats of clients; streams cut at any byte             test_sdk.py, tests/backends/test_sse.py
    idempotency keys                                        test_mixed.py, tests/router/endpoints/test_idempotent.py
    callers who hang up anywhere, or read slowly            test_mixed.py, tests/router/test_listener.py
    kill -9; torn ledger, full disk, second writer          test_kills.py, test_ledger.py, tests/router/ledger
    Redis away, slow, full, busy, locked, wrong             test_redis.py, tests/cache/test_redis_store.py
    signals, descriptors, disks, unknown names              test_process.py
    clock                                                   test_clock.py
    configuration, at the start and again                   test_configuration.py, tests/router/config
    input byte for byte, behind proxies, by chance          test_input.py, tests/router/test_bad_input.py
    limits, budgets                                         tests/router/guards/limits
    overload, and long runs of all of it                    ./tandem test faults
"""

import os
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from router.bench.faults.house import House, open_house

CLOCK = """
import time
wall, nanoseconds = time.time, time.time_ns

def offset():
    with open({path!r}) as file:
        return float(file.read() or 0)

time.time = lambda: wall() + offset()
time.time_ns = lambda: nanoseconds() + int(offset() * 1e9)
"""


@dataclass(frozen=True)
class Clock:
    """The wall clock of the gateway; its folder holds what makes a Python heed it."""

    folder: Path

    def set(self, seconds: float) -> None:
        (self.folder / "offset").write_text(str(seconds))


@pytest.fixture(scope="session")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Clock:
    """Return a clock that is right until it is set."""
    made = Clock(tmp_path_factory.mktemp("clock"))
    made.set(0.0)
    (made.folder / "sitecustomize.py").write_text(CLOCK.format(path=str(made.folder / "offset")))
    return made


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def house(tmp_path_factory: pytest.TempPathFactory, clock: Clock) -> AsyncGenerator[House]:
    """Open the house once; its proxies live on the session's loop."""

    def change(house: House) -> None:
        house.environment["PYTHONPATH"] = os.pathsep.join((str(clock.folder), os.environ.get("PYTHONPATH", "")))

    async with open_house(tmp_path_factory.mktemp("faults"), change=change) as opened:
        yield opened


def quiet(_line: str) -> None:
    """Take what a run says of its progress."""
