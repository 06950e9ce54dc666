"""Tests router/guards/overload.py."""

import pytest

from router.base import Tier, Unavailable
from router.guards.overload import SHUT_FOR, Overload


class Clock:
    """Stands still until it is moved."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_who_found_no_room_is_refused_for_a_moment_and_nobody_else_is() -> None:
    clock = Clock()
    overload = Overload(clock)
    overload.admit("acme")
    overload.note("acme", None)
    with pytest.raises(Unavailable) as caught:
        overload.admit("acme")
    assert (caught.value.status, caught.value.code, caught.value.retry_after) == (503, "overloaded", 1.0)
    overload.admit("other")
    clock.now += SHUT_FOR
    overload.admit("acme")
    overload.admit("acme")


def test_one_full_tier_shuts_nobody_out() -> None:
    overload = Overload(Clock())
    overload.note("acme", Tier.LARGE)
    overload.admit("acme")
