"""The fault backend by itself, as a process, asked by the bench's own callers.

router/bench/faults/backend.py, router/bench/faults/asking.py
"""

import asyncio

import pytest

from router.bench.faults.asking import Address, Caller
from router.bench.faults.base import Asked, End, Got, Leave, Leaving
from router.bench.faults.books import read_backend
from router.bench.faults.plays import PLAYS, STATUSES, Effect, effect_of
from router.bench.faults.seen import read
from tests.router.bench.faults.conftest import Running

_ONLY_FOR_A_GATEWAY = {"interim", "gzip", "huge-line"}
"""This caller reads one head and no compressed body, and finds no line too long."""


async def ask_once(backend: Running, one: Asked) -> Got:
    caller = Caller(backend.address)
    try:
        return await caller.ask(one)
    finally:
        caller.close()
        await asyncio.sleep(0)


def asked(name: str, *plays: str, stream: bool = True, leave: Leave | None = None, slowly: bool = False) -> Asked:
    return Asked(name, name, "acme", "mini", stream, ("ok",), plays, leave=leave, slowly=slowly)


async def test_every_play_shows_itself_to_a_caller_as_it_says(backend: Running) -> None:
    modes = [(play, stream) for play in PLAYS for stream in (True, False)]

    async def ask(play: str, *, stream: bool) -> None:
        got = await ask_once(backend, asked(f"{play}-{stream}", play, stream=stream))
        seen, effect = read(got), effect_of(play, stream=stream)
        if effect is Effect.REFUSES:
            assert got.status == STATUSES[play]
        elif play not in _ONLY_FOR_A_GATEWAY:
            is_good = effect in (Effect.GOOD, Effect.EITHER)
            assert (got.status == 200 and seen.is_complete and got.end is End.WHOLE) is is_good, (play, stream, got)

    await asyncio.gather(*(ask(play, stream=stream) for play, stream in modes))
    for _ in range(200):
        how = {name: calls[0].how for name, calls in read_backend(backend.book).items()}
        if "" not in how.values():
            break
        await asyncio.sleep(0.01)
    assert (how["ok-True"], how["cut-True"], how["reset-False"], how["hang-True"]) == ("whole", "cut", "cut", "left")


async def test_the_calls_of_one_request_play_one_word_each_and_the_last_again(backend: Running) -> None:
    caller = Caller(backend.address)
    statuses = [(await caller.ask(asked("turns", "503", "404", "ok"))).status for _ in range(4)]
    caller.close()
    assert statuses == [503, 404, 200, 200]
    assert [call.play for call in backend.calls("turns")] == ["503", "404", "ok", "ok"]


@pytest.mark.parametrize("by", list(Leaving))
async def test_a_caller_who_hangs_up_leaves_as_planned_and_is_noted(by: Leaving, backend: Running) -> None:
    leave = Leave(by, got=300)
    got = await ask_once(backend, asked(f"leaves-{by}", "long", leave=leave))
    assert got.end is End.LEFT
    assert len(got.body) < 5_000
    for _ in range(100):
        (call,) = backend.calls(f"leaves-{by}")
        if call.ended is not None:
            break
        await asyncio.sleep(0.01)
    assert call.how == "left"


async def test_a_request_that_is_not_sent_whole_is_no_call(backend: Running) -> None:
    got = await ask_once(backend, asked("half", "ok", leave=Leave(Leaving.FIN, sent=120)))
    assert (got.end, got.all_sent, got.status) == (End.LEFT, False, 0)
    await asyncio.sleep(0.05)
    assert backend.calls("half") == ()


async def test_a_caller_who_reads_in_sips_gets_all_of_it(backend: Running) -> None:
    got = await ask_once(backend, asked("sips", "ok", slowly=True))
    assert read(got).is_complete


async def test_what_never_comes_is_late_a_second_after_the_deadline(backend: Running) -> None:
    got = await ask_once(backend, asked("never", "silent"))
    assert (got.end, got.status) == (End.LATE, 0)
    assert 1.5 < got.ended - got.began < 3


async def test_where_nobody_listens_a_caller_is_refused() -> None:
    got = await Caller(Address("127.0.0.1", 1, {"acme": "key"}, deadline=1)).ask(asked("none", "ok"))
    assert (got.end, got.status) == (End.REFUSED, 0)
