"""Tests router/endpoints/deadlines.py, and that chat is bound by it."""

import asyncio
import time

import pytest

from router.endpoints import deadlines as tested
from router.endpoints.deadlines import Deadlines
from tests.router.conftest import Served
from tests.router.scripted import EVENTS

_ASKED = b'{"model":"mini","stream":true,"messages":[{"role":"user","content":"hi"}]}'


class Counted:
    """Counts how often it was told."""

    told = 0

    def expire(self) -> None:
        self.told += 1


@pytest.fixture(autouse=True)
def _at_a_quick_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tested, "TICK", 0.02)


async def test_who_is_late_is_told_once_and_nobody_else() -> None:
    limits, late, early, free = Deadlines(), Counted(), Counted(), Counted()
    now = time.monotonic()
    limits.bind(free, until=now)
    limits.bind(late, until=now + 0.01)
    limits.bind(early, until=now + 60.0)
    limits.free(free)
    limits.free(free)
    await asyncio.sleep(0.1)
    assert (late.told, early.told, free.told, len(limits)) == (1, 0, 0, 1)


async def test_the_clock_rests_while_nobody_is_bound_and_runs_again_after_that() -> None:
    limits = Deadlines()
    for _ in range(2):
        late = Counted()
        limits.bind(late, until=0.0)
        await asyncio.sleep(0.1)
        assert (late.told, limits._sweeper) == (1, None)


async def test_a_caller_who_stops_reading_is_given_up_at_the_deadline(
    serve_house: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.endpoints.chat._GRACE", 0.2)
    async with serve_house(server={"request_timeout": 1.0}) as house:
        house.mini.events = (EVENTS[0] + b": " + b"x" * 500_000 + b"\n\n",) * 40 + EVENTS[1:]
        reader, writer = await asyncio.open_connection("127.0.0.1", house.client.base_url.port or 0, limit=1_000)
        head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        writer.write(head + b"content-length: %d\r\n\r\n" % len(_ASKED) + _ASKED)
        async with asyncio.timeout(5):
            while not house.mini.closed_early:
                await asyncio.sleep(0.01)
            answer = await reader.read(-1)
        writer.close()
    assert b"[DONE]" not in answer
    assert not answer.endswith(b"0\r\n\r\n")
    assert [row["outcome"] for row in house.rows()] == ["hung_up"]
