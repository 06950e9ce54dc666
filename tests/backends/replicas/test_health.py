"""Tests backends/replicas/health.py."""

import asyncio
from contextlib import suppress
from random import Random

from backends.base import ConnectFailed
from backends.replicas.options import ReplicaOptions
from backends.replicas.outliers import UNWELL
from backends.replicas.stack import Stack, stack_of
from tests.backends.replicas.played import Played, call_of, until


def checked(*servers: Played, enabled: bool | None = None) -> Stack:
    options = {"health": {"enabled": enabled, "interval": 0.01}, "balance": {"slow_start": 0}, "retries": {"more": 0}}
    return stack_of(servers, ReplicaOptions.model_validate(options), chance=Random(1))


def counts(backend: Stack, name: str) -> dict[tuple[str, ...], float]:
    return next((dict(figure.counts) for figure in backend.figures() if figure.name == name), {})


async def test_it_begins_with_the_first_call_and_ends_with_the_backend() -> None:
    backend = checked(Played("a"), Played("b"))
    before = asyncio.all_tasks()
    await backend.send(call_of())
    await backend.send(call_of())
    assert len(asyncio.all_tasks()) == len(before) + 1
    await until(lambda: counts(backend, "health_checks").get(("b", "well"), 0) >= 3)
    await backend.aclose()
    assert asyncio.all_tasks() == before


async def test_one_that_fails_its_checks_is_out_before_a_caller_meets_it() -> None:
    idle = Played("a")
    backend = checked(idle, Played("b"))
    await backend.send(call_of(avoid=("a",)))
    await until(lambda: ("a", "well") in counts(backend, "health_checks"))
    idle.ready = False
    await until(lambda: counts(backend, "replica_ejections") == {("a", UNWELL): 1})
    assert [(await backend.send(call_of())).replica for _ in range(3)] == ["b", "b", "b"]
    await backend.aclose()


async def test_one_that_is_well_again_is_back_long_before_its_time() -> None:
    away = Played("a", ready=False, failures=[ConnectFailed("")] * 5)
    backend = checked(away, Played("b"))
    for _ in range(20):
        with suppress(ConnectFailed):
            await backend.send(call_of())
    assert counts(backend, "replica_state")["a", "out"] == 1.0
    away.ready = True
    await until(lambda: ("a", "well") in counts(backend, "health_checks"))
    assert {(await backend.send(call_of())).replica for _ in range(4)} == {"a", "b"}
    await backend.aclose()


async def test_one_that_was_never_well_may_know_no_checks() -> None:
    backend = checked(Played("a", ready=False), Played("b"))
    await backend.send(call_of())
    await until(lambda: counts(backend, "health_checks").get(("a", "ill"), 0) > 9)
    assert counts(backend, "replica_ejections") == {}
    await backend.aclose()


async def test_a_single_server_is_asked_only_where_the_file_says_so() -> None:
    assert not counts(checked(Played("a")), "health_checks")
    backend = checked(Played("a"), enabled=True)
    await backend.send(call_of())
    await until(lambda: ("a", "well") in counts(backend, "health_checks"))
    await backend.aclose()
    off = checked(Played("a"), Played("b"), enabled=False)
    await off.send(call_of())
    assert asyncio.all_tasks() == {asyncio.current_task()}
