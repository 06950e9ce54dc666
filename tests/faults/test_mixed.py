"""A thousand requests with every fault there is, and replicas that go away: the three books must agree.

router/bench/faults/mixed.py, router/bench/faults/house.py
"""

import pytest

from router.bench.faults.base import Report
from router.bench.faults.house import House
from router.bench.faults.mixed import run_plan
from router.bench.faults.plan import Event, Plan, mixed, plain
from tests.faults.conftest import quiet

pytestmark = pytest.mark.asyncio(loop_scope="session")
REQUESTS = 1_000
OF_A_QUIET_MACHINE = {"calls_a_request", "fine_but_failed_share"}
"""Goals that a loaded machine misses: all of its backends look slow."""


def told(report: Report) -> str:
    """Return what is wrong, as the command prints it."""
    missed = [f"{goal.name} {goal.value:g}" for goal in report.goals if not goal.met]
    found = [f"seed {report.seed}, {each.kind}, {each.request}: {each.what}" for each in report.findings]
    return "\n".join([*missed, *found, *(line for each in report.findings[:3] for line in each.books)])


async def test_a_thousand_requests_with_every_fault_lose_double_hang_and_truncate_nothing(house: House) -> None:
    plan = mixed(1, REQUESTS, has_redis="redis" in house.proxies)
    report = await run_plan(plan, house, say=quiet)
    if report.skipped:
        pytest.skip("; ".join(report.skipped))
    missed = [goal.name for goal in report.goals if not goal.met and goal.name not in OF_A_QUIET_MACHINE]
    assert not missed, told(report)


@pytest.mark.parametrize("fault", ["refuse", "reset", "blackhole"])
async def test_no_request_fails_while_one_replica_lives(fault: str, house: House) -> None:
    seed = 100 + len(fault)  # no two tests of one gateway ask the same
    asked = plain(seed, 80, plays=("ok",), leaves=0.0).asked
    asked = tuple(each for each in asked if not each.stream or fault == "refuse")  # a stream that has begun may be cut
    plan = Plan(seed, asked, (Event(10, "mini-2", fault, 0.3), Event(10, "large-2", fault, 0.3)))
    report = await run_plan(plan, house, say=quiet, callers=8)
    assert not report.findings, told(report)
    books = report.books["client"]
    assert isinstance(books, dict)
    assert books["by_status"] == {"200": len(asked)}
