"""The wall clock jumps while requests are under way, and nothing that waits or lasts follows it.

router/pipeline.py, router/account.py, backends/pool.py
"""

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from router.bench.faults.asking import Caller
from router.bench.faults.base import OK, Asked, End, Got
from router.bench.faults.books import read_books
from router.bench.faults.checking import check
from router.bench.faults.house import SPANS, House
from router.bench.faults.plan import plain
from router.bench.faults.seen import read
from tests.faults.conftest import Clock

pytestmark = pytest.mark.asyncio(loop_scope="session")
JUMPS = {"now": 0.0, "two hours on": 7_200.0, "thirty days back": -30 * 86_400.0}


def asked(name: str, play: str, *, stream: bool) -> Asked:
    (one,) = plain(1, 1, leaves=0.0).asked
    return replace(
        one, id=name, nonce=play, model="large", stream=stream, large=(play,), mini=(play,), slowly=False, key=""
    )


async def ask(house: House, one: Asked) -> Got:
    caller = Caller(house.address)
    got = await caller.ask(one)
    caller.close()
    await asyncio.sleep(0)
    return got


async def test_a_clock_that_jumps_ends_no_stream_moves_no_deadline_and_forgets_no_reply(
    house: House, clock: Clock
) -> None:
    got: list[Got] = []
    drip = asyncio.create_task(ask(house, asked("clock-drip", "drip", stream=True)))  # goes on through all jumps
    for number, seconds in enumerate(JUMPS.values()):
        begun = [asked(f"clock-{play}-{number}", play, stream=True) for play in ("long", "hang")]
        running = [asyncio.create_task(ask(house, replace(each, nonce=each.id))) for each in begun]
        await asyncio.sleep(0.1)
        clock.set(seconds)
        got.append(await ask(house, asked(f"clock-kept-{number}", "ok", stream=False)))
        assert got[-1].headers["x-tandem-cache"] == ("miss" if number == 0 else "hit")
        long, hang = await asyncio.gather(*running)
        assert read(long).is_complete
        assert hang.end is End.CUT
        assert SPANS["idle_timeout"] - 0.1 < hang.ended - hang.began < SPANS["idle_timeout"] + 1  # its silence
        got += [long, hang]
    got.append(await drip)
    clock.set(0.0)
    assert got[-1].end is End.CUT
    assert house.address.deadline - 0.1 < got[-1].ended - got[-1].began < house.address.deadline + 1
    await asyncio.sleep(0.3)
    books = read_books(got, backend=house.book, ledger=house.ledger)
    with closing(sqlite3.connect(house.ledger)) as connection:
        found = "FROM requests WHERE caller_id LIKE 'clock-%'"
        durations = [seconds for (seconds,) in connection.execute(f"SELECT duration {found}")]
        started = [seconds for (seconds,) in connection.execute(f"SELECT started {found} ORDER BY started")]
    assert check(books) == ()
    assert {each.status for each in got} == {OK}
    assert all(0 <= seconds < 5 for seconds in durations)
    assert started[-1] - started[0] > 30 * 86_400  # the jumps were seen
