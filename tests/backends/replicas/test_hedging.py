"""Tests backends/replicas/hedging.py: who is asked besides, who wins, who is stopped."""

import asyncio
import time
from collections import Counter
from random import Random
from typing import Any

import pytest

from backends.base import Broken, ConnectFailed, Lost, Rejected
from backends.replicas.options import ReplicaOptions
from backends.replicas.recent import FEWEST
from backends.replicas.stack import Stack, stack_of
from tests.backends.replicas.played import Played, body_of, call_of, left_alone, until


def hedged(*servers: Played, after: float | str = 0.03, share: float = 1.0, **more: Any) -> Stack:
    options = {"hedge": {"after": after, "share": share}, "health": {"enabled": False}, "retries": {"more": 0}, **more}
    return stack_of(servers, ReplicaOptions.model_validate(options), chance=Random(1))


def winners(backend: Stack) -> dict[tuple[str, ...], float]:
    return next(dict(figure.counts) for figure in backend.figures() if figure.name == "hedges")


async def test_a_quick_answer_asks_nobody_else() -> None:
    slow, quick = Played("a"), Played("b")
    backend = hedged(slow, quick)
    reply = await backend.send(call_of())
    assert (reply.replica, reply.before, len(quick.calls)) == ("a", (), 0)
    assert winners(backend) == {}


@pytest.mark.parametrize("stream", [False, True])
async def test_a_slow_answer_is_overtaken_and_its_server_is_told_to_stop(*, stream: bool) -> None:
    slow, quick = Played("a", takes=5.0), Played("b")
    backend = hedged(slow, quick)
    began = time.monotonic()
    reply = await backend.send(call_of(stream=stream, holder="a", matched=1.0))
    assert time.monotonic() - began < 1.0
    assert (reply.replica, reply.before) == ("b", (Lost("a", None),))
    assert await body_of(reply)
    assert (slow.stopped, slow.flying, quick.stopped) == (1, 0, 0)
    assert winners(backend) == {("second",): 1}


async def test_the_first_may_still_win() -> None:
    first, second = Played("a", takes=0.06), Played("b", takes=5.0)
    backend = hedged(first, second)
    reply = await backend.send(call_of())
    assert (reply.replica, reply.before, second.stopped) == ("a", (Lost("b", None),), 1)
    assert winners(backend) == {("first",): 1}


async def test_who_fails_leaves_it_to_the_other() -> None:
    error = Broken("", status=500)
    first, second = Played("a", takes=0.06, failures=[error]), Played("b", takes=0.1)
    reply = await hedged(first, second).send(call_of())
    assert (reply.replica, reply.before) == ("b", (Lost("a", error),))


async def test_where_both_fail_the_error_tells_of_both() -> None:
    errors = Broken("", status=500), ConnectFailed("")
    first, second = Played("a", takes=0.06, failures=[errors[0]]), Played("b", takes=0.1, failures=[errors[1]])
    backend = hedged(first, second)
    with pytest.raises(ConnectFailed) as caught:
        await backend.send(call_of())
    assert (caught.value.replica, caught.value.before) == ("b", (Lost("a", errors[0]),))
    assert winners(backend) == {("neither",): 1}


async def test_an_early_failure_is_no_reason_to_hedge() -> None:
    second = Played("b")
    with pytest.raises(Rejected):
        await hedged(Played("a", failures=[Rejected(400, b"", "")]), second).send(call_of())
    assert not second.calls


async def test_who_leaves_is_seen_by_both_servers() -> None:
    servers = [Played(name, takes=5.0) for name in "ab"]
    backend = hedged(*servers)
    call = asyncio.create_task(backend.send(call_of()))
    await until(lambda: all(server.flying for server in servers))
    before = asyncio.all_tasks()
    await left_alone(call)
    assert [(server.stopped, server.flying) for server in servers] == [(1, 0), (1, 0)]
    assert len(asyncio.all_tasks()) < len(before)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_two_that_answer_in_the_same_moment_leave_nothing_behind() -> None:
    servers = [Played("a", takes=0.06), Played("b", takes=0.03)]
    backend = hedged(*servers)
    for _ in range(5):
        reply = await backend.send(call_of(stream=True, holder="a", matched=1.0))
        await reply.chunks.aclose()
    assert [server.flying for server in servers] == [0, 0]
    active = next(figure for figure in backend.figures() if figure.name == "replica_in_flight")
    assert set(active.counts.values()) == {0}


async def test_only_a_share_of_calls_is_hedged() -> None:
    slow, quick = Played("a", takes=0.005), Played("b", takes=0.005)
    backend = hedged(slow, quick, after=0.001, share=0.1)
    for _ in range(40):
        await backend.send(call_of())
    assert 3 <= winners(backend).get(("first",), 0) + winners(backend).get(("second",), 0) <= 0.1 * 40 + 1


async def test_nobody_is_asked_who_has_no_room_or_is_out() -> None:
    slow, full = Played("a", takes=0.1), Played("b", takes=5.0)
    backend = hedged(slow, full, limits={"in_flight_per_replica": 1})
    filling = asyncio.create_task(backend.send(call_of(avoid=("a",))))
    await until(lambda: full.flying == 1)
    reply = await backend.send(call_of(avoid=()))
    assert (reply.replica, reply.before) == ("a", ())
    await left_alone(filling)


async def test_the_time_to_wait_is_learned() -> None:
    servers = [Played(name, takes=0.002) for name in "ab"]
    backend = hedged(*servers, after="p95")
    for _ in range(FEWEST):
        await backend.send(call_of())
    asked = Counter(server.name for server in servers for _ in server.calls)
    assert asked.total() == FEWEST, "nothing is known yet, so nobody is asked besides"
    servers[0].takes = 5.0
    began = time.monotonic()
    assert (await backend.send(call_of(holder="a", matched=1.0))).replica == "b"
    assert time.monotonic() - began < 1.0


async def test_it_is_a_backend() -> None:
    servers = [Played("a", ready=False), Played("b", ready=False)]
    backend = hedged(*servers)
    assert not await backend.is_ready()
    assert "<Hedged: 0 hedges" in repr(backend)
    await backend.aclose()
    assert all(server.is_closed for server in servers)
