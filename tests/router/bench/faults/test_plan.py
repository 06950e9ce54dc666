"""Tests `router/bench/faults/plan.py`."""

from collections import Counter

import pytest

from router.bench.faults.asking import body_of
from router.bench.faults.plan import TENANTS, is_faulty, mixed, plain
from router.bench.faults.plays import PLAYS


def test_a_seed_gives_the_same_plan_again_and_another_one_another() -> None:
    assert mixed(7, 500) == mixed(7, 500)
    assert mixed(7, 500) != mixed(8, 500)


def test_every_play_and_every_event_has_its_turn() -> None:
    plan = mixed(1, 2_000)
    assert {play for asked in plan.asked for play in asked.plays} == PLAYS.keys() - {"work"}
    assert len({(event.target, event.fault) for event in plan.events}) >= 15
    assert {event.target for event in mixed(1, 2_000, has_redis=False).events} == {
        "large", "mini", "large-2", "mini-2",
    }  # fmt: skip


def test_short_plans_have_twenty_faults_in_them() -> None:
    plan = mixed(1, 1_000)
    assert len({play for asked in plan.asked if is_faulty(asked) for play in asked.plays}) >= 20
    assert 0.3 < sum(map(is_faulty, plan.asked)) / 1_000 < 0.7


def test_each_request_has_an_id_of_its_own_and_twins_share_their_body() -> None:
    plan = mixed(3, 2_000)
    assert len({asked.id for asked in plan.asked}) == 2_000
    assert {asked.tenant for asked in plan.asked} == set(TENANTS)
    ((nonce, times),) = Counter(asked.nonce for asked in plan.asked).most_common(1)
    assert times > 1
    assert len({body_of(asked) for asked in plan.asked if asked.nonce == nonce}) == 1


def test_idempotency_keys_come_twice_and_can_be_left_out() -> None:
    keys = Counter(asked.key for asked in mixed(1, 2_000).asked if asked.key)
    assert set(keys.values()) == {1, 2}
    assert not any(asked.key for asked in mixed(1, 2_000, has_keys=False).asked)


@pytest.mark.parametrize("leaves", [0.0, 1.0])
def test_a_plain_plan_has_no_fault_but_callers_who_leave(leaves: float) -> None:
    plan = plain(1, 300, leaves=leaves)
    assert not any(map(is_faulty, plan.asked))
    assert {asked.leave is not None for asked in plan.asked} == {leaves == 1.0}
