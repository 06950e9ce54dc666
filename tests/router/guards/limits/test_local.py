"""The limits of one process, with a clock that stands still until it is moved.

router/guards/limits/local.py, router/guards/limits/tenants.py, router/guards/limits/refusals.py,
router/guards/limits/base.py
"""

import asyncio
import random

import pytest

from backends.base import Usage
from router.base import Outcome, RateLimited, Record, Remaining
from router.guards.limits.base import FORGOTTEN_AFTER, Admitted, Allowance, Span
from router.guards.limits.tenants import FREE, Tenants
from tests.router.guards.limits.asking import BOTH, Clock, limits_of, record_of, request_of

DAY = 86_400.0
KEPT = Record("r", Outcome.KEPT, 200, (), 0.1, 0.2, None)


async def admitted(limits: object, times: int, **more: object) -> list[Admitted]:
    """Return what was admitted of so many requests."""
    found = []
    for _ in range(times):
        try:
            found.append(await limits.admit(request_of(**more), BOTH))  # type: ignore[attr-defined,arg-type]
        except RateLimited:
            continue
    return found


async def test_a_minutes_worth_may_come_at_once_and_the_next_one_when_there_is_room() -> None:
    clock = Clock()
    limits, _ = limits_of(Allowance(requests=60), clock)
    assert len(await admitted(limits, 100)) == 60
    clock.now += 0.9
    assert len(await admitted(limits, 5)) == 0
    clock.now += 0.1
    assert len(await admitted(limits, 5)) == 1
    clock.now += 3_600
    assert len(await admitted(limits, 100)) == 60


async def test_in_no_stretch_of_time_more_is_admitted_than_the_limit_and_what_drains_meanwhile() -> None:
    clock, rng = Clock(), random.Random(3)
    limits, _ = limits_of(Allowance(requests=20), clock)
    moments = []
    for _ in range(3_000):
        clock.now += rng.expovariate(2.0)
        moments += [clock.now] * len(await admitted(limits, 1))
    for first in range(len(moments)):
        for last in range(first, min(first + 80, len(moments))):
            assert last - first + 1 <= 20 + 20 * (moments[last] - moments[first]) / 60 + 1e-3


async def test_one_tenants_requests_are_not_anothers() -> None:
    limits, _ = limits_of(Allowance(requests=3))
    assert len(await admitted(limits, 5, tenant="shop")) == 3
    assert len(await admitted(limits, 5, tenant="desk")) == 3


async def test_a_refusal_says_which_limit_when_to_come_again_and_what_is_left() -> None:
    limits, _ = limits_of(Allowance(requests=30, tokens=100_000))
    await admitted(limits, 30)
    with pytest.raises(RateLimited, match="30 requests a minute") as caught:
        await limits.admit(request_of(), BOTH)
    error = caught.value
    assert (error.status, error.code, error.retryable) == (429, "rate_limit_exceeded", True)
    assert error.limit == "requests"
    assert error.retry_after is not None
    assert 2.0 <= error.retry_after <= 2.75
    assert (error.remaining.requests, error.remaining.requests_left) == (30, 0)
    assert error.remaining.requests_reset == pytest.approx(60.0)
    assert 0 < error.remaining.tokens_left < 100_000


async def test_callers_refused_together_are_told_different_moments_within_two_minutes() -> None:
    limits, _ = limits_of(Allowance(tokens=100))
    await limits.admit(request_of(max_tokens=100_000), BOTH)
    told = set()
    for _ in range(20):
        with pytest.raises(RateLimited) as caught:
            await limits.admit(request_of(max_tokens=100_000), BOTH)
        assert caught.value.retry_after is not None
        assert 1 <= caught.value.retry_after <= 120
        told.add(caught.value.retry_after)
    assert len(told) == 20


async def test_tokens_are_expected_and_then_corrected_by_what_was_used() -> None:
    limits, _ = limits_of(Allowance(tokens=1_000))
    first = await limits.admit(request_of(max_tokens=500), BOTH)
    use = first.use
    expected = use.tokens
    assert 500 < expected < 600
    with pytest.raises(RateLimited, match="1000 tokens a minute"):
        await limits.admit(request_of(max_tokens=500), BOTH)
    first.settle(record_of(usage=Usage(20, 5, 15)))
    assert use.tokens == 40
    second = await limits.admit(request_of(max_tokens=500), BOTH)
    second.settle(record_of(usage=Usage(2_000, None, 500)))
    assert use.tokens == 40 + 2_500
    with pytest.raises(RateLimited):
        await limits.admit(request_of(max_tokens=1), BOTH)


async def test_a_kept_reply_takes_no_tokens_and_no_money_but_is_a_request() -> None:
    limits, tenants = limits_of(Allowance(requests=2, tokens=1_000, budget=10_000_000))
    for _ in range(2):
        (await limits.admit(request_of(max_tokens=500), BOTH)).settle(KEPT)
    use = tenants.use_of("shop")
    assert use is not None
    assert (use.tokens, use.spent, use.reserved, use.in_flight) == (0, 0, 0, 0)
    with pytest.raises(RateLimited, match="2 requests a minute"):
        await limits.admit(request_of(), BOTH)


async def test_what_a_backend_may_have_taken_untold_is_not_given_back() -> None:
    limits, _ = limits_of(Allowance(tokens=1_000, budget=100_000_000))
    one = await limits.admit(request_of(), BOTH)
    use, reserved, tokens = one.use, one.reserved, one.tokens
    one.settle(record_of(cost=None))
    assert (use.tokens, use.spent, use.reserved) == (tokens, reserved, 0)
    other = await limits.admit(request_of(), BOTH)
    other.settle(record_of(cost=0, outcome=Outcome.FAILED))  # never worked on: all of it comes back
    assert (use.tokens, use.spent, use.reserved) == (tokens, reserved, 0)


async def test_a_request_that_needs_more_than_all_tokens_waits_for_a_quiet_minute() -> None:
    clock = Clock()
    limits, _ = limits_of(Allowance(tokens=1_000), clock)
    await limits.admit(request_of(max_tokens=10), BOTH)
    with pytest.raises(RateLimited):
        await limits.admit(request_of(max_tokens=50_000), BOTH)
    clock.now += 60
    big = await limits.admit(request_of(max_tokens=50_000), BOTH)
    big.settle(record_of(usage=Usage(10_000, None, 10_000)))
    clock.now += 19 * 60 - 1
    with pytest.raises(RateLimited):
        await limits.admit(request_of(max_tokens=1), BOTH)
    clock.now += 62
    await limits.admit(request_of(max_tokens=1), BOTH)


async def test_only_so_many_run_at_a_time() -> None:
    limits, _ = limits_of(Allowance(in_flight=3))
    running = await admitted(limits, 5)
    assert len(running) == 3
    with pytest.raises(RateLimited, match="3 requests are running"):
        await limits.admit(request_of(), BOTH)
    running[0].settle(KEPT)
    running[0].settle(KEPT)
    assert len(await admitted(limits, 5)) == 1


async def test_200_at_once_never_reserve_more_than_the_budget_and_never_spend_more() -> None:
    limits, tenants = limits_of(Allowance(budget=20_000_000))
    use = tenants.use_of("shop")
    assert use is not None
    served, told, rng = [0], list[tuple[str, bool]](), random.Random(5)

    async def ask() -> None:
        try:
            one = await limits.admit(request_of(max_tokens=200), BOTH)
        except RateLimited as error:
            assert use.spent + use.reserved <= 20_000_000
            told.append((error.code, error.retryable))
            return
        await asyncio.sleep(rng.random() / 100)
        cost = rng.randint(0, one.reserved)
        served[0] += cost
        one.settle(record_of(cost=cost))

    for _ in range(5):
        await asyncio.gather(*(ask() for _ in range(200)))
        assert use.reserved == 0
        assert served[0] == use.spent <= 20_000_000
    assert use.spent > 17_000_000
    assert set(told) <= {("rate_limit_exceeded", True), ("insufficient_quota", False)}


async def test_a_spent_budget_is_said_to_be_one_and_a_reserved_one_to_be_waited_for() -> None:
    limits, _ = limits_of(Allowance(budget=2_000_000))
    one = await limits.admit(request_of(max_tokens=200), BOTH)
    with pytest.raises(RateLimited, match="running") as caught:
        await limits.admit(request_of(max_tokens=200), BOTH)
    assert (caught.value.code, caught.value.retryable) == ("rate_limit_exceeded", True)
    one.settle(record_of(cost=one.reserved))
    with pytest.raises(RateLimited, match="budget of this month") as caught:
        await limits.admit(request_of(max_tokens=200), BOTH)
    assert (caught.value.code, caught.value.retryable) == ("insufficient_quota", False)


async def test_money_is_new_when_the_window_ends_and_an_old_request_never_counts_in_it() -> None:
    clock = Clock()
    limits, tenants = limits_of(Allowance(budget=4_000_000, span=Span.DAY), clock)
    use = tenants.use_of("shop")
    assert use is not None
    until_midnight = DAY - 1_795_178_096 % DAY
    assert use.ends == pytest.approx(clock.now + until_midnight)
    old = await limits.admit(request_of(max_tokens=200), BOTH)
    clock.now += until_midnight + 1
    late = await limits.admit(request_of(max_tokens=200, received=clock.now - 2), BOTH)
    new = await limits.admit(request_of(max_tokens=10, received=clock.now), BOTH)
    for one in (old, late, new):
        one.settle(record_of(cost=100))
    assert (use.spent, use.reserved) == (100, 0)


async def test_the_wall_clock_is_read_once() -> None:
    clock, wall = Clock(), [1_795_178_096.0]
    tenants = Tenants(("a",), others=Allowance(budget=1, span=Span.HOUR), by_name={}, clock=clock, wall=lambda: wall[0])
    use = tenants.use_of("a")
    assert use is not None
    before = use.ends
    wall[0] -= 30 * DAY
    tenants.roll(use, clock.now)
    assert use.ends == before


async def test_what_never_ended_is_given_back_long_after_its_deadline() -> None:
    clock = Clock()
    limits, tenants = limits_of(Allowance(in_flight=1, budget=2_000_000), clock)
    lost = await limits.admit(request_of(max_tokens=200), BOTH)
    clock.now = lost.deadline + FORGOTTEN_AFTER - 1
    assert not await admitted(limits, 1)
    clock.now += 2
    assert len(await admitted(limits, 1, max_tokens=200)) == 1
    lost.settle(record_of(cost=700))  # it ended after all: what it cost counts
    use = tenants.use_of("shop")
    assert use is not None
    assert (use.in_flight, use.spent) == (1, 700)


async def test_nothing_is_held_for_who_has_no_limits() -> None:
    limits, tenants = limits_of(Allowance())
    assert await limits.admit(request_of(), BOTH) is FREE
    FREE.settle(record_of(cost=5, usage=Usage(1, 1, 1)))
    assert (FREE.use.spent, FREE.use.tokens, FREE.use.in_flight) == (0, 0, 0)
    assert FREE.remaining(0.0) == Remaining()
    assert tenants.are_endless


async def test_other_limits_take_effect_and_what_was_used_stays_used() -> None:
    limits, tenants = limits_of(Allowance(requests=10))
    assert len(await admitted(limits, 8)) == 8
    assert tenants.revise(("shop", "desk"), others=Allowance(requests=9), by_name={"desk": Allowance()}) == []
    assert len(await admitted(limits, 8)) == 1
    assert await limits.admit(request_of("desk"), BOTH) is FREE
    unread = tenants.revise(("shop",), others=Allowance(requests=9, budget=5), by_name={})
    assert [use.name for use in unread] == ["shop"]
    assert tenants.revise(("shop",), others=Allowance(budget=7), by_name={}) == []


async def test_a_refused_request_takes_nothing() -> None:
    limits, tenants = limits_of(Allowance(requests=5, tokens=1_000, in_flight=9, budget=1_000))
    with pytest.raises(RateLimited):
        await limits.admit(request_of(), BOTH)
    use = tenants.use_of("shop")
    assert use is not None
    assert (use.requests, use.tokens, use.in_flight, use.reserved) == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("span", "begins", "seconds"),
    [
        (Span.HOUR, 1_795_176_000, 3_600),
        (Span.DAY, 1_795_132_800, 86_400),
        (Span.WEEK, 1_794_787_200, 7 * 86_400),  # Monday, 16 November 2026
        (Span.MONTH, 1_793_491_200, 30 * 86_400),  # November
    ],
)
def test_windows_are_those_of_the_calendar(span: Span, begins: int, seconds: int) -> None:
    assert span.around(1_795_178_096.0) == (begins, begins + seconds)
    assert span.around(float(begins)) == (begins, begins + seconds)
    assert Span.TOTAL.around(5.0)[0] == 0


def test_a_month_of_any_length_ends_where_the_next_begins() -> None:
    moment = 1_767_225_600.0  # 2026
    for _ in range(60):
        _, end = Span.MONTH.around(moment)
        assert Span.MONTH.around(end - 1)[1] == end
        assert Span.MONTH.around(end)[0] == end
        assert 28 * DAY <= end - moment <= 31 * DAY
        moment = end


def test_workers_parts_together_are_never_more_than_the_whole() -> None:
    for workers in range(1, 9):
        part = Allowance(requests=10, tokens=11, in_flight=3, budget=7).shared_by(workers)
        assert part.requests is not None
        assert part.tokens is not None
        assert part.in_flight is not None
        assert part.requests * workers <= 10
        assert part.tokens * workers <= 11
        assert part.in_flight * workers <= 3
        assert part.budget == 7
