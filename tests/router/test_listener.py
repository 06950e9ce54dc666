"""router/listener.py: what is refused before the application sees it, on raw sockets."""

import asyncio
import gc
import logging
import tracemalloc
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest
import uvicorn
from uvicorn.server import ServerState

from router.endpoints.at_once import WholeAnswer
from router.endpoints.chat import Scope, Send
from router.endpoints.wire import SINK, Receive
from router.listener import BoundedProtocol
from tests.router.conftest import Served
from tests.router.scripted import EVENTS

_BODY = b'{"model":"mini","messages":[{"role":"user","content":"hi"}]}'
_HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
_GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
_WHOLE = _HEAD + b"content-length: %d\r\n\r\n" % len(_BODY) + _BODY


async def raw(port: int, sent: bytes) -> bytes:
    """Return what comes back for these bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    try:
        async with asyncio.timeout(5):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            return head + await reader.readexactly(length)
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (_HEAD + b"content-length: -1\r\n\r\n", 400),
        (_HEAD + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n", 400),
        (_HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nhost: x\r\n\r\n", 414),
        (_HEAD + b"x: y\r\n" * 120 + b"\r\n", 431),
        (_HEAD + b"x: " + b"y" * 40_000 + b"\r\n\r\n", 431),
    ],
)
async def test_a_bad_head_is_refused_in_the_error_shape(sent: bytes, status: int, serve_house: Served) -> None:
    async with serve_house() as house:
        answer = await raw(house.client.base_url.port or 0, sent)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert set(msgspec.json.decode(body)["error"]) == {"message", "type", "param", "code"}


async def test_a_caller_who_leaves_at_any_byte_costs_nothing_but_the_request(serve_house: Served) -> None:
    async with serve_house() as house:
        port = house.client.base_url.port or 0
        for cut in range(0, len(_WHOLE) + 1, 3):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(_WHOLE[:cut])
            writer.transport.abort() if cut % 2 else writer.close()
        whole = await raw(port, _WHOLE)
        assert whole.startswith(b"HTTP/1.1 200")
        figures = (await house.client.get("/metrics")).text
        assert "tandem_requests_in_flight 0.0" in figures
    assert {row["outcome"] for row in house.rows()} <= {"answered", "hung_up"}
    assert len(house.rows()) == len(house.mini.calls)


async def test_a_caller_who_leaves_behind_a_long_body_is_noticed(serve_house: Served) -> None:
    body = _BODY.replace(b"hi", b"hi " * 100_000)
    async with serve_house() as house:
        house.mini.completion_hangs = True
        _, writer = await asyncio.open_connection("127.0.0.1", house.client.base_url.port or 0)
        writer.write(_HEAD + b"content-length: %d\r\n\r\n" % len(body) + body)
        async with asyncio.timeout(5):
            while not house.mini.calls:
                await asyncio.sleep(0.01)
            writer.close()
            while not house.mini.closed_early:
                await asyncio.sleep(0.01)
    assert [row["outcome"] for row in house.rows()] == ["hung_up"]


async def test_a_body_that_does_not_arrive_is_not_waited_for(
    serve_house: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.endpoints.wire.BODY_WITHIN", 0.2)
    async with serve_house() as house:
        answer = await raw(house.client.base_url.port or 0, _WHOLE[:-5])
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert house.rows() == []


@pytest.mark.parametrize("sent", [b"", _WHOLE[:30], _WHOLE + _WHOLE[:30]])
async def test_a_head_that_does_not_arrive_is_not_waited_for(
    sent: bytes, serve_house: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.listener.HEAD_WITHIN", 0.3)
    async with serve_house() as house:
        reader, writer = await asyncio.open_connection("127.0.0.1", house.client.base_url.port or 0)
        writer.write(sent)
        async with asyncio.timeout(5):
            answer = await reader.read()
        writer.close()
    assert answer.count(b"HTTP/1.1 200") == sent.count(_BODY)


async def test_a_connection_that_is_used_is_kept_longer_than_a_head_may_take(
    serve_house: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.listener.HEAD_WITHIN", 0.2)
    async with serve_house() as house:
        reader, writer = await asyncio.open_connection("127.0.0.1", house.client.base_url.port or 0)
        for _ in range(3):
            writer.write(_WHOLE)
            async with asyncio.timeout(5):
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
            await asyncio.sleep(0.3)
        writer.close()


async def test_a_caller_of_http_1_0_gets_the_bare_stream(serve_house: Served) -> None:
    body = _BODY.replace(b'"mini"', b'"mini","stream":true')
    head = _HEAD.replace(b"HTTP/1.1", b"HTTP/1.0") + b"content-length: %d\r\n\r\n" % len(body)
    async with serve_house() as house:
        reader, writer = await asyncio.open_connection("127.0.0.1", house.client.base_url.port or 0)
        writer.write(head + body)
        async with asyncio.timeout(5):
            answer = await reader.read()  # to the end: the connection closes behind the body
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head.lower()
    assert b"connection: close" in head.lower()
    assert body.startswith(b"data: {")
    assert body.endswith(b"data: [DONE]\n\n")


async def test_an_upgrade_that_is_asked_for_is_ignored(serve_house: Served) -> None:
    asking = _WHOLE.replace(b"host: x", b"host: x\r\nconnection: upgrade\r\nupgrade: h2c")
    async with serve_house() as house:
        reader, writer = await asyncio.open_connection("127.0.0.1", house.client.base_url.port or 0)
        for sent in (asking, asking + _WHOLE, asking[:70], asking[70:150], asking[150:]):
            writer.write(sent)
            await asyncio.sleep(0.05)
        writer.write(_WHOLE.replace(b"host: x", b"host: x\r\nconnection: close"))
        async with asyncio.timeout(5):
            answer = await reader.read()
        writer.close()
    assert answer.count(b"HTTP/1.1 200 OK") == 5
    assert len(house.mini.calls) == 5


async def test_a_body_of_chunks_that_is_here_at_once_is_bounded_too(serve_house: Served) -> None:
    body = _BODY.replace(b"hi", b"hi " * 500)
    sent = _HEAD + b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    async with serve_house(server={"max_body_bytes": 1024}) as house:
        answer = await raw(house.client.base_url.port or 0, sent)
    assert answer.startswith(b"HTTP/1.1 413 ")


async def test_a_tunnel_is_refused(serve_house: Served) -> None:
    async with serve_house() as house:
        answer = await raw(house.client.base_url.port or 0, b"CONNECT x:80 HTTP/1.1\r\nhost: x\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")


async def test_a_head_request_gets_no_body(serve_house: Served) -> None:
    async with serve_house() as house:
        reader, writer = await asyncio.open_connection("127.0.0.1", house.client.base_url.port or 0)
        writer.write(b"HEAD /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        async with asyncio.timeout(5):
            answer = await reader.read()
        writer.close()
    assert answer.startswith(b"HTTP/1.1 ")
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("value", [b"a\r\nx-other: b", b"a\nb", b"a\rb", b"a\0b"])
async def test_a_line_break_in_a_header_never_goes_out(value: bytes) -> None:
    async def application(_scope: object, _receive: object, send: Callable[[object], Awaitable[None]]) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-one", value)]})
        await send({"type": "http.response.body", "body": b"text"})

    assert b"text" not in await _answer_of(application)


@pytest.mark.parametrize("body", [b"abc", b"abcde"])
async def test_a_body_of_another_length_than_announced_ends_the_connection(body: bytes) -> None:
    async def application(_scope: object, _receive: object, send: Callable[[object], Awaitable[None]]) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": body})

    assert body not in await _answer_of(application)


async def test_a_caller_who_reads_slowly_gets_the_whole_stream(serve_house: Served) -> None:
    long = EVENTS[0].replace(b'"hel"', b'"%b"' % (b"x" * 60_000))
    body = _BODY.replace(b"{", b'{"stream":true,', 1)
    async with serve_house() as house:
        house.mini.events = (EVENTS[0], *([long] * 100), *EVENTS[1:])
        reader, writer = await asyncio.open_connection("127.0.0.1", house.client.base_url.port or 0)
        writer.write(_HEAD + b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        await asyncio.sleep(0.5)  # more than any buffer holds waits meanwhile
        async with asyncio.timeout(20):
            answer = await reader.read()
        writer.close()
    assert answer.count(b"x" * 60_000) == 100
    assert answer.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    assert [row["outcome"] for row in house.rows()] == ["answered"]


@pytest.mark.parametrize("begun", [0, 40, len(_WHOLE)])
async def test_a_connection_goes_on_behind_a_stream_whatever_of_the_next_request_came_meanwhile(
    begun: int, serve_house: Served
) -> None:
    body = _BODY.replace(b"{", b'{"stream":true,', 1)
    async with serve_house() as house:
        house.mini.events = (EVENTS[0], 0.2, *EVENTS[1:])
        reader, writer = await asyncio.open_connection("127.0.0.1", house.client.base_url.port or 0)
        async with asyncio.timeout(10):
            for _ in range(2):
                writer.write(_HEAD + b"content-length: %d\r\n\r\n" % len(body) + body + _WHOLE[: begun // 2])
                await reader.readuntil(EVENTS[0])
                writer.write(_WHOLE[begun // 2 : begun])
                assert b"[DONE]" in await reader.readuntil(b"\r\n0\r\n\r\n")
                writer.write(_WHOLE[begun:])
                assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
                await reader.readuntil(b'"cached_tokens":2}}}')
        writer.close()
    assert [row["outcome"] for row in house.rows()] == ["answered"] * 4


async def test_a_stream_that_fails_before_it_begins_is_told_under_its_callers_id(serve_house: Served) -> None:
    body = _BODY.replace(b"{", b'{"stream":true,', 1)
    async with serve_house() as house:
        house.mini.failures = [ValueError("a fault of ours")]  # type: ignore[list-item]  # which no backend should raise
        head = _HEAD + b"x-request-id: mine\r\n"
        answer = await raw(house.client.base_url.port or 0, head + b"content-length: %d\r\n\r\n" % len(body) + body)
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"x-request-id: mine\r\n" in answer


async def test_a_stream_that_runs_holds_nothing_of_its_head_or_of_what_was_asked(serve_house: Served) -> None:
    body = _BODY.replace(b"{", b'{"stream":true,', 1).replace(b"hi", b"hi " * 100_000)
    head = _HEAD + b"x-request-id: mine\r\nx-long: " + b"y" * 20_000 + b"\r\n"
    async with serve_house() as house:
        house.mini.events, house.mini.hangs = EVENTS[:1], True
        gc.collect()
        tracemalloc.start()
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", house.client.base_url.port or 0)
            writer.write(head + b"content-length: %d\r\n\r\n" % len(body) + body)
            async with asyncio.timeout(5):
                answer = await reader.readuntil(EVENTS[0])
            await asyncio.sleep(0.05)
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        writer.close()
    assert b"x-request-id: mine\r\n" in answer
    assert held < 2 * len(body)  # the scripted backend itself holds the call that it answers


async def test_a_connection_ends_when_it_was_idle_for_long_and_not_before() -> None:
    async def application(_scope: object, _receive: object, send: Callable[[object], Awaitable[None]]) -> None:
        await asyncio.sleep(0.3)  # longer than a connection may be idle, which this one is not
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"text"})

    async with _serving(application, keep_alive=0.2) as (reader, writer):
        clock = asyncio.get_running_loop().time
        for _ in range(3):
            writer.write(_GET)
            assert (await reader.readuntil(b"text")).startswith(b"HTTP/1.1 200 ")
            await asyncio.sleep(0.1)
        began = clock() - 0.1
        assert await reader.read() == b""
    assert 0.15 < clock() - began < 1


async def test_an_answered_request_leaves_nothing_to_the_collector() -> None:
    kept: list[weakref.ref[object]] = []

    async def application(scope: Scope, _receive: Receive, send: Send) -> None:
        kept.append(weakref.ref(scope["extensions"][SINK]["sink"]))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    gc.collect()
    gc.disable()
    try:
        async with _serving(application) as (reader, writer):
            for _ in range(3):
                writer.write(_GET)
                assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200 ")
                await asyncio.sleep(0)
            assert [each() is None for each in kept] == [True, True, False]  # the last one is the connection's latest
    finally:
        gc.enable()


async def test_who_does_not_read_what_is_told_at_once_is_told_no_more_of_it() -> None:
    told = 0
    body = bytes(100_000)

    def at_once(_scope: object) -> WholeAnswer:
        nonlocal told
        told += 1
        return WholeAnswer(200, (), body)

    async def application(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})

    async with _serving(application, at_once=at_once) as (reader, writer):
        writer.write(_GET * 200)
        await asyncio.sleep(0.05)
        assert 0 < told < 150
        for _ in range(200):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
            await reader.readexactly(len(body))


async def _answer_of(application: object) -> bytes:
    """Return all that a request to this application brings back, until the connection closes."""
    async with _serving(application) as (reader, writer):
        writer.write(_GET)
        return await reader.read()


@asynccontextmanager
async def _serving(
    application: object, *, keep_alive: float = 5, at_once: Callable[[object], WholeAnswer | None] = lambda _scope: None
) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter], None]:
    """Serve an application as long as the block runs; gives a connection to it."""
    loop = asyncio.get_running_loop()
    config = uvicorn.Config(application, ws="none", log_config=None)  # type: ignore[arg-type]  # wider than uvicorn's
    config.timeout_keep_alive = keep_alive  # type: ignore[assignment]  # whole seconds would be long for a test
    config.load()
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    server = await loop.create_server(
        lambda: BoundedProtocol(config, ServerState(), {}, at_once=at_once), "127.0.0.1", 0
    )
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        try:
            async with asyncio.timeout(5):
                yield reader, writer
        finally:
            writer.close()
