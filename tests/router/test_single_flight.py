"""Tests of router/single_flight.py."""

import asyncio
import random
import time
from collections.abc import AsyncIterator

import pytest

from backends.base import Broken, DeadlineExceeded, Rejected
from cache.base import KeptReply
from router import single_flight
from router.base import Outcome, Record
from router.single_flight import Seat, SingleFlight

REPLY = KeptReply(b"{}", "application/json", "mini", "small", 1, None, 2)
KEY = b"k"


def soon(seconds: float = 5.0) -> float:
    return time.monotonic() + seconds


def record_of(outcome: Outcome) -> Record:
    return Record("r", outcome, 200, (), None, 0.1, None)


class House:
    """Asks as the pipeline does, and counts the calls of its backend."""

    def __init__(self) -> None:
        self.flights = SingleFlight()
        self.calls = 0
        self.failures: list[BaseException] = []
        self.may_be_kept = True
        self.goes_on = asyncio.Event()

    async def ask(self, key: bytes = KEY, *, until: float | None = None) -> str:
        seat = await self.flights.board(key, until=soon() if until is None else until)
        if seat.kept is not None:
            assert seat.kept is REPLY
            return "shared"
        try:
            self.calls += 1
            await self.goes_on.wait()
            self._fail()
        except BaseException as error:
            seat.fail(error)
            raise
        if self.may_be_kept:
            seat.land(REPLY)
        seat.end(record_of(Outcome.ANSWERED))
        return "called"

    def _fail(self) -> None:
        if self.failures:
            raise self.failures.pop(0)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    opened = House()
    yield opened
    assert len(opened.flights) == 0
    assert "0 waiting" in repr(opened.flights)


async def begun(house: House, times: int, **more: float) -> list[asyncio.Task[str]]:
    asked = [asyncio.create_task(house.ask(**more)) for _ in range(times)]  # type: ignore[arg-type]
    await asyncio.sleep(0.02)
    return asked


async def test_of_1000_equal_requests_one_calls_and_all_are_answered(house: House) -> None:
    asked = await begun(house, 1_000)
    house.goes_on.set()
    said = await asyncio.gather(*asked)
    assert (said.count("called"), said.count("shared"), house.calls) == (1, 999, 1)
    assert house.flights.results == {"led": 1, "shared": 999}


async def test_where_the_leader_is_killed_one_other_calls(house: House) -> None:
    asked = await begun(house, 1_000)
    asked[0].cancel()
    await asyncio.sleep(0.02)
    assert house.calls == 2
    house.goes_on.set()
    said = await asyncio.gather(*asked[1:])
    assert (said.count("called"), house.calls) == (1, 2)


async def test_other_keys_are_other_flights(house: House) -> None:
    house.goes_on.set()
    assert await asyncio.gather(*(house.ask(bytes([number])) for number in range(50))) == ["called"] * 50


async def test_who_comes_after_the_end_leads_anew(house: House) -> None:
    house.goes_on.set()
    assert [await house.ask() for _ in range(3)] == ["called"] * 3


async def test_one_failure_promotes_and_a_second_one_is_everybodys(house: House) -> None:
    house.failures = [Broken("first"), Broken("second")]
    asked = await begun(house, 100)
    house.goes_on.set()
    said = await asyncio.gather(*asked, return_exceptions=True)
    assert [str(each) for each in said] == ["first", *["second"] * 99]
    assert house.calls == 2


async def test_after_one_failure_a_reply_is_everybodys(house: House) -> None:
    house.failures = [Broken("first")]
    asked = await begun(house, 100)
    house.goes_on.set()
    said = await asyncio.gather(*asked, return_exceptions=True)
    assert (said.count("called"), said.count("shared"), house.calls) == (1, 98, 2)


async def test_what_a_backend_rejects_it_would_reject_again(house: House) -> None:
    house.failures = [Rejected(422, b"{}", "application/json")]
    asked = await begun(house, 100)
    house.goes_on.set()
    said = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(each, Rejected) for each in said)
    assert house.calls == 1


async def test_a_reply_that_may_not_be_kept_lets_all_go_on_alone(house: House) -> None:
    house.may_be_kept = False
    asked = await begun(house, 50)
    house.goes_on.set()
    assert await asyncio.gather(*asked) == ["called"] * 50
    assert house.calls == 50


async def test_each_waits_until_its_own_deadline_and_may_leave(house: House) -> None:
    leader, stays = await begun(house, 2)
    (hurried,) = await begun(house, 1, until=soon(0.05))
    (leaves,) = await begun(house, 1)
    leaves.cancel()
    with pytest.raises(DeadlineExceeded):
        await hurried
    house.goes_on.set()
    assert [await leader, await stays] == ["called", "shared"]
    assert (house.flights.results["late"], house.flights.results["left"]) == (1, 1)


async def test_whose_turn_it_was_and_who_leaves_at_that_moment_passes_it_on(house: House) -> None:
    leader, next_one, last = await begun(house, 3)
    leader.cancel()
    while not leader.done():
        await asyncio.sleep(0)
    next_one.cancel()  # told already, and not yet awake
    await asyncio.sleep(0.02)
    assert house.calls == 2
    house.goes_on.set()
    assert await last == "called"


async def test_a_slow_leader_gets_company_and_either_reply_is_everybodys(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(single_flight, "PATIENCE", 0.1)
    asked = await begun(house, 20)
    await asyncio.sleep(0.13)
    assert house.calls == 2
    house.goes_on.set()
    said = await asyncio.gather(*asked)
    assert (said.count("called"), said.count("shared")) == (2, 18)


async def test_who_was_replaced_speaks_for_nobody_when_it_fails(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(single_flight, "PATIENCE", 0.05)
    slow = await house.flights.board(KEY, until=soon())
    asked = await begun(house, 3)
    await asyncio.sleep(0.05)
    calls = house.calls
    slow.fail(Broken("old"))
    slow.leave()
    await asyncio.sleep(0.01)
    assert house.calls == calls == 1
    house.goes_on.set()
    assert (await asyncio.gather(*asked)).count("shared") >= 1


async def test_only_so_many_wait(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(single_flight, "MOST_WAITING", 3)
    asked = await begun(house, 6)
    assert house.calls == 3
    house.goes_on.set()
    assert (await asyncio.gather(*asked)).count("shared") == 3


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [(Outcome.ANSWERED, "alone"), (Outcome.HUNG_UP, "leads"), (Outcome.BROKEN, "leads"), (Outcome.FAILED, "leads")],
)
async def test_the_end_of_a_record_says_what_comes_of_who_waits(outcome: Outcome, expected: str) -> None:
    flights = SingleFlight()
    seat = await flights.board(KEY, until=soon())
    waiting = asyncio.create_task(flights.board(KEY, until=soon()))
    await asyncio.sleep(0.01)
    seat.end(record_of(outcome))
    other = await waiting
    assert expected in repr(other)
    for each in (seat, other, Seat()):
        each.end(record_of(outcome))
        each.land(REPLY)
    assert len(flights) == 0


async def test_whatever_happens_everybody_hears_something_and_nothing_is_left() -> None:
    rng = random.Random(11)
    for _ in range(30):
        house = House()
        house.failures = [Broken("x")] * rng.randrange(3)
        house.may_be_kept = rng.random() < 0.7
        asked = [asyncio.create_task(house.ask(until=soon(rng.choice((0.003, 5))))) for _ in range(40)]
        for _ in range(20):
            await asyncio.sleep(0)
            asked[rng.randrange(40)].cancel()
            if rng.random() < 0.2:
                house.goes_on.set()
        house.goes_on.set()
        async with asyncio.timeout(5):
            await asyncio.gather(*asked, return_exceptions=True)
        assert len(house.flights) == 0
