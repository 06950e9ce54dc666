"""Tests backends/replicas/watched.py: what calls tell of a replica."""

import asyncio

import pytest

from backends.base import BackendError, Broken, ConnectFailed, IdleTimeout, StreamBroken
from backends.replicas.outliers import Outliers
from backends.replicas.peak_ewma import PeakEwma
from backends.replicas.standing import Standing
from backends.replicas.watched import Watched
from tests.backends.replicas.played import Played, body_of, call_of, left_alone, until


def watched(server: Played, *, others: int = 1, measures: bool = False) -> Watched:
    latency = PeakEwma(0.0) if measures else None
    standing = Standing(server.name, latency=latency)
    return Watched(server, standing, Outliers([standing, *(Standing(str(at)) for at in range(others))]))


async def test_a_call_is_under_way_until_its_last_byte() -> None:
    server = Played("a", takes=0.02)
    replica = watched(server)
    calls = [asyncio.create_task(replica.send(call_of())) for _ in range(3)]
    await until(lambda: replica.standing.in_flight == 3)
    await asyncio.gather(*calls)
    assert replica.standing.in_flight == 0
    reply = await replica.send(call_of(stream=True))
    assert replica.standing.in_flight == 1
    assert await body_of(reply) == b"data: one\n\ndata: [DONE]\n\n"
    assert (replica.standing.in_flight, replica.standing.answered) == (0, 4)
    assert repr(replica) == "<Watched a: 0 in flight, in>"


async def test_a_failure_bears_the_replicas_name_and_is_counted() -> None:
    replica = watched(Played("a", failures=[Broken("", status=500)]))
    with pytest.raises(Broken) as caught:
        await replica.send(call_of())
    assert caught.value.replica == "a"
    assert (replica.standing.in_flight, replica.standing.failures, replica.standing.failed) == (0, 1, {"Broken": 1})


@pytest.mark.parametrize("error", [StreamBroken("off"), IdleTimeout("silent")])
async def test_a_stream_is_judged_by_its_end(error: BackendError) -> None:
    server = Played("a", pieces=(b"data: one\n\n", error))
    replica = watched(server)
    for _ in range(5):
        with pytest.raises(type(error)):
            await body_of(await replica.send(call_of(stream=True)))
    assert (replica.standing.is_out, replica.standing.in_flight) == (True, 0)


async def test_a_whole_stream_ends_the_row_and_one_that_was_left_does_not() -> None:
    server = Played("a")
    replica = watched(server)
    replica.standing.failures = 4
    reply = await replica.send(call_of(stream=True))
    await anext(reply.chunks)
    await reply.chunks.aclose()
    assert (replica.standing.failures, replica.standing.in_flight) == (4, 0)
    await body_of(await replica.send(call_of(stream=True)))
    assert replica.standing.failures == 0


async def test_who_leaves_is_no_failure_and_reaches_the_server() -> None:
    server = Played("a", takes=5.0)
    replica = watched(server, measures=True)
    call = asyncio.create_task(replica.send(call_of()))
    await until(lambda: server.flying == 1)
    await asyncio.sleep(0.02)
    await left_alone(call)
    assert (server.stopped, replica.standing.in_flight, replica.standing.failures) == (1, 0, 0)
    assert replica.standing.latency is not None
    assert replica.standing.cost(asyncio.get_running_loop().time()) > 0.01, "it would have taken at least so long"


async def test_times_are_measured_where_somebody_wants_to_know() -> None:
    replica = watched(Played("a", takes=0.02), measures=True)
    await replica.send(call_of())
    assert 0.015 < replica.standing.cost(asyncio.get_running_loop().time()) < 0.5


async def test_a_trial_ends_with_the_call_that_was_it() -> None:
    server = Played("a", failures=[ConnectFailed("")] * 5)
    replica = watched(server)
    for _ in range(5):
        with pytest.raises(ConnectFailed):
            await replica.send(call_of())
    assert replica.standing.is_out
    replica.standing.on_trial, replica.standing.tried_at = True, 7.0
    reply = await replica.send(call_of(stream=True))
    assert not replica.standing.is_out, "it was silent, and is not any more"
    assert replica.standing.is_warming
    await body_of(reply)


async def test_a_stream_from_before_the_ejection_ends_no_trial() -> None:
    server = Played("a")
    replica = watched(server)
    older = await replica.send(call_of(stream=True))
    server.failures = [Broken("", status=500)] * 5
    for _ in range(5):
        with pytest.raises(Broken):
            await replica.send(call_of())
    replica.standing.on_trial, replica.standing.tried_at = True, 7.0
    await body_of(older)
    assert (replica.standing.is_out, replica.standing.on_trial) == (True, True)
    await replica.send(call_of())
    assert not replica.standing.is_out


async def test_a_trial_that_was_over_decides_nothing_later() -> None:
    server = Played("a")
    replica = watched(server)
    replica.standing.out_until = replica.standing.tried_at = 7.0
    replica.standing.failures, replica.standing.is_silent = 5, True
    trial = await replica.send(call_of(stream=True))
    assert not replica.standing.is_out
    server.failures = [Broken("", status=500)] * 5
    for _ in range(5):
        with pytest.raises(Broken):
            await replica.send(call_of())
    assert replica.standing.is_out
    await body_of(trial)
    assert replica.standing.is_out


async def test_it_is_a_backend() -> None:
    server = Played("a", ready=False)
    replica = watched(server)
    assert not await replica.is_ready()
    await replica.aclose()
    assert server.is_closed
