"""Tests router/quality/assessor.py."""

import asyncio
import time

import pytest

from router.base import Assessment, Request, Tier
from router.quality import assessor as module
from router.quality.assessing import assess
from router.quality.assessor import AT_ONCE, HANDED_ON, Assessor, Budget, Idleness, _Waiting, flags_of
from tests.router.quality.asked import body_of, request_of

LOOP = body_of("I am not sure about that. " * 12)


class Kept:
    """A ledger's side that assessments are given to."""

    def __init__(self) -> None:
        self.found: list[Assessment] = []

    def assess(self, assessment: Assessment) -> None:
        """Keep it; it must come on the loop."""
        assert asyncio.get_running_loop()
        self.found.append(assessment)


async def until_told(assessor: Assessor, count: int) -> None:
    async with asyncio.timeout(5):
        while sum(assessor.results.values()) < count:
            await asyncio.sleep(0.01)


async def test_replies_are_looked_at_beside_the_loop_and_kept_on_it() -> None:
    kept = Kept()
    assessor = Assessor(Budget(share=1.0), ledger=kept, loop=asyncio.get_running_loop())
    for number in range(3):
        assessor.tell(request_of(f"r{number}"), Tier.MINI, LOOP)
    assessor.tell(request_of("r3"), Tier.LARGE, body_of("Fine."))
    assessor.tell(request_of("r4"), Tier.LARGE, b"no completion")
    assessor.tell(request_of("r5"), Tier.LARGE, None)
    await until_told(assessor, 6)
    await assessor.aclose()
    assert [each.request_id for each in kept.found] == ["r0", "r1", "r2", "r3"]
    assert assessor.results == {"assessed": 4, "queue_full": 0, "too_long": 1, "unreadable": 1, "left": 0}
    assert assessor.flags["mini", "repetitive"] == 3
    assert flags_of(kept.found[0]) == (True, False, False, False, False)


async def test_what_finds_the_queue_full_is_counted_and_let_go() -> None:
    assessor = Assessor(Budget(share=1e-6, waiting=4), ledger=Kept(), loop=asyncio.get_running_loop())
    assessor._rests_until = float("inf")
    for number in range(10):
        assessor.tell(request_of(f"r{number}"), Tier.MINI, LOOP)
    await assessor.aclose()
    assert (assessor.results["queue_full"], assessor.results["left"]) == (6, 4)


async def test_so_many_bytes_may_wait_and_no_more() -> None:
    assessor = Assessor(Budget(waiting_bytes=len(LOOP)), ledger=Kept(), loop=asyncio.get_running_loop())
    assessor._rests_until = float("inf")
    for number in range(3):
        assessor.tell(request_of(f"r{number}"), Tier.MINI, LOOP)
    await assessor.aclose()
    assert assessor.results["queue_full"] == 2


async def test_what_is_verified_is_looked_at_whatever_the_share_and_at_the_end() -> None:
    kept = Kept()
    assessor = Assessor(Budget(share=1e-6), ledger=kept, loop=asyncio.get_running_loop())
    assessor._rests_until = float("inf")
    assessor.tell(request_of("other"), Tier.MINI, LOOP)
    for number in range(5):
        asked = request_of(f"r{number}", response_format={"type": "json_object"})
        assessor.tell(asked, Tier.MINI, body_of("no json"))
    await assessor.aclose()
    assert {each.request_id for each in kept.found} == {f"r{number}" for number in range(5)}
    assert all((each.checks, each.failed_checks) == (1, 1) for each in kept.found)
    assert assessor.flags["mini", "failed_check"] == 5


@pytest.mark.parametrize(("idle", "rests"), [(1.0, 19), (0.5, 39), (0.0, 99)])
async def test_after_each_look_it_rests_as_its_share_of_what_is_idle_asks(idle: float, rests: int) -> None:
    loop = asyncio.get_running_loop()
    assessor = Assessor(Budget(share=0.05), ledger=Kept(), loop=loop, idle=lambda: idle)
    assessor.tell(request_of(), Tier.MINI, LOOP)
    await until_told(assessor, 1)
    took = assessor._look((request_of(), Tier.MINI, LOOP))
    before = assessor._rests_until
    again = assessor._look((request_of(), Tier.MINI, LOOP))
    assert took > 0
    assert assessor._rests_until - before == pytest.approx(rests * again, rel=0.5)
    await assessor.aclose()


def test_a_process_that_works_all_the_time_leaves_nothing_idle() -> None:
    idle = Idleness()
    time.sleep(0.02)
    assert idle() > 0.5
    until = time.thread_time() + 0.02
    while time.thread_time() < until:
        pass
    assert idle() < 0.9


async def test_a_mistake_in_one_look_ends_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, real = Kept(), assess

    def odd(request: Request, tier: Tier, body: bytes) -> Assessment | None:
        if body == b"odd":
            raise ZeroDivisionError
        return real(request, tier, body)

    monkeypatch.setattr(module, "assess", odd)
    assessor = Assessor(Budget(share=1.0), ledger=kept, loop=asyncio.get_running_loop())
    assessor.tell(request_of("a"), Tier.MINI, b"odd")
    assessor.tell(request_of("b"), Tier.MINI, LOOP)
    await until_told(assessor, 2)
    await assessor.aclose()
    assert [each.request_id for each in kept.found] == ["b"]
    assert assessor.results["unreadable"] == 1


class Counting(Assessor):
    """Counts how often it looks for a reply."""

    looks = 0

    def _take(self) -> _Waiting | None:
        self.looks += 1
        return super()._take()

    async def until_idle(self) -> None:
        """Wait until it has found nothing to do, and done what it does then."""
        looks = self.looks
        async with asyncio.timeout(5):
            while self.looks < looks + 3:
                await asyncio.sleep(0.001)


async def test_what_is_found_soon_after_is_handed_on_together_a_second_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.001)
    kept = Kept()
    assessor = Counting(Budget(share=1.0), ledger=kept, loop=asyncio.get_running_loop())
    assessor.tell(request_of("first"), Tier.MINI, LOOP)
    await until_told(assessor, 1)
    await assessor.until_idle()
    assert [each.request_id for each in kept.found] == ["first"]
    assert 0 < assessor._hands_on_at - time.monotonic() <= HANDED_ON
    assessor._hands_on_at = float("inf")  # so that nothing depends on how long this takes
    for number in range(AT_ONCE - 1):
        assessor.tell(request_of(f"r{number}"), Tier.MINI, body_of("Fine."))
    await until_told(assessor, AT_ONCE)
    await assessor.until_idle()
    assert len(kept.found) == 1, "a row on its own costs the ledger as much as many"
    assessor.tell(request_of("last"), Tier.MINI, body_of("Fine."))
    await until_told(assessor, AT_ONCE + 1)
    await assessor.until_idle()
    assert len(kept.found) == AT_ONCE + 1, "so many are handed on at once"
    await assessor.aclose()


async def test_a_fuller_assessment_is_not_replaced() -> None:
    kept = Kept()
    loop = asyncio.get_running_loop()
    assessor = Assessor(Budget(share=1.0), ledger=kept, loop=loop, is_compared={"a"}.__contains__)
    for name in "ab":
        assessor.tell(request_of(name), Tier.MINI, LOOP)
    await until_told(assessor, 2)
    await assessor.aclose()
    assert [each.request_id for each in kept.found] == ["b"]
