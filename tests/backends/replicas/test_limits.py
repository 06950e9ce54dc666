"""Tests backends/replicas/limits.py: who is sent, who waits, who is refused."""

import asyncio
import time
from collections import Counter

import pytest

from backends.base import Broken, DeadlineExceeded, OutOfService, Overloaded, Reply
from backends.replicas.limits import Limited
from tests.backends.replicas.played import Played, body_of, call_of, left_alone, until


def limited(server: Played, *, room: int = 2, queue: int = 10, wait: float = 1.0) -> Limited:
    return Limited(server, room=lambda: room, queue=queue, wait=wait)


def figures_of(backend: Limited) -> dict[str, dict[tuple[str, ...], float]]:
    return {figure.name: dict(figure.counts) for figure in backend.figures()}


def begin(backend: Limited, tenant: str = "", *, priority: int = 0) -> "asyncio.Task[Reply]":
    return asyncio.create_task(backend.send(call_of(tenant=tenant, priority=priority)))


async def test_no_more_calls_are_under_way_than_there_is_room_for() -> None:
    server = Played("a", takes=0.01)
    backend = limited(server)
    await asyncio.gather(*(begin(backend) for _ in range(12)))
    assert server.most == 2
    assert figures_of(backend)["waits"] == {(): 10}
    assert figures_of(backend)["queued"] == {(): 0}
    assert repr(backend).startswith("<Limited: 0 in flight, 0 waiting, ")


async def test_a_stream_takes_room_until_it_ends() -> None:
    server = Played("a")
    backend = limited(server, room=1)
    reply = await backend.send(call_of(stream=True))
    waiting = begin(backend)
    await asyncio.sleep(0.02)
    assert not waiting.done()
    await body_of(reply)
    await waiting
    left = await backend.send(call_of(stream=True))
    await left.chunks.aclose()
    assert figures_of(backend)["in_flight"] == {(): 0}


async def test_a_failure_gives_its_room_back() -> None:
    backend = limited(Played("a", failures=[Broken("")] * 3), room=1)
    for _ in range(3):
        with pytest.raises(Broken):
            await backend.send(call_of())
    assert figures_of(backend)["in_flight"] == {(): 0}


async def test_a_full_queue_refuses_at_once_and_says_when_to_come_again() -> None:
    backend = limited(Played("a", takes=5.0), room=1, queue=1, wait=3.0)
    tasks = [begin(backend) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded, match="1 calls under way, 1 wait") as caught:
        await backend.send(call_of())
    assert (caught.value.retry_after, caught.value.replica) == (3.0, "")
    assert figures_of(backend)["shed"] == {("full",): 1}
    for each in tasks:
        await left_alone(each)


async def test_nobody_waits_for_longer_than_it_says() -> None:
    backend = limited(Played("a", takes=5.0), room=1, wait=0.15)
    first, began = begin(backend), time.monotonic()
    await asyncio.sleep(0)
    with pytest.raises(Overloaded, match=r"no room in 0.15 s"):
        await backend.send(call_of())
    assert 0.1 < time.monotonic() - began < 0.5
    assert figures_of(backend)["shed"] == {("waited",): 1}
    await left_alone(first)


async def test_nobody_waits_beyond_its_deadline() -> None:
    backend = limited(Played("a", takes=5.0), room=1, wait=5.0)
    first = begin(backend)
    await asyncio.sleep(0)
    with pytest.raises(DeadlineExceeded):
        await backend.send(call_of(within=0.05))
    assert figures_of(backend)["shed"] == {("deadline",): 1}
    await left_alone(first)


async def test_who_leaves_the_queue_is_never_sent() -> None:
    server = Played("a", takes=0.05)
    backend = limited(server, room=1)
    first, second, third = begin(backend), begin(backend), begin(backend)
    await asyncio.sleep(0)
    assert figures_of(backend)["queued"] == {(): 2}
    await left_alone(second)
    assert figures_of(backend)["queued"] == {(): 1}
    await asyncio.gather(first, third)
    assert len(server.calls) == 2
    assert figures_of(backend)["in_flight"] == {(): 0}


async def test_room_that_was_given_to_one_who_just_left_is_not_lost() -> None:
    backend = limited(Played("a"), room=1)
    reply = await backend.send(call_of(stream=True))
    waiting = begin(backend)
    await asyncio.sleep(0)
    await reply.chunks.aclose()
    waiting.cancel()  # before it could run with the room that it was given
    await asyncio.wait({waiting})
    assert waiting.cancelled()
    assert figures_of(backend)["in_flight"] == {(): 0}
    await backend.send(call_of())


async def test_a_newcomer_does_not_overtake_those_who_wait() -> None:
    room = [1]
    server = Played("a", takes=0.01)
    backend = Limited(server, room=lambda: room[0], queue=10, wait=5.0)
    waiting = [begin(backend, "waits") for _ in range(3)]
    await asyncio.sleep(0)
    room[0] = 2
    await begin(backend, "newcomer")
    await asyncio.gather(*waiting)
    assert [call.tenant for call in server.calls[:2]] == ["waits", "waits"]


async def test_one_tenants_flood_does_not_keep_another_waiting() -> None:
    server = Played("a", takes=0.01)
    backend = limited(server, room=1, queue=200, wait=5.0)
    flood = [begin(backend, "flood") for _ in range(20)]
    await asyncio.sleep(0)
    began = time.monotonic()
    await asyncio.gather(*(begin(backend, "other") for _ in range(3)))
    assert time.monotonic() - began < 0.15, "each second one is its own"
    await asyncio.gather(*flood)


async def test_one_tenants_flood_makes_place_for_another_in_a_full_queue() -> None:
    backend = limited(Played("a", takes=0.01), room=1, queue=4)
    flood = [begin(backend, "flood") for _ in range(5)]
    await asyncio.sleep(0)
    await begin(backend, "other")
    ended = await asyncio.gather(*flood, return_exceptions=True)
    assert sum(isinstance(each, Overloaded) for each in ended) == 1
    assert figures_of(backend)["shed"] == {("displaced",): 1}


async def test_the_urgent_go_first() -> None:
    server = Played("a", takes=0.005)
    backend = limited(server, room=1, queue=50)
    tasks = [begin(backend, priority=number % 3) for number in range(13)]
    await asyncio.gather(*tasks)
    assert [call.priority for call in server.calls] == [0, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0]


async def test_room_that_grows_is_filled_without_a_call_that_ends() -> None:
    room = [1]
    server = Played("a", takes=5.0)
    backend = Limited(server, room=lambda: room[0], queue=10, wait=5.0)
    tasks = [begin(backend) for _ in range(3)]
    await until(lambda: server.flying == 1)
    room[0] = 3
    await until(lambda: server.flying == 3)
    for each in tasks:
        await left_alone(each)


async def test_closing_refuses_those_who_wait() -> None:
    server = Played("a", takes=5.0)
    backend = limited(server, room=1)
    first, second = begin(backend), begin(backend)
    await asyncio.sleep(0)
    await backend.aclose()
    with pytest.raises(OutOfService):
        await second
    await left_alone(first)
    assert (server.is_closed, await backend.is_ready()) == (True, True)


async def test_whatever_happens_all_room_comes_back() -> None:
    """Calls that are answered, fail, stream, are left early and late, from several tenants."""
    server = Played("a", takes=0.003, failures=[Broken("")] * 3)
    backend = limited(server, room=3, queue=20, wait=0.05)

    async def one(number: int) -> str:
        await asyncio.sleep(number // 25 * 0.03)  # each time a few more than there is room for
        try:
            call = call_of(tenant=str(number % 4), priority=number % 2, stream=number % 3 == 0)
            async with asyncio.timeout(0.002 * (number % 9) if number % 2 else 5.0):
                await body_of(await backend.send(call))
        except (Broken, Overloaded, TimeoutError) as error:
            return type(error).__name__
        return "answered"

    ended = Counter(await asyncio.gather(*(one(number) for number in range(200))))
    assert min(ended[word] for word in ("answered", "Broken", "QueueFull")) > 0
    found = figures_of(backend)
    assert (found["in_flight"], found["queued"], server.flying, server.most) == ({(): 0}, {(): 0}, 0, 3)
    assert sum(found["shed"].values()) == ended["QueueFull"]
