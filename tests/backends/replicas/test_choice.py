"""Tests backends/replicas/choice.py: who is passed over, who is tried, and what is said where nobody is left."""

import asyncio
import time
from random import Random

import pytest

from backends.base import Broken, ConnectFailed, OutOfService, Overloaded
from backends.replicas.choice import Replicas
from backends.replicas.outliers import Outliers
from backends.replicas.rules import LeastConnections
from backends.replicas.standing import STATES, Standing
from backends.replicas.watched import Watched
from tests.backends.replicas.played import Played, body_of, call_of, left_alone, until


def group(*servers: Played, room: int = 100) -> tuple[Replicas, dict[str, Standing]]:
    standings = {server.name: Standing(server.name, room=room) for server in servers}
    outliers = Outliers(list(standings.values()))
    watched = [Watched(server, standings[server.name], outliers) for server in servers]
    return Replicas(watched, rule=LeastConnections(), outliers=outliers, chance=Random(1)), standings


async def ask(replicas: Replicas, times: int = 1) -> list[str]:
    return [(await replicas.send(call_of())).replica for _ in range(times)]


async def test_replicas_take_turns() -> None:
    replicas, _ = group(Played("a"), Played("b"), Played("c"))
    assert sorted(await ask(replicas, 6)) == ["a", "a", "b", "b", "c", "c"]


async def test_calls_at_the_same_time_go_to_the_least_loaded() -> None:
    servers = [Played(name, takes=5.0) for name in "abc"]
    replicas, standings = group(*servers)
    calls = [asyncio.create_task(replicas.send(call_of())) for _ in range(12)]
    await until(lambda: replicas.active == 12)
    assert [each.in_flight for each in standings.values()] == [4, 4, 4]
    for each in calls:
        await left_alone(each)
    assert replicas.active == 0


async def test_who_is_avoided_is_not_asked() -> None:
    replicas, _ = group(Played("a"), Played("b"))
    for _ in range(3):
        assert (await replicas.send(call_of(avoid=("a",)))).replica == "b"
    with pytest.raises(OutOfService):
        replicas.pick(call_of(avoid=("a", "b")))
    alone, _ = group(Played("a"))
    with pytest.raises(OutOfService):
        alone.pick(call_of(avoid=("a",)))


async def test_who_is_cooling_is_asked_last() -> None:
    replicas, standings = group(Played("a"), Played("b"))
    standings["a"].cool_until = time.monotonic() + 60
    assert await ask(replicas, 3) == ["b", "b", "b"]
    standings["b"].cool_until = time.monotonic() + 60
    assert set(await ask(replicas, 4)) == {"a", "b"}, "where all are, they are asked"


async def test_who_has_just_come_back_gets_a_small_share_though_it_is_idle() -> None:
    replicas, standings = group(Played("a"), Played("b"))
    standings["a"].slow_start, standings["a"].back_at, standings["a"].is_warming = 1e6, time.monotonic(), True
    asked = await ask(replicas, 1000)
    assert 50 < asked.count("a") < 150
    standings["b"].is_draining = True
    assert (await ask(replicas))[0] == "a", "where there is no other, it is asked"


async def test_who_is_full_is_passed_over_until_all_are() -> None:
    replicas, standings = group(Played("a"), Played("b"), room=1)
    standings["a"].in_flight = 1
    assert await ask(replicas, 2) == ["b", "b"]
    standings["b"].in_flight = 1
    with pytest.raises(Overloaded, match=r"no room with a, b") as caught:
        replicas.pick(call_of())
    assert caught.value.retry_after == 1.0
    assert replicas.room == 2


async def test_one_that_is_due_is_tried_by_one_call() -> None:
    server = Played("a", takes=5.0)
    replicas, standings = group(server, Played("b"))
    standings["a"].out_until = time.monotonic() - 1
    trial = asyncio.create_task(replicas.send(call_of()))
    await until(lambda: server.flying == 1)
    assert await ask(replicas, 5) == ["b"] * 5
    await left_alone(trial)
    server.takes = 0.0
    assert (await ask(replicas))[0] == "a"
    assert not standings["a"].is_out


async def test_one_that_is_out_is_not_asked() -> None:
    replicas, standings = group(Played("a"), Played("b"))
    standings["a"].out_until = time.monotonic() + 30
    assert await ask(replicas, 4) == ["b"] * 4
    assert (replicas.is_out("a"), replicas.is_out("b"), replicas.room) == (True, False, 100)


async def test_where_all_are_out_each_is_tried_once_a_second_and_the_others_fail_at_once() -> None:
    servers = [Played(name, failures=[ConnectFailed("")] * 2) for name in "ab"]
    replicas, standings = group(*servers)
    now = time.monotonic()
    for standing in standings.values():
        standing.out_until, standing.tried_at = now + 30, now - 2
        standing.failures, standing.is_silent = 5, True
    for _ in range(2):
        with pytest.raises(ConnectFailed):
            await replicas.send(call_of())
    began = time.monotonic()
    for _ in range(100):
        with pytest.raises(OutOfService) as caught:
            await replicas.send(call_of())
    assert time.monotonic() - began < 0.5
    assert caught.value.retry_after <= 1.0
    assert [len(server.calls) for server in servers] == [1, 1]
    assert replicas.room == 1, "somebody must be let in to find out"


async def test_the_breaker_of_a_single_server_opens_and_closes() -> None:
    server = Played("a", failures=[ConnectFailed("")] * 5)
    replicas, standings = group(server)
    for _ in range(5):
        with pytest.raises(ConnectFailed):
            await replicas.send(call_of())
    for _ in range(10):
        with pytest.raises(OutOfService):
            await replicas.send(call_of())
    assert len(server.calls) == 5
    standings["a"].tried_at -= 1.0
    assert await ask(replicas, 3) == ["a", "a", "a"]


async def test_a_single_server_that_answers_badly_is_always_asked() -> None:
    server = Played("a", failures=[Broken("", status=500)] * 20)
    replicas, _ = group(server)
    for _ in range(20):
        with pytest.raises(Broken):
            await replicas.send(call_of())
    assert len(server.calls) == 20


async def test_a_drained_replica_ends_what_it_has_begun_and_gets_no_more() -> None:
    server = Played("a", pieces=(b"1", 0.1, b"2"))
    replicas, standings = group(server, Played("b"))
    reply = await replicas.send(call_of(stream=True))
    assert reply.replica == "a"
    assert not await replicas.drain("a", within=0.01)
    draining = asyncio.create_task(replicas.drain("a", within=2.0))
    assert await ask(replicas, 3) == ["b"] * 3
    assert await body_of(reply) == b"12"
    assert await draining
    replicas.restore("a")
    assert standings["a"].is_warming
    replicas.restore("b")
    assert not standings["b"].is_warming, "it never left"
    with pytest.raises(KeyError):
        replicas.restore("c")


async def test_it_is_ready_where_one_is_and_closes_all() -> None:
    servers = [Played("a", ready=False), Played("b")]
    replicas, _ = group(*servers)
    assert await replicas.is_ready()
    await replicas.drain("b", within=0.0)
    assert not await replicas.is_ready()
    await replicas.aclose()
    assert all(server.is_closed for server in servers)


async def test_what_is_known_of_replicas_can_be_read() -> None:
    replicas, standings = group(Played("a", failures=[Broken("", status=500)]), Played("b"))
    standings["b"].out_until = time.monotonic() + 9
    with pytest.raises(Broken):
        await replicas.send(call_of())
    await replicas.send(call_of())
    figures = {figure.name: figure for figure in replicas.figures()}
    assert figures["replica_answers"].counts == {("a",): 1, ("b",): 0}
    assert figures["replica_failures"].counts == {("a", "Broken"): 1}
    states = figures["replica_state"].counts
    assert (states["a", "in"], states["b", "out"], sum(states.values())) == (1.0, 1.0, 2.0)
    assert len(states) == 2 * len(STATES)
    assert "a: 0 in flight, in" in repr(replicas)
