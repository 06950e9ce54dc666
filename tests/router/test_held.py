"""A reply that is read and kept back: router/held.py."""

import asyncio
import gc
import time

import pytest

from backends.base import Broken, Call, StreamBroken
from classifier.base import Sample
from router.base import Tier
from router.held import HeldReply
from router.routes import Route
from tests.router.scripted import COMPLETION, SCRIPTS, Script, ScriptedBackend
from tests.router.verifying import words


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    """Return what Mini plays."""
    script = Script()
    monkeypatch.setitem(SCRIPTS, "mini", script)
    return script


def held(*, stream: bool = True, tokens: int | None = None) -> HeldReply:
    """Return a reply of the scripted Mini."""
    route = Route(Tier.MINI, "small", ScriptedBackend("mini"), lambda: None)
    call = Call("/chat/completions", b"{}", stream, time.monotonic() + 60, "x")
    return HeldReply(route, call, tokens=tokens)


def soon() -> float:
    """Return a time that is near."""
    return time.monotonic() + 0.02


async def test_an_unstreamed_reply_is_here_as_a_whole(script: Script) -> None:
    reply = held(stream=False)
    await reply.wait(until=None)
    assert reply.is_whole
    assert reply.sample == Sample("hello", None, "stop")
    assert reply.usage is not None
    assert (reply.usage.output, reply.replica) == (4, "scripted:1")
    let_out, first = await reply.let_out()
    assert first == COMPLETION
    assert [chunk async for chunk in let_out.chunks] == []


async def test_reading_stops_where_enough_has_come(script: Script) -> None:
    script.events = words(5)
    reply = held(tokens=2)
    await reply.wait(until=None)
    assert (reply.tokens, reply.is_whole, reply.usage) == (2, False, None)
    let_out, first = await reply.let_out()
    assert first == b"".join(words(5)[:2])
    assert [chunk async for chunk in let_out.chunks] == list(words(5)[2:])


async def test_what_was_let_out_early_is_followed_by_the_rest(script: Script) -> None:
    script.events = (words(5)[0], 0.1, *words(5)[1:])
    reply = held(tokens=4)
    await reply.wait(until=soon())
    let_out, first = await reply.let_out()
    assert first == words(5)[0]
    assert [chunk async for chunk in let_out.chunks] == list(words(5)[1:])
    assert script.closed_early == 0


async def test_what_was_let_out_early_can_be_left_at_once(script: Script) -> None:
    script.events, script.hangs = words(1, ends=False), True
    reply = held()
    await reply.wait(until=soon())
    let_out, _ = await reply.let_out()
    await let_out.chunks.aclose()
    assert script.closed_early == 1


async def test_a_reply_that_is_dropped_is_left(script: Script) -> None:
    script.events, script.hangs = words(3, ends=False), True
    for tokens in (None, 2):  # reading, and done with it
        reply = held(tokens=tokens)
        await reply.wait(until=soon())
        await reply.drop()
    assert script.closed_early == 2


async def test_a_reply_that_has_not_begun_can_be_dropped(script: Script) -> None:
    script.begins_after = 60.0
    reply = held()
    await reply.wait(until=soon())
    assert (reply.sample, reply.replica, reply.error) == (Sample(""), "", None)
    await reply.drop()
    assert reply.error is None


async def test_letting_out_waits_for_first_bytes(script: Script) -> None:
    script.events = (0.1, *words(2))
    reply = held(tokens=2)
    await reply.wait(until=soon())
    let_out, first = await reply.let_out()
    assert first == words(2)[0]
    assert [chunk async for chunk in let_out.chunks] == list(words(2)[1:])


@pytest.mark.parametrize(
    ("events", "error"),
    [((), StreamBroken), (words(2, ends=False), StreamBroken), ((b'data: {"error":1}\n\n',), StreamBroken)],
)
async def test_a_stream_that_is_none_breaks(events: tuple[bytes, ...], error: type[Exception], script: Script) -> None:
    script.events = events
    reply = held()
    with pytest.raises(error):
        await reply.wait(until=None)
    assert isinstance(reply.error, error)


async def test_an_empty_answer_is_broken(script: Script) -> None:
    script.completion = b""
    with pytest.raises(Broken, match="without a body"):
        await held(stream=False).wait(until=None)


async def test_an_error_that_nobody_waits_for_is_not_complained_of(
    script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    script.failures = [Broken("x")]
    reply = held()
    await asyncio.sleep(0.01)
    assert not script.failures
    del reply
    gc.collect()
    assert not caplog.records
