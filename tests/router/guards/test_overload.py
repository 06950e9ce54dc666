"""Tests router/guards/overload.py."""

import pytest

from router.base import Tier, Unavailable
from router.guards.overload import FORGET_AFTER, TRY_EVERY, Crowd, Overload


class Clock:
    """Stands still until it is moved."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def crowded(overload: Overload, *, inside: int) -> Crowd:
    """Let so many of one tenant in, of which the last one finds no room and leaves."""
    crowds = [overload.enter("acme") for _ in range(inside)]
    crowd = crowds[-1]
    assert crowd is not None
    overload.note(crowd, None)
    crowd.leave()
    return crowd


def test_no_more_are_let_in_than_those_that_had_room_and_other_tenants_are() -> None:
    clock = Clock()
    overload = Overload(clock)
    crowd = crowded(overload, inside=4)
    assert overload.enter("acme") is None
    with pytest.raises(Unavailable) as caught:
        overload.admit("acme")
    assert (caught.value.status, caught.value.code, caught.value.retry_after) == (503, "overloaded", 1.0)
    overload.admit("other")
    assert overload.enter("other") is not None
    crowd.leave()
    overload.admit("acme")
    assert overload.enter("acme") is crowd
    assert overload.enter("acme") is None


def test_one_more_is_let_in_now_and_then_and_stays_where_it_finds_room() -> None:
    clock = Clock()
    overload = Overload(clock)
    crowd = crowded(overload, inside=4)
    clock.now += 10 * TRY_EVERY
    overload.admit("acme")
    assert [overload.enter("acme") for _ in range(3)] == [crowd, None, None]
    overload.note(crowd, None)
    crowd.leave()
    assert crowd.most == 3
    clock.now += TRY_EVERY
    assert overload.enter("acme") is crowd
    assert crowd.most == 4


def test_all_are_let_in_again_when_long_enough_nobody_was_without_room() -> None:
    clock = Clock()
    overload = Overload(clock)
    assert not overload.is_near
    crowded(overload, inside=2)
    assert overload.is_near
    clock.now += FORGET_AFTER
    assert None not in [overload.enter("acme") for _ in range(9)]
    assert not overload.is_near


def test_one_full_tier_shuts_nobody_out() -> None:
    overload = Overload(Clock())
    crowd = overload.enter("acme")
    assert crowd is not None
    overload.note(crowd, Tier.LARGE)
    crowd.leave()
    overload.admit("acme")
    assert overload.enter("acme") is crowd
