"""Tests backends/engines/serving/admission.py."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from backends.engines.base import QueueFull
from backends.engines.serving.admission import LONGEST_RETRY, Admission


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def tasks_of(admission: Admission) -> Callable[[int], Awaitable["asyncio.Task[float]"]]:
    async def enter(choices: int) -> "asyncio.Task[float]":
        task = asyncio.create_task(admission.enter(choices))
        await asyncio.sleep(0)
        return task

    return enter


async def left(task: "asyncio.Task[float]") -> None:
    task.cancel()
    await asyncio.wait({task})


async def test_as_many_run_as_there_are_places_and_the_rest_waits_its_turn(clock: Clock) -> None:
    admission = Admission(places=2, queue=3, clock=clock)
    enter = tasks_of(admission)
    tasks = [await enter(1) for _ in range(5)]
    assert [task.done() for task in tasks] == [True, True, False, False, False]
    assert (admission.running, admission.waiting) == (2, 3)
    admission.leave(1, since=0.0)
    await asyncio.sleep(0)
    assert [task.done() for task in tasks] == [True, True, True, False, False]
    for task in tasks[3:]:
        await left(task)


async def test_beyond_the_queue_it_is_told_when_to_come_again(clock: Clock) -> None:
    admission = Admission(places=2, queue=4, clock=clock)
    enter = tasks_of(admission)
    for _ in range(200):  # answers last three seconds
        since = await admission.enter(1)
        clock.now += 3
        admission.leave(1, since=since)
    tasks = [await enter(1) for _ in range(6)]
    with pytest.raises(QueueFull, match="2 answers run and 4 wait, of 4 that may") as refusal:
        await admission.enter(1)
    assert refusal.value.retry_after == pytest.approx(6.0, rel=0.01)
    assert refusal.value.status == 429
    assert admission.refused == 1
    for task in tasks[2:]:
        await left(task)


async def test_nobody_is_sent_away_for_longer_than_a_minute(clock: Clock) -> None:
    admission = Admission(places=1, queue=1, clock=clock)
    await admission.enter(1)
    clock.now = 1e6
    admission.leave(1, since=0.0)
    assert admission.retry_after() == LONGEST_RETRY


async def test_several_answers_need_as_many_places_and_keep_their_turn(clock: Clock) -> None:
    admission = Admission(places=4, queue=4, clock=clock)
    enter = tasks_of(admission)
    await admission.enter(2)
    large, small = await enter(3), await enter(1)
    assert not large.done()
    assert not small.done()  # it would fit, and would have the large one wait for ever
    assert admission.waiting == 4
    with pytest.raises(QueueFull):
        await admission.enter(1)
    admission.leave(2, since=0.0)
    await asyncio.sleep(0)
    assert large.done()
    assert small.done()
    assert (admission.running, admission.waiting) == (4, 0)


async def test_who_leaves_the_queue_frees_his_place_there_at_once(clock: Clock) -> None:
    admission = Admission(places=2, queue=3, clock=clock)
    enter = tasks_of(admission)
    await admission.enter(1)
    large, small = await enter(2), await enter(1)
    await left(large)
    assert small.done()  # nobody stands before it any more
    assert (admission.running, admission.waiting) == (2, 0)


async def test_a_place_that_was_given_to_somebody_who_has_left_goes_to_the_next(clock: Clock) -> None:
    admission = Admission(places=1, queue=3, clock=clock)
    enter = tasks_of(admission)
    await admission.enter(1)
    first, second, third = await enter(1), await enter(1), await enter(1)
    first.cancel()  # its turn comes before it learns of it
    admission.leave(1, since=0.0)
    second.cancel()  # it has its turn already
    await asyncio.wait({first, second})
    await asyncio.sleep(0)
    assert third.done()
    assert (admission.running, admission.waiting) == (1, 0)


async def test_a_place_is_given_back_however_the_block_ends(clock: Clock) -> None:
    admission = Admission(places=2, queue=1, clock=clock)

    async def work() -> None:
        async with admission.place(2):
            assert repr(admission) == "<Admission: 2 running, 0 waiting>"
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await work()
    assert admission.running == 0
