"""Tests router/bench/offered.py."""

import pytest

from router.bench.callers import Plan
from router.bench.companions import running_upstream
from router.bench.lives import CHAT
from router.bench.load import BODY
from router.bench.offered import offer


async def test_all_that_falls_due_is_asked_and_counted() -> None:
    with running_upstream(0) as upstream:
        found = await offer(Plan(f"{upstream}{CHAT}", BODY, connections=16, seconds=0.5), rate=400.0)
    assert found.due == found.right == 200
    assert (found.refused, found.failed) == (0, 0)
    assert found.rate == pytest.approx(400.0, rel=0.05)


async def test_a_wait_for_a_free_connection_counts() -> None:
    with running_upstream(0, "--think", "0.05") as upstream:
        found = await offer(Plan(f"{upstream}{CHAT}", BODY, connections=2, seconds=0.5), rate=120.0)
    assert found.right == found.due == 60
    assert found.p50 > 0.3  # forty a second is all that two connections give, so that half of them wait long


async def test_what_nobody_answers_has_failed() -> None:
    with running_upstream(0) as upstream:
        found = await offer(Plan(f"{upstream}/nothing/here", BODY, connections=4, seconds=0.2), rate=100.0)
    assert (found.right, found.failed) == (0, 20)
    assert found.statuses == {"404": 20}
