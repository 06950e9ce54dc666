"""Tests router/quality/assessor.py."""

import asyncio

import pytest

from router.base import Assessment, Request, Tier
from router.quality import assessor as module
from router.quality.assessing import assess
from router.quality.assessor import Assessor, Budget, flags_of
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


async def test_after_each_look_it_rests_as_its_share_asks() -> None:
    assessor = Assessor(Budget(share=0.05), ledger=Kept(), loop=asyncio.get_running_loop())
    assessor.tell(request_of(), Tier.MINI, LOOP)
    await until_told(assessor, 1)
    took = assessor._look((request_of(), Tier.MINI, LOOP))
    before = assessor._rests_until
    again = assessor._look((request_of(), Tier.MINI, LOOP))
    assert took > 0
    assert assessor._rests_until - before == pytest.approx(19 * again, rel=0.5)
    await assessor.aclose()


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


async def test_a_fuller_assessment_is_not_replaced() -> None:
    kept = Kept()
    loop = asyncio.get_running_loop()
    assessor = Assessor(Budget(share=1.0), ledger=kept, loop=loop, is_compared={"a"}.__contains__)
    for name in "ab":
        assessor.tell(request_of(name), Tier.MINI, LOOP)
    await until_told(assessor, 2)
    await assessor.aclose()
    assert [each.request_id for each in kept.found] == ["b"]
