"""Tests backends/replicas/stack.py: what every layer owes, and the whole stack in front of real servers that fail.

The rows of FAULTS section 4 that concern replicas are named where they are tried.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack
from random import Random
from typing import Any

import pytest

from backends.base import Backend, BackendError, Broken, OutOfService, Overloaded
from backends.openai_http import OpenAIHttp
from backends.options import HttpOptions
from backends.replicas.base import names_of
from backends.replicas.choice import Replicas
from backends.replicas.commit import Committed
from backends.replicas.health import HealthChecked
from backends.replicas.hedging import Hedged
from backends.replicas.limits import Limited
from backends.replicas.options import ReplicaOptions
from backends.replicas.outliers import Outliers
from backends.replicas.retries import Retried
from backends.replicas.rules import LeastConnections, PowerOfTwo, PrefixAffinity, RoundRobin
from backends.replicas.stack import Stack, stack_of
from backends.replicas.standing import Standing
from backends.replicas.watched import Watched
from tests.backends.conftest import Script, Serve, Upstream, Visit, answer, chunked
from tests.backends.replicas.played import Played, body_of, call_of, left_alone, until

EVERYTHING = {
    "balance": {"use": "power_of_two"},
    "limits": {"in_flight": 50, "in_flight_per_replica": 30},
    "hedge": {"after": 5.0},
    "commit": {"wait": 1.0},
}


# --- what every layer owes -------------------------------------------------------------------------


def _watched(server: Played) -> Watched:
    standing = Standing(server.name)
    return Watched(server, standing, Outliers([standing]))


def _replicas(server: Played) -> Replicas:
    watched = _watched(server)
    return Replicas([watched], rule=LeastConnections(), outliers=Outliers([watched.standing]), chance=Random(1))


def _checked(server: Played) -> HealthChecked:
    watched = _watched(server)
    outliers = Outliers([watched.standing])
    return HealthChecked(watched, replicas=[watched], outliers=outliers, interval=5.0, chance=Random(1))


LAYERS: dict[str, Callable[[Played], Backend]] = {
    "Watched": _watched,
    "Replicas": _replicas,
    "HealthChecked": _checked,
    "Committed": lambda server: Committed(server, wait=1.0, most=4096),
    "Limited": lambda server: Limited(server, room=lambda: 5, queue=5, wait=1.0),
    "Hedged": lambda server: Hedged(_replicas(server), after=1.0, share=1.0),
    "Retried": lambda server: Retried(_replicas(server), group=_replicas(server)),
    "Stack": lambda server: stack_of([server], ReplicaOptions()),
    "Stack with everything": lambda server: stack_of([server], ReplicaOptions.model_validate(EVERYTHING)),
}


@pytest.fixture(params=list(LAYERS.values()), ids=list(LAYERS))
def layer(request: pytest.FixtureRequest) -> Callable[[Played], Backend]:
    """Put one layer around a server."""
    put: Callable[[Played], Backend] = request.param
    return put


async def test_a_layer_changes_no_byte_and_closes_what_it_holds(layer: Callable[[Played], Backend]) -> None:
    server = Played("a", pieces=(b"data: one\n\n", b"data: two\n\n", b"data: [DONE]\n\n"))
    backend = layer(server)
    assert await backend.is_ready()
    for stream, expected in ((False, b"{}"), (True, b"data: one\n\ndata: two\n\ndata: [DONE]\n\n")):
        call = call_of(stream=stream)
        reply = await backend.send(call)
        assert (await body_of(reply), reply.replica, reply.before) == (expected, "a", ())
        assert server.calls[-1] == call
    await backend.aclose()
    assert (server.is_closed, server.flying, asyncio.all_tasks()) == (True, 0, {asyncio.current_task()})
    assert repr(backend).startswith("<")


async def test_a_layer_passes_failures_on(layer: Callable[[Played], Backend]) -> None:
    backend = layer(Played("a", failures=[Broken("off", status=500)], ready=False))
    assert not await backend.is_ready()
    with pytest.raises(Broken, match="off"):
        await backend.send(call_of())
    await backend.aclose()


@pytest.mark.parametrize("stream", [False, True])
async def test_a_layer_lets_the_server_see_who_leaves(layer: Callable[[Played], Backend], *, stream: bool) -> None:
    """FAULTS B9: before the first byte, and after it."""
    server = Played("a", takes=5.0, pieces=(b'data: {"text":"hi"}\n\n', 5.0))
    backend = layer(server)
    call = asyncio.create_task(backend.send(call_of(stream=stream)))
    await until(lambda: server.flying == 1)
    await left_alone(call)
    assert (server.stopped, server.flying) == (1, 0)
    if stream:
        server.takes = 0.0
        reply = await backend.send(call_of(stream=True))
        await anext(reply.chunks)
        await reply.chunks.aclose()
        assert (server.stopped, server.flying) == (2, 0)
    await backend.aclose()


def test_the_stack_has_no_layer_that_does_nothing() -> None:
    alone = repr(stack_of([Played("a")], ReplicaOptions()))
    assert alone == "<Stack <Replicas <Watched a: 0 in flight, in>>>"
    two = [Played("a"), Played("b")]
    assert _layers(stack_of(two, ReplicaOptions())) == ["HealthChecked", "Retried", "Replicas"]
    everything = stack_of(two, ReplicaOptions.model_validate(EVERYTHING))
    assert _layers(everything) == ["HealthChecked", "Retried", "Limited", "Hedged", "Replicas"]
    nothing = {"health": {"enabled": False}, "retries": {"more": 0}}
    assert _layers(stack_of(two, ReplicaOptions.model_validate(nothing))) == ["Replicas"]


def _layers(backend: Stack) -> list[str]:
    shown = repr(backend)
    return sorted(
        (name for name in LAYERS if f"<{name}" in shown and name not in ("Stack", "Watched")), key=shown.index
    )


def test_rules_are_chosen_by_name() -> None:
    for use, kind in (
        ("least_connections", LeastConnections),
        ("power_of_two", PowerOfTwo),
        ("round_robin", RoundRobin),
    ):
        for affinity in (True, False):
            chosen = ReplicaOptions.model_validate({"balance": {"use": use, "prefix_affinity": affinity}})
            replicas = stack_of([Played("a")], chosen)._outermost
            assert isinstance(replicas, Replicas)
            assert isinstance(replicas._rule, PrefixAffinity if affinity else kind)


async def test_what_layers_of_one_kind_count_is_added_up() -> None:
    backend = stack_of([Played("a"), Played("b")], ReplicaOptions.model_validate(EVERYTHING))
    for _ in range(4):
        await body_of(await backend.send(call_of(stream=True)))
    figures = {figure.name: figure for figure in backend.figures()}
    assert figures["commits"].counts == {("word",): 4}
    assert set(figures) == {
        *("commits", "replica_state", "replica_in_flight", "replica_answers", "replica_failures", "replica_ejections"),
        *("hedges", "in_flight", "queued", "waits", "wait_seconds", "shed", "retries", "retries_refused"),
        "health_checks",
    }
    assert names_of([Standing("a"), Standing("b")]) == "a, b"
    await backend.aclose()


# --- real servers ----------------------------------------------------------------------------------

Open = Callable[..., Backend]


@pytest.fixture
async def open_stack() -> AsyncGenerator[Open]:
    """Open backends over the given servers."""
    async with AsyncExitStack() as owned:

        def open_one(*upstreams: Upstream, **options: Any) -> Backend:
            least = {"use": "openai_http", "model": "m", "price": "p", "health": {"enabled": False}}
            urls = [f"http://127.0.0.1:{upstream.port}/v1" for upstream in upstreams]
            backend = HttpOptions.model_validate(least | {"urls": urls} | options).build()
            owned.push_async_callback(backend.aclose)
            return backend

        yield open_one


FINE = answer(b"{}")


def always(message: bytes) -> Script:
    async def script(visit: Visit) -> None:
        await visit.send(message)

    return script


async def reset(visit: Visit) -> None:
    visit.writer.transport.abort()


async def ask(backend: Backend, times: int, *, at_once: int = 8, stream: bool = False) -> Counter[str]:
    """Send calls, so many at the same time; return how they ended."""
    left = iter(range(times))
    ended: Counter[str] = Counter()

    async def caller() -> None:
        for _ in left:
            try:
                await body_of(await backend.send(call_of(stream=stream)))
                ended["answered"] += 1
            except BackendError as error:
                ended[type(error).__name__] += 1

    await asyncio.gather(*(caller() for _ in range(at_once)))
    return ended


@pytest.mark.parametrize("at_once", [1, 32])
@pytest.mark.parametrize("fault", ["refused", "reset", "silent"])
async def test_no_call_fails_while_one_replica_lives(serve: Serve, open_stack: Open, fault: str, at_once: int) -> None:
    """FAULTS B1."""
    dead = await serve({"refused": always(FINE), "reset": reset, "silent": Visit.hung_up}[fault])
    alive = await serve(always(FINE))
    if fault == "refused":
        await dead.close()
    backend = open_stack(dead, alive, first_byte_timeout=0.1)
    assert await ask(backend, 100, at_once=at_once) == {"answered": 100}
    assert len(dead.visits) <= max(at_once, 5) + 1


async def test_a_refused_connection_costs_next_to_nothing(serve: Serve, open_stack: Open) -> None:
    """FAULTS B1: added p99 below 50 ms."""
    dead, alive = await serve(always(FINE)), await serve(always(FINE))
    await dead.close()
    backend = open_stack(dead, alive)
    took = []
    for _ in range(100):
        began = time.monotonic()
        await body_of(await backend.send(call_of()))
        took.append(time.monotonic() - began)
    assert sorted(took)[98] < 0.05


async def test_a_replica_that_fails_gets_one_request_in_a_window(serve: Serve, open_stack: Open) -> None:
    """FAULTS B4."""
    bad = await serve(always(answer(b"", status="500 Internal Server Error")))
    alive = await serve(always(FINE))
    backend = open_stack(bad, alive, ejection={"after": 5, "seconds": 0.2})
    assert await ask(backend, 50) == {"answered": 50}
    before = len(bad.visits)
    assert 5 <= before <= 12
    began = time.monotonic()
    while time.monotonic() - began < 0.9:  # windows of 0.2, 0.4 and 0.6 s
        assert await ask(backend, 20) == {"answered": 20}
    assert 1 <= len(bad.visits) - before <= 3
    bad.script = always(FINE)
    await asyncio.sleep(0.7)
    at = len(bad.visits)
    await ask(backend, 40)
    assert len(bad.visits) - at >= 2, "it is back"


@pytest.mark.parametrize("count", [1, 3])
async def test_where_all_are_down_callers_learn_it_at_once_and_all_is_well_soon_after(
    serve: Serve, open_stack: Open, count: int
) -> None:
    """FAULTS B5."""
    upstreams = [await serve(always(FINE)) for _ in range(count)]
    backend = open_stack(*upstreams)
    assert await ask(backend, 10) == {"answered": 10}
    for upstream in upstreams:
        await upstream.close()
    await ask(backend, 40)
    took, causes = [], Counter[str]()
    for _ in range(100):
        began = time.monotonic()
        with pytest.raises(BackendError) as caught:
            await backend.send(call_of())
        took.append(time.monotonic() - began)
        causes[type(caught.value).__name__] += 1
    assert sorted(took)[98] < 0.02
    assert causes["OutOfService"] >= 90
    for upstream in upstreams:
        await upstream.open()
    came_back = time.monotonic()
    while await ask(backend, 1) != {"answered": 1}:
        assert time.monotonic() - came_back < 2.0
        await asyncio.sleep(0.01)
    assert await ask(backend, 20) == {"answered": 20}


@pytest.mark.parametrize("retry_after", [b"60", b"Fri, 01 Jan 2100 00:00:00 GMT", b"soon", b"-1", b"1e9"])
async def test_one_that_has_no_room_is_left_alone_for_as_long_as_it_says(
    serve: Serve, open_stack: Open, retry_after: bytes
) -> None:
    """FAULTS B6."""
    full = await serve(
        always(answer(b"{}", status="429 Too Many Requests", headers=b"Retry-After: %b\r\n" % retry_after))
    )
    alive = await serve(always(FINE))
    backend = open_stack(full, alive)
    assert await ask(backend, 50, at_once=1) == {"answered": 50}
    assert len(full.visits) == 1


async def test_where_none_has_room_the_servers_own_word_goes_to_the_caller(serve: Serve, open_stack: Open) -> None:
    full = await serve(always(answer(b"{}", status="429 Too Many Requests", headers=b"Retry-After: 7\r\n")))
    backend = open_stack(full)
    for _ in range(3):
        with pytest.raises(Overloaded) as caught:
            await backend.send(call_of())
        assert caught.value.retry_after == 7.0
    assert len(full.visits) == 3, "a single server is not left alone"


async def test_a_stream_that_breaks_before_its_first_word_comes_from_another_replica(
    serve: Serve, open_stack: Open
) -> None:
    whole = chunked(b'data: {"choices":[{"delta":{"content":"hi"}}]}\n\n', b"data: [DONE]\n\n")

    async def breaks(visit: Visit) -> None:
        await visit.send(chunked(b'data: {"choices":[{"delta":{"content":""}}]}\n\n')[:-5])
        visit.writer.transport.abort()

    broken, alive = await serve(breaks), await serve(always(whole))
    assert await ask(open_stack(broken, alive, commit={"wait": 1.0}), 40, stream=True) == {"answered": 40}
    assert (await ask(open_stack(broken, alive), 10, stream=True))["StreamBroken"] > 0, "as it is without a window"


@pytest.mark.parametrize("where", ["sent", "waiting", "hedged"])
async def test_servers_see_who_leaves_within_a_second(serve: Serve, open_stack: Open, where: str) -> None:
    """FAULTS B9."""
    upstreams = [await serve(Visit.hung_up) for _ in range(2)]
    chosen: dict[str, dict[str, Any]] = {
        "sent": {},
        "waiting": {"limits": {"in_flight": 2}},
        "hedged": {"hedge": {"after": 0.01, "share": 1.0}},
    }
    backend = open_stack(*upstreams, **chosen[where])
    calls = [asyncio.create_task(backend.send(call_of())) for _ in range(4)]
    expected = {"sent": 4, "waiting": 2, "hedged": 8}[where]
    await until(lambda: sum(len(upstream.visits) for upstream in upstreams) == expected)
    for call in calls:
        await left_alone(call)
    await until(lambda: not any(upstream.running for upstream in upstreams), within=1.0)
    assert sum(len(upstream.visits) for upstream in upstreams) == expected


async def test_a_replica_can_be_drained_under_load(serve: Serve, open_stack: Open) -> None:
    upstreams = [await serve(always(FINE)) for _ in range(2)]
    backend = open_stack(*upstreams)
    assert isinstance(backend, Stack)
    load = asyncio.create_task(ask(backend, 300))
    await until(lambda: len(upstreams[0].visits) > 20)
    assert await backend.drain(f"127.0.0.1:{upstreams[0].port}", within=1.0)
    before = len(upstreams[0].visits)
    assert await load == {"answered": 300}
    assert len(upstreams[0].visits) == before
    backend.restore(f"127.0.0.1:{upstreams[0].port}")
    await ask(backend, 200)
    assert len(upstreams[0].visits) > before


async def test_a_slow_replica_gets_less_from_power_of_two(serve: Serve, open_stack: Open) -> None:
    async def slow(visit: Visit) -> None:
        await asyncio.sleep(0.03)
        await visit.send(FINE)

    upstreams = [await serve(slow), await serve(always(FINE)), await serve(always(FINE))]
    backend = open_stack(*upstreams, balance={"use": "power_of_two"})
    assert await ask(backend, 300, at_once=4) == {"answered": 300}
    assert len(upstreams[0].visits) < 40


async def test_the_first_error_of_a_server_alone_is_its_own(serve: Serve, open_stack: Open) -> None:
    upstream = await serve(always(FINE))
    await upstream.close()
    ended = await ask(open_stack(upstream), 8, at_once=1)
    assert ended == {"ConnectFailed": 5, "OutOfService": 3}
    assert issubclass(OutOfService, BackendError)


def test_a_server_is_a_backend_too() -> None:
    assert OpenAIHttp("http://127.0.0.1:9/v1").name == "127.0.0.1:9"
