"""The process around the gateway: full disks, descriptors, names that do not resolve, signals.

router/commands/serve.py, router/listener.py, router/bench/faults/house.py
"""

import asyncio
import contextlib
import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncGenerator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from router.bench.faults.asking import Caller
from router.bench.faults.base import OK, Asked, End, Got
from router.bench.faults.books import read_books
from router.bench.faults.checking import check
from router.bench.faults.house import House, open_files, open_house
from router.bench.faults.plan import plain
from router.bench.faults.seen import read
from router.bench.process import read_process

DRAIN = 0.8
SIZE = 24 << 20  # bytes of the file system: the write-ahead file alone grows to 8 MiB
NOWHERE = "http://no-such-host.invalid:8000/v1"

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path | None]:
    """Mount a file system of a few bytes; None where that cannot be done."""
    folder = tmp_path_factory.mktemp("disk")
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        yield None
        return
    made = subprocess.run(
        [mount, "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", folder], capture_output=True, check=False
    )
    if made.returncode:
        yield None
        return
    yield folder
    subprocess.run([Path(mount).with_name("umount"), "-l", folder], check=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(small_disk: Path | None, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[House]:
    """Open a house whose log disk is full, whose ledger's soon may be, and one of whose backends has no address."""

    def change(house: House) -> None:
        house.log.symlink_to("/dev/full")
        house.configuration["cache"] = {"enabled": False}
        house.configuration["server"]["drain_timeout"] = DRAIN
        if small_disk is not None:
            house.configuration["ledger"]["path"] = str(small_disk / "ledger.db")
        mini = house.configuration["backends"]["mini"]
        mini["urls"] = [NOWHERE, mini["urls"][0]]

    async with open_house(tmp_path_factory.mktemp("process"), has_redis=False, change=change) as opened:
        yield opened


def asked(name: str, play: str, *, stream: bool = False, model: str = "large") -> Asked:
    (one,) = plain(1, 1, leaves=0.0).asked
    return replace(
        one, id=name, nonce=name, model=model, stream=stream, large=(play,), mini=(play,), slowly=False, key=""
    )


async def ask(house: House, one: Asked) -> Got:
    caller = Caller(house.address)
    try:
        return await caller.ask(one)
    finally:
        caller.close()


async def test_with_a_full_log_disk_requests_go_on_also_those_that_have_something_to_log(house: House) -> None:
    statuses = [(await ask(house, asked(f"log-{number}-{play}", play))).status
                for number in range(3) for play in ("ok", "500", "404")]  # fmt: skip
    assert statuses == [200, 502, 404] * 3


async def test_a_name_that_does_not_resolve_is_one_replica_less(house: House) -> None:
    began = time.monotonic()
    got = await asyncio.gather(*(ask(house, asked(f"name-{number}", "ok", model="mini")) for number in range(12)))
    assert {each.status for each in got} == {OK}
    assert time.monotonic() - began < 3


def fill(folder: Path) -> Path:
    """Leave no byte on the disk of a folder."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"x" * size)
    return ballast


async def test_a_full_disk_refuses_new_requests_finishes_running_ones_and_is_left_in_time(
    house: House, small_disk: Path | None
) -> None:
    if small_disk is None:
        pytest.skip("a size-limited file system needs root and mount(8)")
    running = asyncio.create_task(ask(house, asked("full-running", "long", stream=True)))
    await asyncio.sleep(0.1)
    ballast = fill(small_disk)
    refused = [await ask(house, asked(f"full-{number}", "ok")) for number in range(36)]
    full = [each for each in refused if each.status != OK]
    assert full, "the disk took all of it"
    assert {(each.status, b"ledger_unavailable" in each.body) for each in full} == {(503, True)}
    assert all(each.headers["retry-after"].isdigit() for each in full)
    got = [*(each for each in refused if each.status == OK), await running]
    assert got[-1].status == OK
    ballast.unlink()
    began = time.monotonic()
    while (back := await ask(house, asked(f"back-{time.monotonic_ns()}", "ok"))).status != OK:
        assert time.monotonic() - began < 2, back.body
        await asyncio.sleep(0.05)
    await asyncio.sleep(1.0)  # what the disk refused is tried again every half second
    books = read_books([*got, back], backend=house.book, ledger=small_disk / "ledger.db")
    assert check(books) == ()
    assert None not in [record.outcome for each in books.ledger.values() for record in each]


async def test_without_descriptors_nobody_new_is_served_nothing_spins_and_it_passes(house: House) -> None:
    pid = house.process("gateway").pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    kept = Caller(house.address)
    assert (await kept.ask(asked("kept-1", "ok"))).status == OK
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (open_files(pid) + 20, before[1]))
    idle = [await asyncio.open_connection("127.0.0.1", house.port) for _ in range(80)]
    cpu = read_process(pid).cpu
    await asyncio.sleep(0.7)
    assert read_process(pid).cpu - cpu < 0.3
    assert (await kept.ask(asked("kept-2", "ok"))).status == OK  # who was let in before is served as ever
    for _, writer in idle:
        writer.close()
    began = time.monotonic()
    while (await ask(house, asked(f"new-{time.monotonic_ns()}", "ok"))).status != OK:
        assert time.monotonic() - began < 2
        await asyncio.sleep(0.05)
    kept.close()
    resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


async def test_told_to_stop_it_finishes_what_it_can_breaks_the_rest_aloud_and_records_all(house: House) -> None:
    finishing = [asked(f"long-{number}", "long", stream=True) for number in range(4)]
    breaking = [asked(f"drip-{number}", "drip", stream=True) for number in range(4)]
    running = [asyncio.create_task(ask(house, each)) for each in (*finishing, *breaking)]
    await asyncio.sleep(0.2)
    gateway = house.process("gateway")
    began = time.monotonic()
    gateway.send_signal(signal.SIGTERM)
    await asyncio.sleep(0.3)
    late = await ask(house, asked("late", "ok"))
    assert late.end is End.REFUSED or late.status == 503
    got = await asyncio.gather(*running)
    while gateway.poll() is None and time.monotonic() - began < 5:
        await asyncio.sleep(0.02)
    assert time.monotonic() - began < DRAIN + 1
    assert gateway.returncode == 0
    ledger = Path(house.configuration["ledger"]["path"])
    books = read_books(got, backend=house.book, ledger=ledger)
    assert all(read(each).is_complete for each in got[:4])
    assert [(each.end, bool(read(each).error)) for each in got[4:]] == [(End.CUT, True)] * 4, got[4].body[-200:]
    outcomes = {name: [record.outcome for record in records] for name, records in books.ledger.items()}
    assert [outcomes[each.id] for each in finishing] == [["answered"]] * 4
    assert all(len(outcomes[each.id]) == 1 and None not in outcomes[each.id] for each in breaking)
