"""Tests backends/replicas/retries.py: what is tried again, where, and how much of it."""

import asyncio
from random import Random

import pytest

from backends.base import (
    BackendError,
    Broken,
    Call,
    ConnectFailed,
    DeadlineExceeded,
    FirstTokenTimeout,
    IdleTimeout,
    Lost,
    Overloaded,
    Rejected,
    Reply,
    StreamBroken,
)
from backends.replicas.options import EjectionOptions, HealthOptions, ReplicaOptions
from backends.replicas.stack import Stack, stack_of
from tests.backends.replicas.played import Played, body_of, call_of

CALM = ReplicaOptions(health=HealthOptions(enabled=False))


def stack(*servers: Played, chosen: ReplicaOptions = CALM) -> Stack:
    return stack_of(servers, chosen, chance=Random(1))


def count(backend: Stack, name: str) -> float:
    return sum(sum(figure.counts.values()) for figure in backend.figures() if figure.name == name)


@pytest.mark.parametrize(
    "error",
    [ConnectFailed(""), FirstTokenTimeout(""), Overloaded(""), Broken("", status=502), Broken(""), StreamBroken("")],
    ids=lambda error: type(error).__name__,
)
async def test_another_replica_answers_and_the_reply_tells_of_the_first(error: BackendError) -> None:
    backend = stack(Played("a", failures=[error]), Played("b"))
    reply = await backend.send(call_of())
    assert reply.replica == "b"
    assert reply.before == (Lost("a", error),)
    assert [figure.counts for figure in backend.figures() if figure.name == "retries"] == [{(type(error).__name__,): 1}]


@pytest.mark.parametrize(
    "error",
    [Rejected(400, b"", ""), DeadlineExceeded(""), IdleTimeout(""), Broken("", status=401), Broken("", status=403)],
    ids=repr,
)
async def test_what_no_repeat_can_mend_is_not_repeated(error: BackendError) -> None:
    other = Played("b")
    with pytest.raises(type(error)):
        await stack(Played("a", failures=[error]), other).send(call_of())
    assert not other.calls


async def test_nothing_is_repeated_once_a_byte_is_out() -> None:
    servers = [Played(name, pieces=(b"data: one\n\n", StreamBroken(""))) for name in "ab"]
    backend = stack(*servers)
    with pytest.raises(StreamBroken):
        await body_of(await backend.send(call_of(stream=True)))
    assert sum(len(server.calls) for server in servers) == 1


async def test_no_replica_is_asked_twice_and_the_error_tells_of_all() -> None:
    errors = [Broken("", status=502), Broken("", status=503), Broken("", status=504)]
    servers = [Played(name, failures=[error] * 2) for name, error in zip("abc", errors, strict=True)]
    with pytest.raises(Broken) as caught:
        await stack(*servers).send(call_of())
    assert [len(server.calls) for server in servers] == [1, 1, 1]
    assert [lost.replica for lost in (*caught.value.before, Lost(caught.value.replica, None))] == ["a", "b", "c"]


async def test_there_are_two_tries_more_but_for_replicas_that_are_not_there() -> None:
    bad = [Played(str(at), failures=[Broken("", status=502)] * 9) for at in range(5)]
    with pytest.raises(Broken):
        await stack(*bad).send(call_of())
    assert sum(len(server.calls) for server in bad) == 3
    gone = [Played(str(at), failures=[ConnectFailed("")] * 9) for at in range(5)]
    assert (await stack(*gone, Played("here")).send(call_of())).replica == "here"


async def test_nothing_is_repeated_after_the_deadline() -> None:
    other = Played("b")
    with pytest.raises(Broken):
        await stack(Played("a", takes=0.03, failures=[Broken("")]), other).send(call_of(within=0.01))
    assert not other.calls


async def test_where_none_is_left_the_failure_itself_is_told() -> None:
    backend = stack(Played("a", failures=[Broken("first", status=502)]), Played("b"))
    await backend.drain("b", within=0)
    with pytest.raises(Broken, match="first"):
        await backend.send(call_of())


async def test_a_refusal_for_lack_of_room_in_the_tier_is_not_repeated() -> None:
    limits = ReplicaOptions.model_validate({"limits": {"in_flight": 1, "queue": 0}, "health": {"enabled": False}})
    servers = [Played("a", takes=1.0), Played("b")]
    backend = stack(*servers, chosen=limits)
    first = asyncio.create_task(backend.send(call_of()))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await backend.send(call_of())
    assert count(backend, "retries") == 0
    first.cancel()
    await asyncio.wait({first})


class Failing:
    """A server that fails three calls in ten, after as long as an answer takes."""

    def __init__(self, name: str, chance: Random) -> None:
        self.name, self.calls, self._chance = name, 0, chance

    async def send(self, _call: Call) -> Reply:
        self.calls += 1
        await asyncio.sleep(0.002)
        if self._chance.random() < 0.3:
            raise Broken("", status=502)
        return Reply(aiter_of(b"{}"), "application/json", self.name)

    async def is_ready(self) -> bool:
        return True

    async def aclose(self) -> None:
        pass


async def aiter_of(piece: bytes):  # type: ignore[no-untyped-def]  # noqa: ANN201 - a generator for a reply
    yield piece


async def test_random_failures_do_not_multiply_the_load() -> None:
    """FAULTS C2: 30 % random errors, at most 1.2 calls to servers for each call."""
    chance = Random(5)
    servers = [Failing(str(at), chance) for at in range(3)]
    chosen = CALM.model_copy(update={"ejection": EjectionOptions(after=1000)})
    backend = stack_of(servers, chosen, chance=chance)
    failed = 0

    async def caller() -> None:
        nonlocal failed
        for _ in range(25):
            try:
                await backend.send(call_of())
            except Broken:
                failed += 1

    await asyncio.gather(*(caller() for _ in range(80)))
    assert sum(server.calls for server in servers) / 2000 <= 1.2
    assert failed / 2000 < 0.2, "and many are mended"
    assert count(backend, "retries_refused") > 0


async def test_all_calls_of_a_replica_that_dies_are_mended() -> None:
    """FAULTS B1: however many are under way, and though retries are few."""
    for at_once in (1, 2, 8, 64):
        dying = Played("a", takes=0.01, failures=[ConnectFailed("")] * 10_000)
        backend = stack(dying, Played("b", takes=0.01))
        replies = await asyncio.gather(*(backend.send(call_of()) for _ in range(at_once * 5)))
        assert {reply.replica for reply in replies} == {"b"}
        assert len(dying.calls) <= max(5, at_once * 5)


async def test_several_that_die_at_once_are_mended_where_one_lives() -> None:
    for at_once in (3, 9, 30):
        dying = [Played(name, takes=0.01, failures=[ConnectFailed("")] * 10_000) for name in "abc"]
        backend = stack(*dying, Played("d", takes=0.01))
        replies = await asyncio.gather(*(backend.send(call_of()) for _ in range(at_once)))
        assert {reply.replica for reply in replies} == {"d"}
