"""router/ledger/holding.py: a file belongs to one gateway, of which several processes may write."""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from router.base import Unavailable
from router.endpoints.wire import new_id
from router.ledger.holding import hold, interrupt
from router.ledger.ids import maker_of
from router.ledger.place import LedgerPlace
from router.ledger.reading import iter_requests
from router.ledger.rollup import verify
from router.ledger.writer import LedgerWriter
from tests.router.ledger.test_writer import as_rows, intent, record

_WRITES = """
import asyncio, sys
from pathlib import Path
from router.endpoints.wire import new_id
from router.ledger.writer import LedgerWriter
from tests.router.ledger.test_writer import intent, record
async def main():
    ledger = LedgerWriter(Path(sys.argv[1]), loop=asyncio.get_running_loop(), is_held=True)
    for number in range(60):
        names = [new_id() for _ in range(5)]
        await asyncio.gather(*(ledger.open(intent(name)) for name in names))
        for name in names:
            ledger.settle(record(name))
    await ledger.aclose()
asyncio.run(main())
"""


def outcomes(ledger: LedgerPlace | Path) -> dict[str, object]:
    return {row["id"]: row["outcome"] for row in iter_requests(ledger)}


async def test_processes_of_one_gateway_write_one_file_and_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    with hold(path):
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
        other = await asyncio.create_subprocess_exec(sys.executable, "-c", _WRITES, path, env=environment)
        ledger, number = LedgerWriter(path, loop=asyncio.get_running_loop(), is_held=True), 0
        while other.returncode is None:
            names = [new_id() for _ in range(5)]
            await asyncio.gather(*(ledger.open(intent(name)) for name in names))
            for name in names:
                ledger.settle(record(name))
            number += len(names)
            await asyncio.sleep(0.002)
        await ledger.aclose()
    assert other.returncode == 0
    assert list(outcomes(path).values()) == ["answered"] * (300 + number)


def test_another_gateway_is_refused_for_as_long_as_anybody_has_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    lock = hold(path)
    heir = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[lock.fileno()])
    lock.close()
    with pytest.raises(Unavailable, match="in use by another gateway"):
        hold(path)
    heir.communicate(b"\n", timeout=10)
    hold(path).close()


async def test_only_what_one_process_left_open_is_interrupted(place: LedgerPlace) -> None:
    ledger = LedgerWriter(place, loop=asyncio.get_running_loop())
    gone, mine, old = new_id(), new_id(), new_id()
    gone = f"{gone[:16]}{'d' * 10}{gone[26:]}"
    old = f"req_{0:012x}{'d' * 10}{old[26:]}"
    for name in (gone, mine, old):
        await ledger.open(intent(name))
    await as_rows(ledger)
    assert maker_of(gone) == "d" * 10 != maker_of(mine)
    assert interrupt(place, "d" * 10, since=time.time() - 60) == 1
    ledger.settle(record(gone))  # too late: what was said of it stands
    await ledger.aclose()
    assert outcomes(place) == {gone: "interrupted", mine: None, old: None}
    assert verify(place) == []


def test_what_cannot_be_opened_is_not_held(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    path.write_bytes(b"not a database" * 100)
    for _ in range(2):  # the lock of the first try is gone
        with pytest.raises(Unavailable, match="cannot be opened"):
            hold(path)
    with pytest.raises(Unavailable, match="cannot be opened"):
        interrupt(path, "d" * 10, since=0.0)
