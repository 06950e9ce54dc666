"""The gateway is killed under load: router/bench/faults/kills.py."""

import pytest

from router.bench.faults.house import House
from router.bench.faults.kills import READY_WITHIN, kill_under_load
from tests.faults.conftest import quiet
from tests.faults.test_mixed import told


@pytest.mark.asyncio(loop_scope="session")
async def test_a_kill_loses_and_doubles_nothing_and_the_gateway_is_back_in_time(house: House) -> None:
    report = await kill_under_load(house, seed=1, kills=1, say=quiet, callers=12)
    wrong = [goal for goal in report.goals if not goal.met and goal.name != "ready_again_s"]
    assert not wrong, told(report)
    (ready,) = [goal.value for goal in report.goals if goal.name == "ready_again_s"]
    assert ready < 3 * READY_WITHIN  # a loaded machine starts nothing quickly; the command's own goal is 3 s
